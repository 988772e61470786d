"""
Compare this package with what people deliver to HTTP APIs with today: the same records and sink, whole processes.

Each contender is a process of its own on one processor, the sink another on the others. A run with 10 records tells
what starting up takes, and that is subtracted. Slow contenders get fewer records, as their rate does not depend on how
many there are. The medians of all rounds are printed; nothing is asserted but that the sink received every record.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from datasets import DATA_SETS
from figures import BENCHMARKS_PAGE, show
from processes import HERE, Usage, cores, counts, measure, server
from tables import figure, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FEW = 10
BAD_SHARE = 0.01
MOST_PEAK = 130
PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-http",
    "pydantic",
    "msgspec",
    "pycurl",
    "requests",
    "dlt",
    "drt-core",
)


@dataclass(frozen=True)
class Contender:
    """
    One way to deliver.

    :param key: for ``--only``
    :param title: for the table
    :param mode: ``batch`` or ``record``
    :param script: in ``contenders/``
    :param options: of the script
    :param validates: whether every record is checked against the 8 fields
    :param slow: whether it gets only so many records as ``--slow-records`` says
    :param bad: whether it gets the file with 1 % bad records
    :param data: the data set it delivers
    :param form: the ending of the file that it reads
    :param prepares: whether the script wants to be called with ``--prepare`` before, which is not measured
    """

    key: str
    title: str
    mode: str
    script: str
    options: tuple[str, ...] = ()
    validates: bool = True
    slow: bool = False
    bad: bool = False
    prepares: bool = False
    data: str = "orders"
    form: str = "ndjson"


def _ours(key: str, title: str, mode: str, *options: str, bad: bool = False) -> Contender:
    return Contender(key, title, mode, "ours.py", ("--mode", mode, *options), bad=bad)


def _hook(key: str, title: str, mode: str, way: str, *, slow: bool = False) -> Contender:
    options = ("--mode", mode, "--way", way)
    return Contender(key, title, mode, "http_hook.py", options, validates=way != "plain", slow=slow)


def _dlt(key: str, title: str, mode: str, size: int, *options: str) -> Contender:
    options = ("--batch-size", str(size), *options)
    slow = mode == "record"
    return Contender(key, title, mode, "dlt_destination.py", options, validates="--model" in options, slow=slow)


def _drt(key: str, title: str, mode: str, size: int) -> Contender:
    options = ("--mode", mode, "--batch-size", str(size))
    slow = mode == "record"
    return Contender(key, title, mode, "drt_sync.py", options, validates=False, slow=slow, prepares=True)


def _ours_of(data: str, form: str, *, bad: bool = False) -> Contender:
    title = f"ours, {data} as {form}{', 1 % bad' if bad else ''}"
    key = f"{data}-{form}{'-bad' if bad else ''}"
    # Of long records, fewer go into a batch, which is what memory holds.
    size = ("--batch-size", "50000") if data == "hard" else ()
    return Contender(key, title, "batch", "ours.py", ("--data", data, *size), bad=bad, data=data, form=form)


def _hook_of(data: str, form: str) -> Contender:
    options = ("--mode", "batch", "--way", "model", "--data", data)
    return Contender(
        f"{data}-hook-{form}", f"HttpHook, {data} as {form}", "batch", "http_hook.py", options, data=data, form=form
    )


def _dlt_of(data: str, form: str) -> Contender:
    options = ("--batch-size", "10000", "--data", data)
    title = f"dlt, {data} as {form}"
    return Contender(
        f"{data}-dlt-{form}", title, "batch", "dlt_destination.py", options, validates=False, data=data, form=form
    )


FORMS = ("ndjson", "json", "csv", "parquet")

FORMATS = (
    *(_ours_of("orders", form, bad=bad) for form in FORMS for bad in (False, True)),
    _ours_of("timed", "ndjson"),
    _hook_of("timed", "ndjson"),
    _dlt_of("timed", "ndjson"),
    _ours_of("readme", "ndjson"),
    _hook_of("readme", "ndjson"),
    *(_ours_of("hard", form, bad=bad) for form in FORMS for bad in (False, True)),
    *(make("flights", form) for form in ("csv", "parquet") for make in (_ours_of, _hook_of, _dlt_of)),
    Contender(
        "flights-drt",
        "drt, flights from SQLite",
        "batch",
        "drt_sync.py",
        ("--mode", "batch", "--batch-size", "10000"),
        validates=False,
        prepares=True,
        data="flights",
    ),
)
CONTENDERS = (
    _ours("ours-batch", "ours, 250,000 a batch", "batch"),
    _ours("ours-batch-off", "ours, the ledger in memory only", "batch", "--no-ledger"),
    _ours("ours-batch-bad", "ours, 1 % of the records bad", "batch", bad=True),
    _hook("hook-batch", "HttpHook.run, model per record", "batch", "model"),
    _hook("hook-tuned", "HttpHook.run, the same tuned by hand", "batch", "tuned"),
    _hook("hook-adapter", "HttpHook.run, TypeAdapter(list)", "batch", "adapter"),
    _hook("hook-plain", "HttpHook.run, dicts unchecked", "batch", "plain"),
    _dlt("dlt-batch", "dlt destination, batch_size=10000", "batch", 10_000),
    _dlt("dlt-model", "dlt the same, pydantic columns", "batch", 10_000, "--model"),
    _drt("drt-batch", "drt, body_mode batch of 10,000", "batch", 10_000),
    _ours("ours-record", "ours, 16 in flight (default)", "record"),
    _ours("ours-record-off", "ours, the ledger in memory only", "record", "--no-ledger"),
    _ours("ours-record-32", "ours, 32 in flight", "record", "--concurrency", "32"),
    Contender("bare-record", "bare CurlMulti loop, 16 in flight", "record", "bare_curl.py", validates=False),
    _hook("hook-record", "HttpHook.run in a loop", "record", "model", slow=True),
    _hook("hook-record-plain", "HttpHook.run in a loop, unchecked", "record", "plain", slow=True),
    Contender("operator-record", "HttpOperator for each record", "record", "http_operator.py", slow=True),
    _dlt("dlt-record", "dlt destination, batch_size=1", "record", 1),
    _drt("drt-record", "drt, body_mode record", "record", 10_000),
    *FORMATS,
)


@dataclass
class Runs:
    """The runs of one contender: measured ones, and those with :data:`FEW` records."""

    records: int = 0
    full: list[Usage] = field(default_factory=list)
    few: list[Usage] = field(default_factory=list)
    sink: dict[str, Any] = field(default_factory=dict)

    def net(self, name: str) -> float:
        """Return the median of a measure less that of starting up; no number where the two cannot be told apart."""
        full, few = (median(getattr(usage, name) for usage in usages) for usages in (self.full, self.few))
        return full - few if full > few else nan

    @property
    def rate(self) -> float:
        """Records a second."""
        return (self.records - FEW) / self.net("seconds")

    @property
    def processor(self) -> float:
        """Microseconds of processor time a record."""
        return self.net("processor") / (self.records - FEW) * 1e6


class Bench:
    """
    Run contenders against one sink.

    :param urls: of the sinks, by the text that each counts records by
    :param folder: for records, homes and projects
    :param records: in a file
    :param slow_records: for slow contenders
    """

    def __init__(self, urls: Mapping[str, str], folder: Path, records: int, slow_records: int) -> None:
        self._urls = urls
        self._folder = folder
        self._files: dict[tuple[str, str, int, bool], tuple[Path, int]] = {}
        self._records = records
        self._slow_records = min(records, slow_records)

    def once(self, contender: Contender, runs: Runs) -> None:
        """Run a contender with few records, and with all of its own."""
        records = self._slow_records if contender.slow else self._records
        few, _ = self._run(contender, FEW)
        full, sink = self._run(contender, records)
        runs.records = records
        runs.few.append(few)
        runs.full.append(full)
        runs.sink = sink | {"share": sink["processor_seconds"] / full.seconds}

    def _run(self, contender: Contender, records: int) -> tuple[Usage, dict[str, Any]]:
        url = self._urls[DATA_SETS[contender.data].marker]
        source, expected = self._file(contender, records)
        home = self._folder / "home"
        home.mkdir()
        command = [sys.executable, str(HERE / "contenders" / contender.script), f"{url}/orders", str(source)]
        command += contender.options
        environment = self._environment(home, url)
        if contender.prepares:
            # What is prepared from the same records is kept; the rest of the home is new in every run.
            kept = self._folder / f"{contender.key}-{records}"
            command += ["--folder", str(kept)]
            measure([*command, "--prepare"], environment, home)
            shutil.copytree(kept, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sqlite"))
        counts(url)
        usage = measure(command, environment, home)
        sink = counts(url)
        shutil.rmtree(home)
        if sink["records"] != expected:
            raise SystemExit(f"{contender.title}: the sink received {sink['records']:,} records, expected {expected:,}")
        return usage, sink

    def _file(self, contender: Contender, records: int) -> tuple[Path, int]:
        """Return a file of records, and how many of them are valid."""
        what = (contender.data, contender.form, records, contender.bad)
        if what not in self._files:
            path = self._folder / f"{contender.data}-{records}{'-bad' if contender.bad else ''}.{contender.form}"
            share = BAD_SHARE if contender.bad else 0
            command = [sys.executable, str(HERE / "datasets.py"), contender.data, str(path)]
            # In a process of its own: a child inherits the peak of this one.
            made = subprocess.run(
                [*command, "--records", str(records), "--bad-share", str(share)],
                check=True,
                capture_output=True,
                text=True,
            )
            self._files[what] = path, int(made.stdout)
        return self._files[what]

    def _environment(self, home: Path, url: str) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DLT", "DRT"))}
        return ours | {
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_BENCH": url,
            # A line in the log for each request is what some of them write; none is made to pay for it.
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "DLT_DATA_DIR": str(home / "dlt"),
            "DO_NOT_TRACK": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }


def printed(
    results: Mapping[str, Runs], mode: str, reference: str, contenders: Sequence[Contender] = CONTENDERS
) -> str:
    """Return the table of a write mode; ratios are to ``reference``, by the clock and by processor time."""
    heads = (
        "",
        "checked",
        "records",
        "records/s",
        "ours is",
        "CPU us/record",
        "ours is",
        "peak RSS",
        "over 10 records",
    )
    heads = (*heads, "requests", "sink busy")
    best = results.get(reference)
    rows: list[Sequence[str]] = []
    for contender in contenders:
        if contender.mode != mode or contender.key not in results:
            continue
        runs = results[contender.key]
        rows.append(
            (
                contender.title,
                "yes" if contender.validates else "no",
                f"{runs.records:,}",
                figure(runs.rate, "{:,.0f}"),
                figure(best.rate / runs.rate, "{:.2f} x") if best else "",
                figure(runs.processor, "{:,.1f}"),
                figure(runs.processor / best.processor, "{:.2f} x") if best else "",
                f"{median(usage.peak for usage in runs.full):,.0f} MB",
                figure(runs.net("peak"), "{:,.0f} MB"),
                f"{runs.sink['requests']:,}",
                f"{runs.sink['share']:.0%}",
            )
        )
    return table(heads, rows) if rows else ""


def promises(results: Mapping[str, Runs]) -> str:
    """Return what was promised beside what was measured."""
    wanted = (
        ("batch: times HttpHook with a model per record", "ours-batch", "hook-batch", "at least 8"),
        ("batch: times the same tuned by hand", "ours-batch", "hook-tuned", ""),
        ("batch: times dlt with batch_size=10000", "ours-batch", "dlt-batch", "at least 20"),
        ("batch: with 1 % bad records, of the speed without", "ours-batch-bad", "ours-batch", "at least 0.75"),
        ("batch: with its ledger on disk, of the speed without", "ours-batch", "ours-batch-off", "at least 0.97"),
        ("record: with its ledger on disk, of the speed without", "ours-record", "ours-record-off", "at least 0.97"),
        ("record: times HttpHook.run in a loop", "ours-record", "hook-record", "at least 40"),
        ("record: the same, 32 in flight", "ours-record-32", "hook-record", "at least 20"),
        ("record: of the speed of a bare CurlMulti loop", "ours-record", "bare-record", ""),
    )
    rows = [
        (
            what,
            figure(results[ours].rate / results[theirs].rate, "{:.2f}"),
            figure(results[theirs].processor / results[ours].processor, "{:.2f}"),
            promise,
        )
        for what, ours, theirs, promise in wanted
        if ours in results and theirs in results
    ]
    if "ours-record" in results:
        rows.append(
            (
                "record: us of processor time a record",
                "",
                figure(results["ours-record"].processor, "{:.1f}"),
                "at most 17",
            )
        )
    if "ours-batch" in results:
        peak = figure(results["ours-batch"].net("peak"), "{:,.0f} MB")
        rows.append(("batch: peak RSS over a 10-record run's", peak, "", "at most 130 MB"))
    return table(("", "by the clock", "by CPU time", "promised"), rows) if rows else ""


def format_promises(results: Mapping[str, Runs]) -> str:
    """Return what was promised of formats and harder records, by processor time, and whether it is kept."""
    wanted = [
        ("CSV, of NDJSON", "orders-csv", "orders-ndjson", 0.35),
        ("Parquet, of NDJSON", "orders-parquet", "orders-ndjson", 0.5),
        ("orders with a datetime, times HttpHook with a model", "timed-ndjson", "timed-hook-ndjson", 10),
        ("orders with a datetime, times dlt", "timed-ndjson", "timed-dlt-ndjson", 22),
        ("README's first schema, times HttpHook with a model", "readme-ndjson", "readme-hook-ndjson", 6),
        *(
            (f"1 % bad, {data} as {form}, of all good", f"{data}-{form}-bad", f"{data}-{form}", 0.8)
            for data in ("orders", "hard")
            for form in FORMS
        ),
    ]
    rows = []
    for what, ours, theirs, least in wanted:
        if ours in results and theirs in results:
            ratio = results[theirs].processor / results[ours].processor
            rows.append((what, figure(ratio, "{:.2f}"), f"at least {least}", "kept" if ratio >= least else "NOT KEPT"))
    for contender in FORMATS:
        if contender.script == "ours.py" and contender.key in results:
            peak = results[contender.key].net("peak")
            kept = "NOT KEPT" if peak > MOST_PEAK else "kept"
            rows.append((f"{contender.title}: peak RSS", figure(peak, "{:,.0f} MB"), f"at most {MOST_PEAK} MB", kept))
    return table(("", "measured", "promised", ""), rows) if rows else ""


def how_measured(client: set[int], others: set[int], repeats: int) -> str:
    """Return what the tables say of how their figures were measured."""
    return (
        f"client on {len(client) or 'any'} core, sink on {len(others) or 'any other'}; median of {repeats}; "
        "whole processes less start-up"
    )


def report(results: Mapping[str, Runs], how: str, page: Path | None) -> None:
    """Print the tables, and write them into a page if there is one."""
    plain = [each for each in CONTENDERS if each not in FORMATS]
    if text := printed(results, "batch", "orders-ndjson", FORMATS):
        show("delivery-formats", f"batch mode; {how}\n\n{text}", packages=PACKAGES, write_to=page)
    if text := format_promises(results):
        show("format-promises", text, write_to=page)
    for mode, reference in (("batch", "ours-batch"), ("record", "ours-record")):
        if text := printed(results, mode, reference, plain):
            show(f"delivery-{mode}", f"{mode} mode; {how}\n\n{text}", packages=PACKAGES, write_to=page)
    if text := promises(results):
        show("delivery-promises", text, write_to=page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--slow-records", type=int, default=20_000, help="for slow contenders, default: %(default)s")
    parser.add_argument(
        "--repeats", type=int, default=3, help="rounds, of which the median counts, default: %(default)s"
    )
    parser.add_argument("--only", default="", help="contenders whose key begins with one of these, with commas between")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    parser.add_argument("--list", action="store_true", help="print the keys and stop")
    arguments = parser.parse_args()
    if arguments.records <= FEW or arguments.slow_records <= FEW:
        parser.error(f"--records and --slow-records must be above {FEW}, which is what a start-up is measured with")
    if arguments.list:
        print("\n".join(f"{contender.key:18} {contender.mode}: {contender.title}" for contender in CONTENDERS))
        return
    chosen = [one for one in CONTENDERS if one.key.startswith(tuple(arguments.only.split(",")))]
    if not chosen:
        parser.error(f"--only {arguments.only}: no such contender; --list prints them")
    client, others = cores()
    if others:
        os.sched_setaffinity(0, client)
    results = {contender.key: Runs() for contender in chosen}
    with tempfile.TemporaryDirectory(prefix="osmosdest-bench-") as name, ExitStack() as sinks:
        markers = {DATA_SETS[contender.data].marker for contender in chosen}
        urls = {each: sinks.enter_context(server("sink.py", "--marker", each, on=others)) for each in sorted(markers)}
        bench = Bench(urls, Path(name), arguments.records, arguments.slow_records)
        for number in range(arguments.repeats):
            for contender in chosen:
                runs = results[contender.key]
                bench.once(contender, runs)
                last = runs.full[-1]
                print(
                    f"round {number + 1}, {contender.mode} mode, {contender.title}: {last.seconds:.1f} s, "
                    f"{runs.few[-1].seconds:.1f} s of them starting up",
                    file=sys.stderr,
                    flush=True,
                )
    report(results, how_measured(client, others, arguments.repeats), BENCHMARKS_PAGE if arguments.write else None)


if __name__ == "__main__":
    main()
