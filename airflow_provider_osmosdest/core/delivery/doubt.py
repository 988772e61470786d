"""What attempts that may send again leave to one that must not: which records may have arrived unheard of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.ledger import Entry

__all__ = ["recall"]


def recall(entry: Entry, say: Callable[[str], None], *, once: bool) -> RangeSet:
    """
    Return the records that this attempt must not send, as an earlier one under ``at_least_once`` may have.

    Where this attempt may send again, too, they stay noted for one that may not.

    :param entry: the ledger, which is changed: how far an attempt came that was killed becomes doubt
    :param say: takes the line that says how many there are
    :param once: nothing may be sent that may have arrived already
    """
    entry.doubtful.add(0, entry.reach)
    entry.reach = 0
    entry.doubtful = entry.doubtful.without(entry.settled)
    if not once or not entry.doubtful:
        return RangeSet()
    say(
        "Warning: guarantee is at_most_once now, and was at_least_once in an earlier attempt, which may have sent up "
        f"to {len(entry.doubtful):,} records without an answer that tells. They become unknown, stand in the failures "
        "file, and are not sent again: ask the API about them."
    )
    return entry.doubtful.copy()
