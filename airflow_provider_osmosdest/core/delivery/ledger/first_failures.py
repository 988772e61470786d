"""The first records of a failures file, in a form for the log and the report."""

from __future__ import annotations

import heapq
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.ledger.failures import index_of
from airflow_provider_osmosdest.core.delivery.report import FailedRecord, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["FIRST", "first_failures"]

FIRST = 10
"""How many records the log and the report name."""

_READ_BYTES = 16 * 1024 * 1024
"""How much of a failures file is read for them, in bytes: parts as large as that are nearly in order."""
_ERROR_CHARS, _VALUE_CHARS = 500, 80


def first_failures(
    folder: Folder,
    failures_path: str | None,
    *,
    key_fields: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    redact: Callable[[str], str] = str,
) -> tuple[FailedRecord, ...]:
    """
    Return the failed records with the smallest indexes, those that were not sent only where there are few others.

    :param folder: of the delivery
    :param failures_path: its failures file, with a ``*`` where it has several parts; ``None`` for no failures
    :param key_fields: the fields a record is known by
    :param mapping: field name to source column, which invalid records still have
    :param redact: takes the destination's secrets out of a text
    """
    if failures_path is None:
        return ()
    try:
        parts = sorted(folder.glob(failures_path.rpartition("/")[2]), key=str)
        lines = heapq.nsmallest(
            FIRST, (line for part in parts for line in _head(part, _READ_BYTES // len(parts))), key=_rank
        )
        found = [_failed_record(json.loads(line), key_fields, mapping or {}, redact) for line in lines]
        return tuple(sorted(found, key=lambda each: each.index))
    # Every record is in the failures file already: the delivery must not fail for a few lines of the log.
    except Exception:  # noqa: BLE001 - whatever a store raises
        return ()


def _rank(line: bytes) -> tuple[bool, int]:
    # {"index":123,"outcome":"unsent",…
    return line.startswith(b',"outcome":"unsent"', line.index(b",")), index_of(line)


def _head(part: Any, most: int) -> Iterator[bytes]:
    read = 0
    with part.open("rb") as file:
        for line in file:
            yield line
            read += len(line)
            if read >= most:
                return


def _failed_record(
    failure: Mapping[str, Any], key_fields: Sequence[str], mapping: Mapping[str, str], redact: Callable[[str], str]
) -> FailedRecord:
    record = failure["record"]
    key = {}
    if isinstance(record, dict):
        columns = {name: mapping.get(name, name) if failure["outcome"] == "invalid" else name for name in key_fields}
        key = {name: _shown(record[column], redact) for name, column in columns.items() if column in record}
    return FailedRecord(
        # The place in the source, also where it failed once more when it was delivered again.
        index=failure.get("first_index", failure["index"]),
        row=failure.get("row"),
        key=key,
        outcome=failure["outcome"],
        status=failure["status"],
        error=shortened(redact(failure["error"]), _ERROR_CHARS),
    )


def _shown(value: Any, redact: Callable[[str], str]) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return shortened(redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), _VALUE_CHARS)
