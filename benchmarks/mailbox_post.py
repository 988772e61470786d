"""
Posting to an inbox beside a bare FastAPI route that parses the body and appends it to a file.

The bare route checks no token, no limit, no schema and no idempotency key, and acknowledges what a crash may lose; with
``fsync`` it loses at least nothing. Reports requests and records a second and their ratio. Every server is a process of
its own with one worker; client on one processor, servers on the other.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data import generate
from figures import BENCHMARKS_PAGE, show
from mailbox_server import MAILBOX_ID, WRITE_TOKEN
from processes import cores, server
from tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INBOX = f"/osmos/v1/mailboxes/{MAILBOX_ID}/records"
BODIES = ((1, 1), (1, 8), (500, 1), (500, 8), (40_000, 1))
"""Records in a body, and connections that post at once."""


def bodies(folder: Path) -> dict[int, bytes]:
    """Return a JSON array of each size."""
    orders = folder / "orders.ndjson"
    generate(orders, max(size for size, _ in BODIES))
    lines = orders.read_bytes().splitlines()
    return {size: b"[" + b",".join(lines[:size]) + b"]" for size, _ in BODIES}


def post(url: str, body: bytes, headers: Mapping[str, str], until: float, done: list[float], *, keyed: bool) -> None:
    """Post over one connection until the time is up; note when each answer came."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    while time.perf_counter() < until:
        key = {"Idempotency-Key": uuid.uuid4().hex} if keyed else {}
        connection.request("POST", parts.path, body, {**headers, **key})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != http.HTTPStatus.ACCEPTED:
            raise RuntimeError(f"{answer.status} {text[:500]!r}")
        assert json.loads(text)["accepted"]
        done.append(time.perf_counter())
    connection.close()


def rate(url: str, body: bytes, connections: int, seconds: float, *, keyed: bool) -> float:
    """Return requests a second."""
    headers = {"Authorization": f"Bearer {WRITE_TOKEN}", "Content-Type": "application/json"}
    done: list[float] = []
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=post, args=(url, body, headers, begun + seconds, done), kwargs={"keyed": keyed})
        for _ in range(connections)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return len(done) / (max(done) - begun)


def rounds(
    urls: Mapping[str, tuple[str, bool]], body: bytes, connections: int, seconds: float, count: int
) -> list[float]:
    """Return the median of each contender; they take turns, so that a slow spell hits all of them."""
    found: list[list[float]] = [[] for _ in urls]
    for _ in range(count):
        for rates, (url, keyed) in zip(found, urls.values(), strict=True):
            rates.append(rate(url, body, connections, seconds, keyed=keyed))
    return [statistics.median(rates) for rates in found]


def rows(urls: Mapping[str, tuple[str, bool]], folder: Path, seconds: float, count: int) -> Sequence[Sequence[str]]:
    """Measure every body, and print what is found as it is."""
    made = bodies(folder)
    lines = []
    for size, connections in BODIES:
        medians = rounds(urls, made[size], connections, seconds, count)
        bare = medians[0]
        for name, median in zip(urls, medians, strict=True):
            what = f"{size:,} x {connections}: {name}"
            lines.append([what, f"{median:,.0f}", f"{median * size:,.0f}", f"{median / bare:.2f}"])
            print(" ".join(lines[-1]), flush=True)
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="the disk to use; the temporary folder by default")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    arguments = parser.parse_args()
    client_on, servers_on = cores()
    if client_on:
        os.sched_setaffinity(0, client_on)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as home:
        place = Path(home)
        with (
            server("bare_inbox.py", "--file", f"{home}/bare", on=servers_on) as plain,
            server("bare_inbox.py", "--file", f"{home}/synced", "--fsync", on=servers_on) as synced,
            server("mailbox_server.py", "--folder", f"{home}/box", on=servers_on) as ours,
        ):
            contenders = {
                "bare route": (f"{plain}/records", False),
                "bare route, fsync": (f"{synced}/records", False),
                "inbox": (f"{ours}{INBOX}", False),
                "inbox, with a key": (f"{ours}{INBOX}", True),
            }
            measured = rows(contenders, place, arguments.seconds, arguments.rounds)
    show(
        "posting",
        table(["records x connections", "requests/s", "records/s", "of bare"], measured),
        packages=("fastapi", "uvicorn"),
        write_to=BENCHMARKS_PAGE if arguments.write else None,
    )
