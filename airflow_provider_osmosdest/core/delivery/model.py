"""The values of a delivery: its settings, what its caller provides, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from airflow_provider_osmosdest.core.http.rate_limits import RateLimits
from airflow_provider_osmosdest.core.http.target import Destination

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import LedgerStore
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.delivery.report import DeliveryReport
    from airflow_provider_osmosdest.core.errors import DeliveryError, OsmosError
    from airflow_provider_osmosdest.core.http.transport import Transport
    from airflow_provider_osmosdest.core.schema import DestinationSchema
    from airflow_provider_osmosdest.core.seen.share import KeyShare
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["Delivery", "PartOf", "Result", "RunContext", "TransportFactory"]

_P_co = TypeVar("_P_co", bound=Destination, covariant=True)
_P_contra = TypeVar("_P_contra", bound=Destination, contravariant=True)


class TransportFactory(Protocol[_P_contra]):
    """Make the transport of a delivery, once its needs are known."""

    def __call__(
        self, target: _P_contra, *, in_flight: int, headers: Mapping[str, str], answer_bytes: int, may_repeat: bool
    ) -> Transport:
        """
        Return a transport.

        :param target: where the delivery goes
        :param in_flight: requests it must be able to carry at the same time
        :param headers: headers for every request beside the target's, which win
        :param answer_bytes: how much of each answer it must keep, in bytes
        :param may_repeat: whether it may send a request again by itself
        """


@dataclass(frozen=True, slots=True)
class Delivery(Generic[_P_co]):
    """
    All that a delivery is made of, as frozen values.

    :param target: where to
    :param options: how
    :param schema: what a record must be
    :param folder: where report and failures go
    :param mapping: field name to source column, for fields that are called otherwise in the source
    :param name: what the log and errors call the destination beside its URL, such as ``connection 'crm'``
    :param seen: folder with the keys of what was delivered there before, for ``deduplicate``
    :param about: what the report says of it beside the numbers, as plain values without secrets
    """

    target: _P_co
    options: DeliveryOptions
    schema: DestinationSchema
    folder: Folder
    mapping: Mapping[str, str] | None = None
    name: str = ""
    seen: Folder | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """What the log and errors call the destination."""
        described = self.target.described
        return f"{self.name} ({described})" if self.name else described


@dataclass(frozen=True, slots=True)
class PartOf:
    """
    What makes a delivery a part of a larger one.

    :param delivery_id: of the whole, of which keys are made
    :param on_stop: takes why this part sends no more
    :param first_index: index, in the whole, of the first record of its source
    :param share: which records of its source are its own, ``None`` for all
    """

    delivery_id: str
    on_stop: Callable[[DeliveryError], None]
    first_index: int = 0
    share: KeyShare | None = None


@dataclass(frozen=True, slots=True)
class RunContext:
    """
    What the caller of a delivery provides.

    :param ledger: keeps the ledger; by default it is a file in the delivery's folder
    :param stopping: returns why to stop and how to go on, in whole sentences, ``None`` not to stop; called once a
        second at least
    :param deferrable: whether long waits can be left to the caller, as a :class:`~.errors.WaitError` in the result
    :param warn: takes the lines of the log that need attention; by default they go where the others go
    :param timed: takes how long a request took, in seconds, for some of them
    :param run_key: the same in every retry; a complete delivery begins anew only on another one, or on ``None``
    :param dry_run: nothing leaves the machine, so nothing counts as delivered
    :param host: this machine's name, where another one may retry that does not see the delivery's folder; ``None``
        where all see it
    :param limits: how rates are kept together with other tasks
    :param part: the larger delivery that this one is a part of, ``None`` where it is whole
    :param in_task: the caller is a task; else it says the result's error itself, as its last word
    """

    ledger: LedgerStore | None = None
    stopping: Callable[[], str | None] = field(default=lambda: None)
    deferrable: bool = False
    warn: Callable[[str], None] | None = None
    timed: Callable[[float], None] | None = None
    run_key: str | None = None
    dry_run: bool = False
    host: str | None = None
    limits: RateLimits = field(default_factory=RateLimits)
    part: PartOf | None = None
    in_task: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """
    How a delivery ended: always with a report, and with the error that its caller must raise, if any.

    :param report: the numbers and paths
    :param error: why the delivery stopped, could not read on, or had more failures than allowed
    :param mendable: whether another attempt may deliver more than this one did
    :param gained: counts of this attempt alone, by outcome and for ``requests``: what metrics are made of
    """

    report: DeliveryReport
    error: OsmosError | None = None
    mendable: bool = False
    gained: Mapping[str, int] = field(default_factory=dict)
