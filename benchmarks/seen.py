"""
Seen keys: how fast records are checked against millions of keys, in how much memory, and what it costs to add some.

Usage: ``python benchmarks/seen.py [--keys 10000000] [--records 100000] [--rounds 9]``. Records (about 240 bytes each,
in random order) are checked by the block, from their lines to what is known of them; the best round of each counts, in
CPU seconds, so that a busy machine counts less. Keys that are no record's are random bytes, as hashes are. The records
are in memory, 24 MB of them, before they are checked, and so part of the peak.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from figures import BENCHMARKS_PAGE, show
from tables import table

from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.key_table import KeyFilter
from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES, RecordKeys
from airflow_provider_osmosdest.core.seen.segments import list_segments
from airflow_provider_osmosdest.core.seen.store import SeenStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = DestinationSchema.load(
    [{"name": name, "type": "string"} for name in ("id", "email", "name", "city", "note")],
)
BLOCK = 550  # records of 240 bytes in a block of 128 KB
SEGMENT = 500_000
SHARES = {"all seen": 0.0, "90 % seen, 10 % new": 0.1, "all new": 1.0}


def lines(numbers: list[int], new: float = 0.0) -> Iterator[bytes]:
    """Yield blocks of records, a share of which is not what it was."""
    rng = random.Random(1)
    for start in range(0, len(numbers), BLOCK):
        yield b"".join(
            b'{"id":"%d","email":"user%d@example.com","name":"Some Name","city":"%s","note":"%s"}\n'
            % (number, number, b"Bremen" if rng.random() < new else b"Berlin", b"x" * 150)
            for number in numbers[start : start + BLOCK]
        )


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def rss_mb() -> float:
    """Return the peak resident memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def fill(store: SeenStore, keys: int, records: int) -> None:
    """Let the store hold so many keys, those of the records in all of its segments."""
    segments = max(1, keys // SEGMENT)
    whole = RecordKeys(SCHEMA)
    for number in range(segments):
        mine = [key for block in lines(list(range(number, records, segments))) for key in whole.of(block)]
        raw = os.urandom((keys // segments - len(mine)) * KEY_BYTES)
        mine += [raw[at : at + KEY_BYTES] for at in range(0, len(raw), KEY_BYTES)]
        store.append(f"run {number}", mine)


def check(folder: Path, records: int, rounds: int) -> dict[str, float]:
    """Load the store, check the records, and return records/s and more by name."""
    figures: dict[str, float] = {}
    store = SeenStore(folder)
    start = time.process_time()
    table = store.load()
    figures["keys"] = len(table)
    figures["seconds to load them"] = time.process_time() - start
    rng = random.Random(1)
    whole, by_id = RecordKeys(SCHEMA), RecordKeys(SCHEMA, ["id"])
    numbers = list(range(records))
    rng.shuffle(numbers)
    for name, new in SHARES.items():
        blocks = list(lines(numbers, new))
        hashing = looking = checking = float("inf")
        for _ in range(rounds):
            keys = [whole.of(block) for block in blocks]
            looking = min(looking, timed(lambda keys=keys: [table.contains(each) for each in keys]))  # type: ignore[misc]
            del keys
            hashing = min(hashing, timed(lambda blocks=blocks: [whole.of(block) for block in blocks]))  # type: ignore[misc]
            checking = min(
                checking,
                timed(lambda blocks=blocks: [table.contains(whole.of(block)) for block in blocks]),  # type: ignore[misc]
            )
        figures[f"{name}: keys looked up a second"] = records / looking
        figures[f"{name}: records checked a second"] = records / checking
        figures["records hashed a second"] = records / hashing
    figures["the same by one field"] = records / timed(lambda: [by_id.of(block) for block in blocks])
    figures["peak MB"] = rss_mb()
    key_filter = KeyFilter(table)
    figures["all new: records checked and remembered a second"] = records / timed(
        lambda: [key_filter.duplicates(whole.of(block)) for block in blocks]
    )
    return figures


def append(folder: Path, added: int) -> dict[str, float]:
    """Add keys to the store, and see what that writes."""
    before = {segment.path.name for segment in list_segments(folder)}
    keys = [os.urandom(KEY_BYTES) for _ in range(added)]
    seconds = timed(lambda: SeenStore(folder).append("one more run", keys))
    now = {segment.path.name for segment in list_segments(folder)}
    assert before <= now
    return {
        "keys added": added,
        "objects written for them": len(now - before),
        "objects rewritten for them": len(before - now),
        "keys added a second": added / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In a process of its own: what filling takes is not what checking takes.
        child = os.fork()
        if child == 0:
            fill(SeenStore(folder), options.keys, options.records)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("the store could not be filled")
        found = check(folder, options.records, options.rounds) | append(folder, options.records)
    rows = [(name, f"{figure:,.{2 if name.startswith('seconds') else 0}f}") for name, figure in found.items()]
    show("seen-keys", table(("", "figure"), rows), write_to=BENCHMARKS_PAGE if options.write else None)


if __name__ == "__main__":
    main()
