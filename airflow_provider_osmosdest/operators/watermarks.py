"""Store the watermark of an incremental pull in the state of the task's asset, where there is one (Airflow 3.3)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.hooks.delivery import watermark_folder
from airflow_provider_osmosdest.hooks.shared_storage import check_shared, one_machine_only
from airflow_provider_osmosdest.operators.airflow_limits import STATE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_provider_osmosdest.core.delivery.ledger.ledger import DocumentStore
    from airflow_provider_osmosdest.core.source.pull_runner import PullOrder

__all__ = ["AssetWatermarkStore", "with_watermark"]

_IN_FILE = {"in": "file"}


class AssetWatermarkStore:
    """
    Store a watermark in an asset's state, or in a file while it is large, which the state then says.

    :param accessor: the state of one asset
    :param key: of this task in it
    :param file: the other place, which is read where the state has nothing
    :param spills: a large one may go to the file; else it stays in the state, of whose size Airflow then warns
    """

    def __init__(self, accessor: Any, key: str, file: DocumentStore, *, spills: bool = True) -> None:
        self._accessor = accessor
        self._key = key
        self._file = file
        self._spills = spills

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        try:
            value = self._accessor.get(self._key)
        except Exception as error:
            raise _failed("read", error) from error
        return self._file.load() if value is None or value == _IN_FILE else json.dumps(value).encode()

    def save(self, document: bytes, *, last: bool = False) -> None:
        """Replace the document."""
        large = self._spills and len(document) > STATE_BYTES
        if large:
            self._file.save(document, last=last)
        try:
            self._accessor.set(self._key, _IN_FILE if large else json.loads(document))
        except Exception as error:
            raise _failed("written", error) from error


def with_watermark(order: PullOrder, context: Context, instance: tuple[str, ...], assets: Sequence[Any]) -> PullOrder:
    """
    Return the order with its watermark in the state of the task's asset, if it has exactly one.

    :param instance: dag id, run id, task id and map index
    :param assets: the task's inlets and outlets
    :raises ConfigurationError: when it would be a file that a run on another machine does not find
    """
    from airflow.sdk import Asset

    found = {asset.name: asset for asset in assets if isinstance(asset, Asset)}
    states = context.get("asset_state_store")
    if order.watermark is None:
        return order
    if states is None or len(found) != 1:
        lost = (
            "the next run would not find how far this one has come; in Airflow 3.3 an asset keeps it instead, if the "
            "task has exactly one as inlet or outlet"
        )
        check_shared(watermark_folder(instance), lost)
        return order
    dag_id, _, task_id, map_index = instance
    (asset,) = found.values()
    key = f"osmosdest_incremental/{dag_id}/{task_id}/{map_index}"
    spills = one_machine_only(watermark_folder(instance)) is None
    return replace(order, watermark=AssetWatermarkStore(states[asset], key, order.watermark, spills=spills))


def _failed(what: str, error: Exception) -> StorageError:
    return StorageError(
        f"what an incremental pull keeps between runs cannot be {what} in the asset's state: {error}. Check that the "
        "API server works, then retry the task."
    )
