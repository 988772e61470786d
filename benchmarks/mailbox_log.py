"""
What a mailbox's log costs, and whether it holds.

``cost`` measures publish, poll and page at mailboxes of 10, 1,000 and 100,000 batches: the requests to the store, and
the time on a local disk. Large mailboxes are made quickly, by writing entries and data as a publish would.

``stress`` lets processes write and read at once, on a disk, over S3's protocol (moto) or Azure's (azurite from npm),
kills writers, and counts what is missing, doubled or out of order.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from figures import BENCHMARKS_PAGE, show
from tables import table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.log.entry import Entry, encode, entry_name, timestamp
from airflow_provider_osmosdest.core.mailbox.log.gzip_segments import pack
from airflow_provider_osmosdest.core.mailbox.log.log import TAIL_NAME
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.disk import Disk
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.testing.mailbox_stress import Place, stress
from tests.mailbox_servers import BUCKET, azure_server, s3_options, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 1_000, 100_000)
RECORDS = 1_000
LARGE = 250_000
REPEATS = 40
RECORD = b'{"id":%07d,"name":"customer %07d","email":"c%07d@example.com","city":"Wien","amount":12.50,"note":"%s"}\n'


class Counting(Disk):
    """A disk that counts its requests."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in {"create", "put", "get", "size", "names", "delete"}:
            self.requests.append(name)
        return super().__getattribute__(name)


def lines(count: int) -> bytes:
    return b"".join(RECORD % (n, n, n, b"n" * 90) for n in range(count))


def fill(root: Path, batches: int) -> None:
    """Write a mailbox of so many batches of 1,000 records; their data is one file with many names."""
    packed = pack([lines(RECORDS)])
    for folder in ("log", "data"):
        (root / folder).mkdir(parents=True)
    published_at = timestamp(datetime.now(UTC))
    for seq in range(1, batches + 1):
        batch_id = f"b{seq}"
        name = f"data/{batch_id}-{packed.sha256[:16]}.ndjson.gz"
        if seq % 10_000 == 1:  # a file has only so many names
            shared = root / name
            shared.write_bytes(packed.data)
        else:
            (root / name).hardlink_to(shared)
        entry = Entry(
            seq=seq,
            batch_id=batch_id,
            data=name,
            records=RECORDS,
            bytes=len(packed.data),
            raw_bytes=packed.raw_bytes,
            sha256=packed.sha256,
            first=(seq - 1) * RECORDS,
            schema=None,
            published_at=published_at,
            producer="benchmark",
            points=packed.points,
        )
        (root / entry_name(seq)).write_bytes(encode(entry))
    # What was written here must not be paid for by the first publish.
    os.sync()
    (root / TAIL_NAME).write_text(f'{{"seq":{batches}}}')


def measured(mailbox: Mailbox, act: Callable[[int], object], repeats: int = REPEATS) -> tuple[float, int]:
    """Return the median time of an act in milliseconds, and the requests of its last run."""
    times, requests = [], 0
    backend = mailbox.store._backend  # noqa: SLF001 - what is measured is the seam itself
    for number in range(repeats):
        backend.requests.clear()
        began = time.perf_counter()
        act(number)
        times.append(time.perf_counter() - began)
        requests = len(backend.requests)
    return median(times) * 1000, requests


def opened(root: Path) -> Mailbox:
    return Mailbox(Store(root, backend=Counting(root)), MailboxSettings("benchmark"))


def cost(write_to: Path | None) -> None:
    columns: dict[str, list[tuple[float, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="osmosdest-bench-") as text:
        for size in SIZES:
            root = Path(text) / str(size)
            fill(root, size)
            mailbox = opened(root)
            end, middle = Position(size + 1), max(1, size // 3)
            few = lines(100)

            def page(number: int, records: int, offset: int = 0, mailbox: Mailbox = mailbox, at: int = middle) -> None:
                # Another batch each time, so that no entry is remembered.
                mailbox.log._cache.clear()  # noqa: SLF001
                got = mailbox.read(Position(at + number % 3, offset), limit=records, max_bytes=2**23)
                assert got.count == records

            def poll(_: int, mailbox: Mailbox = mailbox, end: Position = end) -> None:
                assert mailbox.read(end, limit=500, max_bytes=2**23).up_to_date

            def has_new(_: int, mailbox: Mailbox = mailbox, end: Position = end) -> None:
                assert not mailbox.has_new(end)

            def first_poll(_: int, mailbox: Mailbox = mailbox, end: Position = end) -> None:
                fresh = Mailbox(mailbox.store, MailboxSettings("benchmark"))
                assert not fresh.has_new(end)

            def tail(_: int, mailbox: Mailbox = mailbox, size: int = size) -> None:
                fresh = Mailbox(mailbox.store, MailboxSettings("benchmark"))
                found = fresh.log.tail()
                assert found is not None
                assert found.seq == size

            def publish(number: int, mailbox: Mailbox = mailbox, few: bytes = few) -> None:
                mailbox.publish([few], batch_id=f"new-{number}", producer="benchmark")

            for name, act in (
                ("idle read", poll),
                ("idle has_new", has_new),
                ("first has_new of a process", first_poll),
                ("page of 500 records", lambda n, page=page: page(n, 500)),
                ("page of 500 from the middle", lambda n, page=page: page(n, 500, 250)),
                ("page of 5,000 records", lambda n, page=page: page(n, 5_000)),
                ("log's end, first time", tail),
                ("publish 100 records", publish),
            ):
                columns.setdefault(name, []).append(measured(mailbox, act))
        what = f"On a local disk, median of {REPEATS}; milliseconds (requests to the store)"
        found = table(
            ["", *(f"{size:,} batches" for size in SIZES), "last / first"],
            [
                [name, *(f"{ms:.3f} ({requests})" for ms, requests in found), f"{found[-1][0] / found[0][0]:.2f}"]
                for name, found in columns.items()
            ],
        )
        show("mailbox-log", f"{what}\n\n{found}\n\n{large(Path(text) / 'large')}", write_to=write_to)


def large(root: Path) -> str:
    """Measure pages out of one large batch, and return what they take."""
    mailbox = opened(root)
    raw = lines(LARGE)
    began = time.perf_counter()
    entry = mailbox.publish([raw[at : at + 2**17] for at in range(0, len(raw), 2**17)], batch_id="large").entry
    took = time.perf_counter() - began
    what = (
        f"One batch of {LARGE:,} records: {len(raw) / 1e6:.0f} MB of NDJSON, {entry.bytes / 1e6:.1f} MB stored, "
        f"published in {took:.2f} s ({len(raw) / 1e6 / took:.0f} MB/s)"
    )
    rows = []
    for records in (500, 5_000):
        for offset in (0, LARGE // 2 + 250, LARGE - records):
            at = Position(1, offset)
            ms, requests = measured(
                mailbox, lambda _, at=at, records=records: mailbox.read(at, limit=records, max_bytes=2**23)
            )
            rows.append([f"{records:,} records from {offset:,}", f"{ms:.2f}", str(requests)])
    return f"{what}\n\n{table(['page', 'ms', 'requests'], rows)}"


def run_stress(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        if options.store == "s3":
            place = Place(f"s3://{BUCKET}/stress", s3_options(stack.enter_context(s3_server())))
        elif options.store == "azure":
            import adlfs

            connection = {"connection_string": stack.enter_context(azure_server())}
            adlfs.AzureBlobFileSystem(**connection).mkdir(BUCKET)
            place = Place(f"abfs://{BUCKET}/stress", connection)
        else:
            place = Place(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osmosdest-"))).as_uri())
        # Beginning a process that imports a cloud's client takes a second or two of a core.
        found = stress(
            place,
            seconds=options.seconds,
            writers=options.writers,
            readers=options.readers,
            kill_every=1 if options.store == "local" else 10,
        )
    what = f"{options.writers} writers and {options.readers} readers for {options.seconds:.0f} s on {options.store}"
    rows = [
        ["batches", f"{found.batches:,}"],
        ["records written", f"{found.records:,}"],
        *(["records read by reader " + str(number), f"{read:,}"] for number, read in enumerate(found.read, 1)),
        ["writers killed and begun anew", f"{found.kills:,}"],
        ["missing", str(found.missing)],
        ["duplicates", str(found.duplicates)],
        ["readers that saw another order", str(found.disagreements)],
        ["seconds until all was read", f"{found.seconds:.1f}"],
    ]
    page = BENCHMARKS_PAGE if options.write else None
    show(f"mailbox-stress-{options.store}", f"{what}\n\n{table(['', 'figure'], rows)}", write_to=page)
    if found.missing or found.duplicates or found.disagreements or set(found.read) != {found.records}:
        sys.exit("the log does not hold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cost")
    stressing = commands.add_parser("stress")
    stressing.add_argument("--store", choices=["local", "s3", "azure"], default="local")
    stressing.add_argument("--seconds", type=float, default=60)
    stressing.add_argument("--writers", type=int, default=8)
    stressing.add_argument("--readers", type=int, default=4)
    options = parser.parse_args()
    if options.command == "cost":
        cost(BENCHMARKS_PAGE if options.write else None)
    else:
        run_stress(options)


if __name__ == "__main__":
    main()
