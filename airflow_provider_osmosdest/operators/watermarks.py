"""Store the watermark of an incremental pull in the state of the task's asset, where there is one (Airflow 3.3)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
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
    """

    def __init__(self, accessor: Any, key: str, file: DocumentStore) -> None:
        self._accessor = accessor
        self._key = key
        self._file = file

    def load(self) -> bytes | None:
        """Return the document, ``None`` if there is none."""
        try:
            value = self._accessor.get(self._key)
        except Exception as error:
            raise _failed("read", error) from error
        return self._file.load() if value is None or value == _IN_FILE else json.dumps(value).encode()

    def save(self, document: bytes, *, last: bool = False) -> None:
        """Replace the document."""
        large = len(document) > STATE_BYTES
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
    """
    from airflow.sdk import Asset

    found = {asset.name: asset for asset in assets if isinstance(asset, Asset)}
    states = context.get("asset_state_store")
    if order.watermark is None or states is None or len(found) != 1:
        return order
    dag_id, _, task_id, map_index = instance
    (asset,) = found.values()
    key = f"osmosdest_incremental/{dag_id}/{task_id}/{map_index}"
    return replace(order, watermark=AssetWatermarkStore(states[asset], key, order.watermark))


def _failed(what: str, error: Exception) -> StorageError:
    return StorageError(
        f"what an incremental pull keeps between runs cannot be {what} in the asset's state: {error}. Check that the "
        "API server works, then retry the task."
    )
