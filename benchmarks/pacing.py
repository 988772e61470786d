"""
What share of an API's rate ``concurrency="auto"`` finds, and what share of its requests is refused.

Real deliveries in record mode to a server that takes so many requests a second (``limiting_server.py``). Each is a
process of its own that is ended after ``--seconds``, and the server counts. Several run at the same time, as they
mostly wait; on a machine that does much else, they wait for that too, and the figures say nothing.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

from data import FIELDS, generate
from figures import BENCHMARKS_PAGE, show
from processes import counts, server
from tables import table

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

RATES = (20, 200, 1_000)
STATUSES = (429, 503)
LATENCIES = (0, 20, 100)
# Of 200 requests a second at once: at least so much of the rate, and less than so much refused.
PROMISED = {"-": 0.9, "1": 0.85}
PROMISED_REFUSED = 0.05


class Limit(NamedTuple):
    """
    How many requests an API takes, and how it refuses more.

    :param rate: requests a second
    :param kind: ``bucket`` or ``window``
    :param retry_after: seconds, ``-`` for none
    :param status: of a refusal
    :param latency: in milliseconds
    """

    rate: int
    kind: str
    retry_after: str
    status: int
    latency: int

    def path(self, number: int) -> str:
        return f"/{self.kind}/{self.rate}/{self.retry_after}/{self.latency}/{self.status}/{number}"


class Share(NamedTuple):
    """What was accepted, of the rate, and what was refused, of the requests."""

    accepted: float
    refused: float

    def __str__(self) -> str:
        return f"{self.accepted:.0%} ({self.refused:.1%})"


def run(url: str, source: Path) -> None:
    """Deliver until this process is ended."""
    with tempfile.TemporaryDirectory() as folder:
        result = deliver(
            Delivery(
                target=Target(url=url),
                options=DeliveryOptions(write_mode="record", concurrency="auto"),
                schema=DestinationSchema.load({"fields": FIELDS}),
                folder=Path(folder),
            ),
            open_source(source),
            CurlTransport,
            lambda line: print(line, file=sys.stderr),
        )
    raise SystemExit(f"the delivery ended too soon: {result.error}")


def measure(url: str, path: str, rate: int, source: Path, seconds: float) -> Share:
    """
    Deliver to a limit for some seconds, from the first request on.

    :raises RuntimeError: when the delivery ends by itself
    """
    command = [sys.executable, __file__, "--run", f"{url}{path}", "--source", str(source)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while path not in counts(url) and process.poll() is None:
            time.sleep(0.1)
        process.wait(seconds + 0.5)
    except subprocess.TimeoutExpired:
        pass
    else:
        raise RuntimeError(f"{path}: {process.communicate()[1][-3000:]}")
    finally:
        process.kill()
        process.communicate()
    count = counts(url)[path]
    return Share(count["taken"] / (rate * seconds), count["refused"] / (count["taken"] + count["refused"]))


def _mean(shares: Sequence[Share]) -> Share:
    return Share(mean(each.accepted for each in shares), mean(each.refused for each in shares))


def printed(found: dict[Limit, Share]) -> str:
    """Return a table of all limits, one line for each way to count and to ask for a wait."""
    columns = [column for column in itertools.product(STATUSES, LATENCIES) if any(each[3:] == column for each in found)]
    rows = []
    for rate, kind, retry_after in dict.fromkeys(limit[:3] for limit in found):
        asked = "" if retry_after == "-" else f", Retry-After {retry_after}"
        cells = [str(found[Limit(rate, kind, retry_after, *column)]) for column in columns]
        rows.append((f"{rate:,} by a {kind}{asked}", *cells))
    means = [_mean([share for limit, share in found.items() if limit[3:] == column]) for column in columns]
    rows.append(("mean", *map(str, means)))
    return table(("requests a second", *(f"{status}, {latency} ms" for status, latency in columns)), rows)


def promises(found: dict[Limit, Share]) -> str:
    """Return what was promised beside what was measured."""
    rows = [
        (
            f"200 by a {limit.kind}, Retry-After {limit.retry_after}",
            f"{share.accepted:.1%}",
            f"at least {PROMISED[limit.retry_after]:.0%}",
            f"{share.refused:.1%}",
            f"less than {PROMISED_REFUSED:.0%}",
        )
        for limit, share in found.items()
        if (limit.rate, limit.status, limit.latency) == (200, 429, 0)
    ]
    return table(("", "accepted", "promised", "refused", "promised"), rows)


def compare(arguments: argparse.Namespace) -> None:
    """Measure all limits, and show the shares."""
    limits = [
        Limit(rate, kind, retry_after, status, latency)
        for rate, kind, retry_after, status, latency in itertools.product(
            RATES, ("bucket", "window"), ("-", "1"), STATUSES, LATENCIES
        )
        if not arguments.promised or (rate, status, latency) == (200, 429, 0)
    ]
    jobs = [(limit, number) for number in range(arguments.rounds) for limit in limits]
    random.Random(3).shuffle(jobs)
    with (
        tempfile.TemporaryDirectory(prefix="osmosdest-bench-") as folder,
        server("limiting_server.py", "--seconds", str(arguments.seconds)) as url,
        ThreadPoolExecutor(arguments.at_once) as pool,
    ):
        source = Path(folder) / "orders.ndjson"
        generate(source, int(max(RATES) * (arguments.seconds + 2) * 1.5))
        runs = [
            (limit, pool.submit(measure, url, limit.path(number), limit.rate, source, arguments.seconds))
            for limit, number in jobs
        ]
        shares = [(limit, each.result()) for limit, each in runs]
    found = {limit: _mean([share for each, share in shares if each == limit]) for limit in limits}
    what = f"{arguments.seconds:g} s from the first request, mean of {arguments.rounds}; accepted (refused)"
    text = promises(found) if arguments.promised else f"{what}\n\n{printed(found)}\n\n{promises(found)}"
    show("pace", text, packages=("pycurl",), write_to=BENCHMARKS_PAGE if arguments.write else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each delivery, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--at-once", type=int, default=6, help="deliveries at the same time, default: %(default)s")
    parser.add_argument("--promised", action="store_true", help="only the limits that something is promised of")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    parser.add_argument("--run", metavar="URL", help="deliver there, from --source")
    parser.add_argument("--source", type=Path)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run, arguments.source)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
