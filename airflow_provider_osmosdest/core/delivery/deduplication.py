"""Set up the deduplicator that the option ``deduplicate`` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.ledger.failures import failed_indexes
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.seen.deduplicator import Deduplicator
from airflow_provider_osmosdest.core.seen.keys import RecordKeys
from airflow_provider_osmosdest.core.seen.paths import scope_of_keys
from airflow_provider_osmosdest.core.seen.store import SeenStore

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger
    from airflow_provider_osmosdest.core.delivery.model import Delivery
    from airflow_provider_osmosdest.core.http.target import Destination
    from airflow_provider_osmosdest.core.seen.share import KeyShare
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["deduplicator_of", "seen_folder"]


def deduplicator_of(
    delivery: Delivery[Destination], ledger: Ledger, *, keeping: bool, share: KeyShare | None = None
) -> Deduplicator | None:
    """
    Return the deduplicator of a delivery, ``None`` where every record is to be sent.

    :param delivery: the delivery
    :param ledger: its ledger
    :param keeping: whether the keys of delivered records are kept for later deliveries
    :param share: which records are this delivery's, ``None`` for all
    :raises OptionsError: when the key is no field of the schema
    :raises StorageError: when the kept keys cannot be read
    """
    options = delivery.options
    if options.deduplicate not in ("in_file", "records"):
        return None
    keys = RecordKeys(delivery.schema, options.key_fields)
    if options.deduplicate == "in_file":
        return Deduplicator(keys, None, ledger.delivery_id, share=share)
    store = SeenStore(seen_folder(delivery) / scope_of_keys(options.key_fields))
    failed = failed_indexes(delivery.folder, ledger.parts)
    return Deduplicator(keys, store, ledger.delivery_id, keeping=keeping, failed=failed, share=share)


def seen_folder(delivery: Delivery[Destination]) -> Folder:
    """
    Return the folder with what earlier deliveries to this destination have left: the keys of records and failures.

    :raises OptionsError: when the delivery has no such folder
    """
    if delivery.seen is None:
        name = "remember_failures" if delivery.options.remember_failures else "deduplicate"
        msg = f"{name}: found {getattr(delivery.options, name)!r}, which needs a folder to keep what was seen in"
        raise OptionsError(msg)
    return delivery.seen
