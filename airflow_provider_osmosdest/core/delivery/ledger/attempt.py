"""Begin an attempt: find the ledger of those before it, and see whether a later one has taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.ledger.failures import missing_part
from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger, read_ledger
from airflow_provider_osmosdest.core.errors import SupersededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import LedgerStore
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["begin", "check_holder", "take_over"]


def begin(
    store: LedgerStore,
    fingerprint: str | None,
    say: Callable[[str], None],
    run_key: str | None = None,
    *,
    folder: object = None,
    delivery_id: str | None = None,
    takes_up: bool = False,
) -> Ledger:
    """
    Find the ledger of a delivery, or begin one.

    A complete one counts only for a retry with the same run key: the attempt that completed it was killed, or failed,
    before its caller got the result, and all of it must not be sent again.

    :param store: where it is kept
    :param fingerprint: of the source as it is now
    :param say: takes the line that says what was found
    :param run_key: the same in every retry, another one when the task is cleared or run anew
    :param folder: the delivery's, which errors name
    :param takes_up: this attempt sends again what was rejected or invalid
    :param delivery_id: of the larger delivery that this one is a part of; a ledger of another does not count
    :raises StorageError: when it cannot be read, or is damaged
    """
    document = store.load()
    ledger = None if document is None else read_ledger(document, folder)
    anew = (
        Ledger.new(fingerprint, run_key) if delivery_id is None else Ledger(delivery_id, fingerprint, run_key=run_key)
    )
    another = ledger is not None and delivery_id is not None and ledger.delivery_id != delivery_id
    if ledger is None or another or (ledger.complete and (run_key is None or ledger.run_key != run_key)):
        return anew
    if ledger.complete:
        say(
            f"Delivery {ledger.delivery_id} is complete already, with {ledger.counts['delivered']:,} records "
            "delivered by an attempt before this one. Nothing is sent."
        )
        return ledger
    ledger.run_key = run_key
    if not ledger.settled and not ledger.doubts():
        # No record has an outcome, so another source can take over the ledger.
        ledger.fingerprint = fingerprint
        return ledger
    if fingerprint is None:
        say(
            "Warning: an earlier attempt delivered records of this source, but nothing can tell whether it still holds "
            "the same ones. Starting afresh, so some may be sent twice. A list or a file can be resumed."
        )
        return anew
    if fingerprint != ledger.fingerprint:
        say(
            f"Warning: the source has changed since the last attempt, which had settled {len(ledger.settled):,} of its "
            "records. Starting afresh."
        )
        return anew
    failed = sum(ledger.counts[outcome] for outcome in ("rejected", "invalid")) if takes_up else 0
    but = f", but for the {failed:,} of them that were rejected or invalid" if failed else ""
    say(
        f"Going on with delivery {ledger.delivery_id}, attempt {ledger.attempts + 1}: {len(ledger.settled):,} records "
        f"are settled already ({ledger.counts['delivered']:,} delivered) and are not sent again{but}."
    )
    return ledger


def take_over(ledger: Ledger, folder: Folder, host: str | None, say: Callable[[str], None]) -> None:
    """
    Go on without the folder of an attempt that ran on another machine, as far as that one is not seen from here.

    :param ledger: of the delivery, which is changed
    :param folder: of the delivery, as this machine sees it
    :param host: this machine's name, ``None`` where all machines see the same folder
    :param say: takes the line that says what is not here
    :raises StorageError: when the folder cannot be looked into
    """
    before, ledger.host = ledger.host, host
    if before is None:
        return
    listed = ""
    # A part of the same name may be here, of an attempt before that.
    if ledger.parts and (before != host or missing_part(folder, ledger.parts)):
        ledger.parts = []
        failed = sum(ledger.counts[outcome] for outcome in ("invalid", "rejected", "unknown"))
        listed = f" {failed:,} records that failed are listed there alone; they are settled, and counted here."
    if listed or before != host:
        say(f"Warning: the attempt before this one ran on {before}, whose {folder} is not seen from here.{listed}")


def check_holder(store: LedgerStore, attempt: str | None, delivery_id: str) -> None:
    """
    Make sure that no later attempt has claimed the delivery.

    :param store: where its ledger is kept
    :param attempt: id of this attempt, ``None`` where no other can begin
    :param delivery_id: of the delivery, which the error names
    :raises SupersededError: when a later one has begun
    :raises StorageError: when the claim cannot be read
    """
    if attempt is not None and (store.holder() or attempt) != attempt:
        raise SupersededError(
            f"Another attempt of delivery {delivery_id} has begun since this one did. This one sends and "
            "writes no more; what became of the records is in the report of the other."
        )
