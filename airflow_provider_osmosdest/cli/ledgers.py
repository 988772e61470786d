"""Find the ledger of a delivery, in a task's state or a folder, and read as much of it as can be read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_osmosdest.cli.task_state import find_instance, stored_task_state
from airflow_provider_osmosdest.core.delivery.ledger.ledger import read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.hooks.delivery import delivery_folder, folder_at
from airflow_provider_osmosdest.operators.state_store import LEDGER_KEY, TaskStateLedgerStore, ledger_store
from airflow_provider_osmosdest.settings import load_settings

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_osmosdest.cli.task_state import Instance, StoredTaskState
    from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger, LedgerStore

__all__ = ["Found", "Place", "found_at", "place_of", "where", "written_at"]

_ID = re.compile(r"[0-9a-f]{32}")
_FILE = "ledger.json"


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a delivery is kept.

    :param folder: its folder
    :param store: keeps its ledger
    :param instance: the task instance it belongs to, ``None`` for one that was begun by hand
    :param state: what Airflow keeps of that, ``None`` where it keeps nothing
    """

    folder: Any
    store: LedgerStore
    instance: Instance | None = None
    state: StoredTaskState | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """
    A ledger as far as it could be read.

    :param entry: its content, ``None`` where it cannot be read, or there is none
    :param error: why it cannot be read, empty where it can
    :param readable: the readable part of one that is damaged
    """

    entry: Ledger | None
    error: str
    readable: dict[str, Any]

    @property
    def status(self) -> str:
        """The state of the ledger, in one word."""
        if self.error:
            return "damaged"
        if self.entry is None:
            return "none"
        return "complete" if self.entry.complete else "open"

    @property
    def delivery_id(self) -> str | None:
        """The delivery's id, as far as it can be read."""
        if self.entry is not None:
            return self.entry.delivery_id
        kept = self.readable.get("delivery_id")
        return kept if isinstance(kept, str) and _ID.fullmatch(kept) else None


def place_of(args: Namespace) -> Place:
    """
    Return where the delivery is kept that the arguments name.

    :raises ConfigurationError: when none is named, or none such is there
    """
    named = [args.dag_id, args.run_id, args.task_id]
    if args.folder:
        if any(named) or args.map_index != -1:
            msg = "expected --folder, or --dag-id, --run-id and --task-id, and not both"
            raise ConfigurationError(msg)
        folder = folder_at(args.folder)
        _check_not_of_a_task(folder)
        return Place(folder, FolderLedgerStore(folder))
    if not all(named):
        msg = "expected --dag-id, --run-id and --task-id (and --map-index of a mapped task), or --folder"
        raise ConfigurationError(msg)
    instance = find_instance(args.dag_id, args.run_id, args.task_id, args.map_index)
    folder = delivery_folder(instance.path)
    state = stored_task_state(instance)
    return Place(folder, ledger_store(state, folder), instance, state)


def _check_not_of_a_task(folder: Any) -> None:
    """Refuse the folder of a task instance whose ledger is elsewhere: a ledger there may be out of date."""
    root = f"{load_settings().storage_path}/deliveries/"
    text = str(folder)
    parts = [unquote(part) for part in text.partition(root)[2].split("/") if part]
    if len(parts) != 4 or not re.fullmatch(r"-?\d+", parts[3]):  # noqa: PLR2004 - dag, run, task and map index
        return
    dag_id, run_id, task_id, map_index = parts
    try:
        instance = find_instance(dag_id, run_id, task_id, int(map_index))
    except ConfigurationError:
        return
    if stored_task_state(instance) is not None:
        msg = (
            f"--folder: {text} is a task's, and its ledger is in Airflow's task state; say --dag-id {dag_id} "
            f"--run-id {run_id} --task-id {task_id}" + (f" --map-index {map_index}" if map_index != "-1" else "")
        )
        raise ConfigurationError(msg)


def found_at(place: Place) -> Found:
    """Read the ledger, as far as that goes."""
    document: bytes | None = None
    try:
        document = place.store.load()
        return Found(None if document is None else read_ledger(document), "", {})
    except StorageError as error:
        return Found(None, str(error), {} if document is None else _readable(document))


def _readable(document: bytes) -> dict[str, Any]:
    """Return the part of a damaged ledger that can be read."""
    try:
        values = json.loads(document)
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: values[name] for name in ("delivery_id", "complete", "attempts", "counts") if name in values}


def written_at(place: Place) -> datetime | None:
    """Return when the ledger was written last, ``None`` where its store does not give it."""
    if place.state is not None:
        if (at := place.state.written_at(LEDGER_KEY)) is None:
            return None
        if place.state.get(LEDGER_KEY) != TaskStateLedgerStore.SPILLED:
            return at
    try:
        return datetime.fromtimestamp((place.folder / _FILE).stat().st_mtime, UTC)
    except (OSError, AttributeError):
        # An object store need not give it.
        return None


def where(place: Place) -> str:
    """Describe where the ledger is."""
    if place.state is None or place.state.get(LEDGER_KEY) == TaskStateLedgerStore.SPILLED:
        return str(place.folder / _FILE)
    return f"task state {LEDGER_KEY}"
