"""
Publish a batch: make it part of the log, whole and once.

First its claim (``{"after": S}``: it is in no entry up to S), then its data, then its entry, then the claim again with
the entry's number. After a kill anywhere between, any process can repeat the publish, and nothing is added twice.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.log.append import Passed, append
from airflow_provider_osmosdest.core.mailbox.log.entry import Entry, decode, encode, entry_name
from airflow_provider_osmosdest.core.mailbox.log.gzip_segments import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_osmosdest.core.mailbox.log.gzip_segments import Packed
    from airflow_provider_osmosdest.core.mailbox.log.log import Log
    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["Published", "publish", "settle"]

_BATCH_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Published:
    """
    The outcome of a publish.

    :param entry: the batch's entry in the log
    :param already: an earlier publish of the same ``batch_id`` had put it there, and this one added nothing
    """

    entry: Entry
    already: bool


def publish(
    store: Store,
    log: Log,
    lines: Iterable[bytes | memoryview],
    *,
    batch_id: str,
    producer: str = "",
    schema: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Published:
    """
    Publish a batch, unless one with its id was.

    :param store: the mailbox's store
    :param log: its log
    :param lines: the NDJSON, cut anywhere; each record ends in a newline
    :param batch_id: the same in every retry: 1 to 200 letters, digits, dots, dashes and underscores, no dot first
    :param producer: who publishes, for people
    :param schema: the digest of the schema that the records were checked against
    :param clock: seconds since the epoch
    :raises ValueError: there is no record, the last one has no newline, or the id cannot be one
    :raises StorageError: it may or may not be in the log; publish it again
    """
    if not _BATCH_ID.fullmatch(batch_id):
        raise ValueError(
            f"batch_id is {batch_id!r}; expected 1 to 200 letters, digits, dots, dashes and underscores, no dot first"
        )
    packed = pack(lines)
    after, settled = _claim(store, batch_id, log.near_tail())
    if settled is not None:
        return Published(settled, already=True)
    stem = f"data/{batch_id}-{packed.sha256[:16]}"
    draft = Entry(
        seq=0,
        batch_id=batch_id,
        data=_upload(store, stem, packed),
        records=packed.records,
        bytes=len(packed.data),
        raw_bytes=packed.raw_bytes,
        sha256=packed.sha256,
        first=0,
        schema=schema,
        published_at="",
        producer=producer,
        points=packed.points,
    )
    while True:
        try:
            entry, already = append(store, log, draft, after=after, clock=clock)
        except Passed as passed:
            # The purge has settled the claim if this batch was among the purged.
            _, settled = _claim(store, batch_id, after)
            if passed.found is not None and (settled is None or settled.seq != passed.found):
                # It was never in the log, and a reader whose place was purged would take what is there for its end.
                store.delete([entry_name(passed.found)])
            if settled is not None:
                return Published(settled, already=True)
            after = passed.earliest - 1
            # An entry that was left behind out of reach names the data, and a purge that finds it may delete both.
            draft = replace(draft, data=_upload(store, f"{stem}.{uuid.uuid4().hex[:8]}", packed))
        else:
            # The batch is in the log. Where the claim does not say so, publishing it again finds it there.
            with suppress(StorageError):
                _settle(store, entry, after)
            return Published(entry, already)


def settle(store: Store, entry: Entry) -> None:
    """
    Note in its claim that a batch is in the log; to be done before the entry is purged.

    Its publisher does so, unless it was killed before; publishing the batch again later would then find neither.

    :param store: the mailbox's store
    :param entry: the batch
    :raises StorageError: it could not be noted, and the entry must not be purged
    """
    claim = _read_claim(store, entry.batch_id)
    if claim is not None and "entry" not in claim:
        _settle(store, entry, int(claim["after"]))


def _claim(store: Store, batch_id: str, tail: int) -> tuple[int, Entry | None]:
    """Claim a batch; return the number after which its entry can be, and the entry where the claim has it."""
    name = _claim_name(batch_id)
    found = store.create_or_read(name, json.dumps({"after": tail}).encode())
    if found is None:
        return tail, None
    claim = _decode_claim(found, name)
    return int(claim["after"]), claim.get("entry")


def _read_claim(store: Store, batch_id: str) -> dict[str, Any] | None:
    name = _claim_name(batch_id)
    data = store.get(name)
    return None if data is None else _decode_claim(data, name)


def _decode_claim(data: bytes, name: str) -> dict[str, Any]:
    try:
        claim: dict[str, Any] = json.loads(data)
        int(claim["after"])
        if "entry" in claim:
            claim["entry"] = decode(json.dumps(claim["entry"]).encode(), name)
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{name} of the mailbox is damaged ({type(error).__name__}: {error}): something else has written there. "
            "Restore it from a copy, or delete it if its batch was never published"
        ) from error
    return claim


def _settle(store: Store, entry: Entry, after: int) -> None:
    claim = {"after": after, "seq": entry.seq, "entry": json.loads(encode(entry))}
    store.put(_claim_name(entry.batch_id), json.dumps(claim, separators=(",", ":")).encode())


def _upload(store: Store, stem: str, packed: Packed) -> str:
    """Store a batch's data and return its name, never over an object that may be in use or about to be purged."""
    name = f"{stem}.ndjson.gz"
    while not store.create_once(name, packed.data):
        name = f"{stem}.{uuid.uuid4().hex[:8]}.ndjson.gz"
    return name


def _claim_name(batch_id: str) -> str:
    return f"claims/{batch_id}.json"
