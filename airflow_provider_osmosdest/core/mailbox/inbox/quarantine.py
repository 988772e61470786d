"""
Keep the invalid records of a body whose valid ones are published.

One object for each body that held some, ``quarantine/{batch_id}.ndjson``, a failure record a line: as in a delivery's
failures file, so it can be mended and delivered in the same ways.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["failure_line", "quarantine"]


def failure_line(index: int, error: str, record: bytes, *, textual: bool) -> bytes:
    """
    Return one failure record as a line.

    :param index: 0-based in the body
    :param error: why it is invalid
    :param record: its JSON, in one line
    :param textual: it comes from CSV, whose values have no types
    """
    middle = (
        f',"outcome":"invalid","status":null,"error":{json.dumps(error, ensure_ascii=False)},"attempts":0,"record":'
    )
    mark = b',"textual":true' if textual else b""
    return b'{"index":%d%s%s%s}\n' % (index, middle.encode(errors="replace"), record, mark)


def quarantine(store: Store, batch_id: str, lines: Iterable[bytes]) -> str:
    """
    Write failure records durably; writing the same again changes nothing.

    :param batch_id: of the batch that the valid records of the same body are in
    :param lines: of :func:`failure_line`
    :return: the object's name
    :raises StorageError: the store cannot be written
    """
    name = f"quarantine/{batch_id}.ndjson"
    store.put(name, b"".join(lines))
    return name
