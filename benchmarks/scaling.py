"""
How much faster one dataset is delivered in 1, 2 and 4 parts, and what that comes to for a billion records a day.

Each part is a process that delivers a file of its own with ``deliver()``, and all parts of a run begin together; how
Airflow starts tasks is in none of the figures. All of them and the server share this machine's cores. A run with 10
records a part tells what starting up takes, and that is subtracted. Of several rounds the fastest counts, as other work
on the machine only ever slows one. The model is arithmetic from these figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

from data import MARKER, generate
from figures import SCALING_PAGE, show
from processes import HERE, Usage, measure, server
from tables import figure, table

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = (1, 2, 4)
FEW = 10
PACKAGES = ("msgspec", "pycurl")

A_DAY = 1_000_000_000
HOURS = (24, 4)


@dataclass(frozen=True)
class Api:
    """
    What is delivered to.

    :param key: for ``--only``
    :param title: for the tables
    :param mode: ``batch`` or ``record``
    :param records: of a run, in all parts together
    :param per_request: records in a request
    :param milliseconds: until it answers; 0 for the sink, which answers at once
    :param in_flight: requests at a time of a part, in record mode
    """

    key: str
    title: str
    mode: str
    records: int
    per_request: int
    milliseconds: int = 0
    in_flight: int = 1


APIS = (
    Api("bulk", "250,000 a request, answered at once", "batch", 2_000_000, 250_000),
    Api("batch", "1,000 a request, answered after 100 ms", "batch", 100_000, 1_000, 100),
    Api("record", "1 a request, 64 in flight, answered after 100 ms", "record", 12_000, 1, 100, 64),
)


@dataclass
class Runs:
    """The runs of one number of parts, each with what every part took."""

    full: list[list[Usage]] = field(default_factory=list)
    few: list[list[Usage]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the beginning to the end of the last part, less starting up."""
        full, few = (min(max(part.seconds for part in run) for run in runs) for runs in (self.full, self.few))
        return full - few if full > few else nan

    @property
    def processor(self) -> float:
        """Seconds of processor time of all parts, less starting up."""
        full, few = (min(sum(part.processor for part in run) for run in runs) for runs in (self.full, self.few))
        return full - few if full > few else nan

    @property
    def peak(self) -> float:
        """The largest resident set of a part, in MB."""
        return max(part.peak for run in self.full for part in run)


class Bench:
    """
    Deliver in parts.

    :param sink: the URL of a server that answers at once
    :param slow: the URL of one that answers later
    :param folder: for records and homes
    """

    def __init__(self, sink: str, slow: str, folder: Path) -> None:
        self._sink, self._slow, self._folder = sink, slow, folder
        self._runs = 0

    def once(self, api: Api, parts: int, records: int) -> list[Usage]:
        """Deliver so many records in parts side by side; return what each part took."""
        self._runs += 1
        files = [self._file(records // parts, seed) for seed in range(parts)]
        # One bucket that is never empty, for each run, as the server counts by path.
        path = f"/bucket/1000000/-/{api.milliseconds}/429/run{self._runs}"
        url = f"{self._slow}{path}" if api.milliseconds else f"{self._sink}/orders"
        script = [sys.executable, str(HERE / "contenders" / "ours.py")]
        options = ["--mode", api.mode, "--batch-size", str(api.per_request), "--concurrency", str(api.in_flight)]
        commands = [[*script, url, str(file), *options] for file in files]
        homes = [self._folder / f"home-{number}" for number in range(parts)]
        for home in homes:
            home.mkdir(exist_ok=True)
        self._taken(api, path)
        with ThreadPoolExecutor(parts) as threads:
            usages = list(threads.map(lambda command, home: measure(command, os.environ, home), commands, homes))
        expected = parts * ceil(records // parts / api.per_request) if api.milliseconds else records // parts * parts
        if (taken := self._taken(api, path)) != expected:
            raise SystemExit(f"{api.title}, {parts} parts: the server took {taken:,}, expected {expected:,}")
        return usages

    def _file(self, records: int, seed: int) -> Path:
        path = self._folder / f"orders-{records}-{seed}.ndjson"
        if not path.exists():
            generate(path, records, seed=seed)
        return path

    def _taken(self, api: Api, path: str) -> int:
        """Return what the server took: requests on a path, or records since the last question."""
        with urllib.request.urlopen(f"{self._slow if api.milliseconds else self._sink}/counts") as answer:
            document = json.load(answer)
        return int(document.get(path, {"taken": 0})["taken"] if api.milliseconds else document["records"])


def measured(results: dict[tuple[str, int], Runs], apis: Sequence[Api]) -> str:
    """Return the table of what was measured."""
    heads = ("", "parts", "records/s", "times one part", "CPU us/record", "peak RSS of a part")
    rows = []
    for api in apis:
        one = results[api.key, 1].seconds
        for parts in PARTS:
            runs = results[api.key, parts]
            rate = api.records / runs.seconds
            cost = figure(runs.processor / api.records * 1e6, "{:,.1f}")
            times = figure(rate * one / api.records, "{:.2f}")
            rows.append((api.title, str(parts), figure(rate, "{:,.0f}"), times, cost, f"{runs.peak:,.0f} MB"))
    return table(heads, rows)


def a_day(results: dict[tuple[str, int], Runs], apis: Sequence[Api], bytes_a_record: float) -> str:
    """Return what :data:`A_DAY` records a day take, by what one part was measured at."""
    heads = ("", "within", "records/s", "requests/s", "MB/s", "parts", "cores", "memory of the parts")
    rows = []
    for api in apis:
        one = results[api.key, 1]
        for hours in HOURS:
            rate = A_DAY / hours / 3600
            needed = rate * one.seconds / api.records
            parts = needed if isnan(needed) else ceil(needed)
            requests = rate / api.per_request
            rows.append(
                (
                    api.title,
                    f"{hours} h",
                    f"{rate:,.0f}",
                    f"{requests:,.2f}" if requests < 1 else f"{requests:,.0f}",
                    f"{rate * bytes_a_record / 1e6:,.1f}",
                    figure(parts, "{:,}"),
                    figure(rate * one.processor / api.records, "{:.2f}"),
                    figure(parts * one.peak / 1000, "{:,.1f} GB"),
                )
            )
    return table(heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1, help="of the records, for a quick look; default: %(default)s")
    parser.add_argument(
        "--repeats", type=int, default=3, help="rounds, of which the fastest counts, default: %(default)s"
    )
    parser.add_argument("--only", default="", help="APIs whose key begins with one of these, with commas between")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/scaling.md")
    arguments = parser.parse_args()
    apis = [api for api in APIS if api.key.startswith(tuple(arguments.only.split(",")))]
    if not apis:
        parser.error(f"--only {arguments.only}: no such API; there are {', '.join(api.key for api in APIS)}")
    apis = [Api(**vars(api) | {"records": max(int(api.records * arguments.share) // 4 * 4, 400)}) for api in apis]
    results = {(api.key, parts): Runs() for api in apis for parts in PARTS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osmosdest-bench-")))
        sink = stack.enter_context(server("sink.py", "--marker", MARKER))
        bench = Bench(sink, stack.enter_context(server("limiting_server.py", "--seconds", "3600")), folder)
        for number in range(arguments.repeats):
            for api in apis:
                for parts in PARTS:
                    runs = results[api.key, parts]
                    runs.few.append(bench.once(api, parts, FEW * parts))
                    runs.full.append(bench.once(api, parts, api.records))
                    seconds = max(part.seconds for part in runs.full[-1])
                    print(
                        f"round {number + 1}, {api.title}, {parts} parts: {seconds:.1f} s", file=sys.stderr, flush=True
                    )
        sample = folder / "sample.ndjson"
        bytes_a_record = generate(sample, 10_000) and sample.stat().st_size / 10_000
    page = SCALING_PAGE if arguments.write else None
    how = f"parts and server on {os.cpu_count()} cores together; fastest of {arguments.repeats} rounds; less start-up"
    show("scaling-parts", f"{how}\n\n{measured(results, apis)}", packages=PACKAGES, write_to=page)
    model = f"{A_DAY:,} records of {bytes_a_record:.0f} bytes a day, by what one part took above"
    show("scaling-model", f"{model}\n\n{a_day(results, apis, bytes_a_record)}", packages=PACKAGES, write_to=page)


if __name__ == "__main__":
    main()
