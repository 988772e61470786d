"""How a rate is kept by one task of several: divided among them, or shared through a store that all of them ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.http.shared_bucket import SharedBucket, divided_bucket

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.http.shared_bucket import GrantStore
    from airflow_provider_osmosdest.core.http.token_bucket import Bucket

__all__ = ["RateLimits"]


@dataclass(frozen=True, slots=True)
class RateLimits:
    """
    Make the buckets of one task.

    :param share: how many tasks that keep to the same rate may run at once, this one included
    :param store: grants units to all tasks on the same connection; ``None`` where each keeps to its share
    """

    share: int = 1
    store: GrantStore | None = None

    def bucket(self, noun: str, rate: float | None) -> Bucket | None:
        """
        Return a bucket, ``None`` where there is no limit.

        :param noun: what is counted, ``requests`` or ``records``
        :param rate: how many a second all tasks together may use
        """
        if not rate:
            return None
        if self.store is None:
            return divided_bucket(rate, self.share)
        return SharedBucket(self.store, noun, rate, self.share)

    def describe(self, noun: str, rate: float | None) -> str | None:
        """
        Return a line for the log that says which rate this task keeps to and why; ``None`` where it is the option's.

        :param noun: what is counted, ``requests`` or ``records``
        :param rate: how many a second all tasks together may use
        """
        if not rate or (self.share == 1 and self.store is None):
            return None
        divided = f"divided by {self.share:,} mapped tasks: {rate / self.share:,.6g}"
        if self.store is None:
            return f"{rate:,.6g} {noun} a second, {divided}."
        otherwise = f" While that is away, {divided}." if self.share > 1 else ""
        return f"{rate:,.6g} {noun} a second, shared through {self.store.name}.{otherwise}"
