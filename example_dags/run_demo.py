"""
``make demo``: deliver 336,776 flights to a receiver on this machine, through Airflow, and check the books.

Everything it makes is in ``.demo/``: an Airflow home on SQLite, the log, the report and the failures file.
Run again, it starts afresh.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.request import ProxyHandler, build_opener

from receiver import exit_with_stdin

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EXPECTED", "main", "say", "show", "stop"]

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO = CHECKOUT / ".demo"
HOME = DEMO / "airflow"
LOG = DEMO / "airflow.log"

# What the flights are known to hold: 8,255 were cancelled and have no dep_time, which the schema wants; 1,175 of the
# others have no air_time, which the receiver wants.
EXPECTED = {"read": 336_776, "delivered": 327_346, "invalid": 8_255, "rejected": 1_175, "unknown": 0, "unsent": 0}

# A line of Airflow's log: time, level, what is said, and who says it.
_DELIVERY_SAYS = re.compile(r"\S+ \[\w+ *\] (.*?) *\[airflow\.task\.operators\.airflow_provider_osmosdest")


def main() -> int:
    """Run the demo; return 0 when every count agrees."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what it started ends with it
    began = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "tmp").mkdir(parents=True)
    token = secrets.token_urlsafe(24)
    with _receiver(token) as url:
        say(f"The receiver listens on {url}. It takes no array in which a flight lacks air_time.")
        env = _airflow_env(url, token)
        say(f"Setting up Airflow in {_short(HOME)} (SQLite); its log is {_short(LOG)}")
        _airflow(env, "db", "migrate")
        say("Running the DAG deliver_flights: airflow dags test deliver_flights")
        _airflow(env, "dags", "test", "deliver_flights")
        # Whatever proxy this machine is set up with, the receiver is not behind it.
        with build_opener(ProxyHandler({})).open(f"{url}/stats", timeout=30) as answer:
            stats = json.load(answer)
    report = _report()
    show(report, stats["flights"])
    if differences := _differences(report, stats):
        for difference in differences:
            print(f"  DIFFERENT: {difference}")
        return 1
    print("  The report, the receiver and the failures file agree.")
    share = 1 - report["delivered"] / report["read"]
    print(f"  The task is green: {share:.1%} were not delivered, and its max_failures allows 3%.\n")
    print(f"  Every flight that was not delivered, with its reason: {_short(report['failures_path'])}")
    for line in islice(_failures(report), 2):
        print(f"    {line[:160]}…")
    print(f"\n  All of it took {time.monotonic() - began:.0f} s.")
    return 0


@contextmanager
def _receiver(token: str) -> Iterator[str]:
    """Run the receiver; it ends with this process, even if that is killed."""
    process = subprocess.Popen(
        [sys.executable, str(CHECKOUT / "example_dags" / "receiver.py"), "--until-stdin-closes"],
        env={**os.environ, "RECEIVER_TOKEN": token},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        _, found, url = process.stdout.readline().strip().rpartition("listening on ")
        if not found:
            stop("the receiver did not start; its words are above")
        yield url
    finally:
        process.kill()
        process.communicate()


def _airflow_env(url: str, token: str) -> dict[str, str]:
    """Return an environment in which Airflow sees nothing of another Airflow on this machine."""
    connection = {
        "conn_type": "osmos_http",
        "host": url,
        "extra": {"headers": {"Authorization": f"Bearer {token}"}},
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW_CONN_FLIGHTS_API": json.dumps(connection),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(DEMO / "tmp"),
    }


def _airflow(env: dict[str, str], *command: str) -> None:
    """Run an Airflow command into the log, and show what the delivery says in it."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"\n$ airflow {' '.join(command)}\n")
        log.flush()
        process = subprocess.Popen(
            [sys.executable, __file__, "airflow", *command],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if said := _DELIVERY_SAYS.match(line):
                    print(f"    {said[1]}", flush=True)
            status = process.wait()
        finally:
            process.kill()
            process.wait()
    if status:
        tail = "".join(LOG.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-30:])
        print(tail, file=sys.stderr)
        stop(f"airflow {' '.join(command)} ended with status {status}; the end of {_short(LOG)} is above")


def _be_airflow() -> None:
    """Be the ``airflow`` command with this process's arguments, and end with the process that started it."""
    exit_with_stdin()
    del sys.argv[0]
    runpy.run_module("airflow", run_name="__main__")


def _report() -> dict[str, Any]:
    """Return the report of the one delivery in the demo's storage."""
    paths = list((HOME / "osmosdest" / "deliveries").rglob("report.json"))
    if len(paths) != 1:
        stop(f"expected one report below {_short(HOME)}, found {len(paths)}; see {_short(LOG)}")
    report: dict[str, Any] = json.loads(paths[0].read_text(encoding="utf-8"))
    return report


def show(report: dict[str, Any], flights: dict[str, int]) -> None:
    """Print the report beside the receiver's books."""
    rows = [
        ("read", report["read"], "rows of flights.csv"),
        ("delivered", report["delivered"], f"the receiver counted {flights['distinct']:,} different flights"),
        ("invalid", report["invalid"], "failed the schema and were never sent"),
        ("rejected", report["rejected"], "the receiver refused each of them by itself"),
        ("unknown", report["unknown"], "sent, and no answer that tells"),
        ("unsent", report["unsent"], "the delivery stopped before them"),
        ("requests", report["requests"], f"the receiver counted {flights['requests']:,}"),
    ]
    print("\n  The report:\n")
    for name, count, what in rows:
        print(f"    {name:<10} {count:>9,}   {what}")
    print(f"    {'seconds':<10} {report['seconds']:>9,.1f}   {report['bytes_sent'] / 1e6:,.0f} MB sent\n")


def _differences(report: dict[str, Any], stats: dict[str, Any]) -> list[str]:
    """Hold the report against what the receiver counted, what is in the failures file and what is known."""
    flights = stats["flights"]
    failures = sum(1 for _ in _failures(report))
    compared = [
        ("delivered by the report", report["delivered"], "flights the receiver counted", flights["distinct"]),
        ("flights the receiver took", flights["taken"], "different ones among them", flights["distinct"]),
        ("requests by the report", report["requests"], "requests the receiver counted", flights["requests"]),
        ("requests without the right token", stats["unauthorized"], "expected", 0),
        ("lines of the failures file", failures, "not delivered by the report", report["read"] - report["delivered"]),
        *((f"{name} by the report", report[name], "expected", count) for name, count in EXPECTED.items()),
    ]
    return [f"{what}: {found:,}, but {other}: {count:,}" for what, found, other, count in compared if found != count]


def _failures(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the failures file, which may be in parts."""
    if report["failures_path"]:
        path = Path(report["failures_path"].removeprefix("file://"))
        for part in sorted(path.parent.glob(path.name)):
            with part.open(encoding="utf-8") as lines:
                yield from lines


def say(text: str) -> None:
    """Tell what happens next."""
    print(f"==> {text}", flush=True)


def stop(why: str) -> NoReturn:
    """End the demo with an error."""
    print(f"error: {why}", file=sys.stderr)
    sys.exit(1)


def _short(path: Path | str) -> str:
    """Return a path as it is seen from the checkout."""
    text = str(path).removeprefix("file://")
    return os.path.relpath(text, CHECKOUT) if Path(text).is_relative_to(CHECKOUT) else text


if __name__ == "__main__":
    try:
        sys.exit(_be_airflow() if sys.argv[1:] else main())
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is left running", file=sys.stderr)
        sys.exit(130)
