"""
Writers and readers of one mailbox as real processes, writers among them that are killed, and a count of every fault.

A record contains its position: ``{"writer", "batch", "record"}``. So each reader can tell whether one is missing,
doubled or out of order, and what all readers have seen must be the same, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import SpawnProcess
    from multiprocessing.process import BaseProcess

__all__ = ["Figures", "Place", "stress"]

_PAGE = 2000
_PAGE_BYTES = 4 * 2**20
_TWICE = 0.1
_SLOWEST_START = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the mailbox is, in a form that goes to another process.

    :param url: its root
    :param options: fsspec's storage options
    """

    url: str
    options: dict[str, Any] = field(default_factory=dict)

    def mailbox(self) -> Mailbox:
        """Open the mailbox."""
        store = Store(UPath(self.url, **self.options))
        store.probe()
        return Mailbox(store, MailboxSettings("stress"))


@dataclass(frozen=True, slots=True)
class Figures:
    """
    The result of a run.

    :param seconds: from when every writer had published to the last read
    :param batches: in the log
    :param records: in the log
    :param kills: how many writers were killed and begun anew
    :param read: how many records each reader has read
    :param missing: records that a reader had not read when its writer's next came, or at the end
    :param duplicates: records that a reader has read again
    :param disagreements: readers that have seen another order than the first one
    """

    seconds: float
    batches: int
    records: int
    kills: int
    read: tuple[int, ...]
    missing: int
    duplicates: int
    disagreements: int


def stress(
    place: Place, *, seconds: float, writers: int = 8, readers: int = 4, records: int = 50, kill_every: float = 1.0
) -> Figures:
    """
    Write and read for a while, and count.

    :param place: an empty mailbox
    :param seconds: how long the writers write once each has published; the readers end when they have read all of it
    :param writers: processes that publish
    :param readers: processes that read
    :param records: records of a batch, one more or less at random
    :param kill_every: seconds between two writers being killed (``SIGKILL``)
    :raises AssertionError: a process failed
    """
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="osmosdest-stress-") as text:
        folder = Path(text)
        place.mailbox()
        stop = spawn.Event()
        over = spawn.Event()

        def writer(number: int) -> SpawnProcess:
            process = spawn.Process(target=_write, args=(place, folder, number, records, stop), daemon=True)
            process.start()
            return process

        began = time.monotonic()
        writing = [writer(number) for number in range(writers)]
        reading = [
            spawn.Process(target=_read, args=(place, folder, number, over), daemon=True) for number in range(readers)
        ]
        for process in reading:
            process.start()
        while not all((folder / f"writer-{number}").exists() for number in range(writers)):
            assert time.monotonic() - began < _SLOWEST_START, "a writer does not get to publish its first batch"
            time.sleep(0.02)
        kills = 0
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(min(kill_every, seconds))
            number = kills % writers
            if time.monotonic() - began < seconds:
                writing[number].kill()
                writing[number].join()
                writing[number] = writer(number)
                kills += 1
        stop.set()
        _join(writing)
        over.set()
        _join(reading)
        return _figures(place, folder, time.monotonic() - began, kills, readers)


def _join(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.join(120)
        assert process.exitcode == 0, f"{process.name} ended with {process.exitcode}"


def _write(place: Place, folder: Path, number: int, records: int, stop: Any) -> None:
    """Publish batch after batch, each of which is noted before, so that the next process goes on with it."""
    mailbox, progress = place.mailbox(), folder / f"writer-{number}"
    batch = int(progress.read_text()) if progress.exists() else 0
    while True:
        # How long a batch is follows from its number, as the writer after a kill must publish the same.
        count = max(1, records + random.Random(f"{number}-{batch}").randint(-1, 1))  # noqa: S311 - no secret
        lines = b"".join(
            b'{"writer":%d,"batch":%d,"record":%d,"text":"%s"}\n' % (number, batch, each, b"x" * 100)
            for each in range(count)
        )
        attempts = 2 if random.random() < _TWICE else 1  # noqa: S311 - no secret
        while attempts:
            with suppress(StorageError):
                mailbox.publish([lines], batch_id=f"w{number}-{batch}", producer=f"writer {number}")
                attempts -= 1
        batch += 1
        waiting = progress.with_suffix(".new")
        waiting.write_text(str(batch))
        waiting.replace(progress)
        if stop.is_set():
            return


def _read(place: Place, folder: Path, number: int, over: Any) -> None:
    """Read to the end, and count missing, doubled and misplaced records."""
    mailbox = place.mailbox()
    cursor = None
    read = missing = duplicates = 0
    digest = hashlib.sha256()
    expected: dict[int, tuple[int, int]] = {}
    while True:
        last_round = over.is_set()
        try:
            page = mailbox.read(cursor, limit=_PAGE, max_bytes=_PAGE_BYTES)
        except StorageError:
            continue
        for line in page.lines.splitlines():
            record = json.loads(line)
            writer, at = record["writer"], (record["batch"], record["record"])
            batch, next_record = expected.get(writer, (0, 0))
            if at < (batch, next_record):
                duplicates += 1
            elif at not in {(batch, next_record), (batch + 1, 0)}:
                missing += 1
            expected[writer] = (at[0], at[1] + 1)
        digest.update(page.lines)
        read += page.count
        cursor = mailbox.cursor_text(page.next.position)
        if page.up_to_date:
            if last_round:
                break
            time.sleep(0.02)
    result = {"read": read, "missing": missing, "duplicates": duplicates, "digest": digest.hexdigest()}
    (folder / f"reader-{number}.json").write_text(json.dumps(result))


def _figures(place: Place, folder: Path, seconds: float, kills: int, readers: int) -> Figures:
    tail = place.mailbox().log.tail()
    assert tail is not None
    found = [json.loads((folder / f"reader-{number}.json").read_text()) for number in range(readers)]
    records = tail.first + tail.records
    return Figures(
        seconds=seconds,
        batches=tail.seq,
        records=records,
        kills=kills,
        read=tuple(each["read"] for each in found),
        missing=sum(each["missing"] + max(0, records - each["read"]) for each in found),
        duplicates=sum(each["duplicates"] for each in found),
        disagreements=sum(each["digest"] != found[0]["digest"] for each in found),
    )
