"""
What share of an API's rate ``concurrency="auto"`` finds, and what share of its requests is refused; and what plain AIMD
(``aimd.py``) finds in its place, in turns. A 503 teaches neither a rate, so only one is measured with it.

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
from http import HTTPStatus
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

from aimd import AimdRate
from data import FIELDS, generate
from figures import BENCHMARKS_PAGE, show
from processes import counts, server
from tables import table

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.flow import pacer
from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

RATES = (20, 200, 1_000)
STATUSES = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
LATENCIES = (0, 20, 100)
# Of 200 requests a second at once: at least so much of the rate, and less than so much refused.
PROMISED = 0.9
PROMISED_REFUSED = 0.05
RULES = {"ours": pacer.RateProbe, "aimd": AimdRate}


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


class Turn(NamedTuple):
    """One delivery: by which of :data:`RULES` it finds a rate, to which limit, in which round."""

    rule: str
    limit: Limit
    number: int

    @property
    def path(self) -> str:
        rate, kind, retry_after, status, latency = self.limit
        return f"/{kind}/{rate}/{retry_after}/{latency}/{status}/{self.rule}-{self.number}"


class Share(NamedTuple):
    """What was accepted, of the rate, and what was refused, of the requests."""

    accepted: float
    refused: float

    def __str__(self) -> str:
        return f"{self.accepted:.0%} ({self.refused:.1%})"


def run(url: str, source: Path, rule: str) -> None:
    """Deliver until this process is ended."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(pacer, "RateProbe", RULES[rule]):
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


def measure(url: str, turn: Turn, source: Path, seconds: float) -> Share:
    """
    Deliver to a limit for some seconds, from the first request on.

    :raises RuntimeError: when the delivery ends by itself
    """
    path = turn.path
    command = [sys.executable, __file__, "--run", f"{url}{path}", "--source", str(source), "--rule", turn.rule]
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
    return Share(count["taken"] / (turn.limit.rate * seconds), count["refused"] / (count["taken"] + count["refused"]))


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


def promises(ours: dict[Limit, Share], aimd: dict[Limit, Share]) -> str:
    """Return what was promised beside what was measured, and AIMD's share of the same."""
    rows = [
        (
            f"200 by a {limit.kind}, Retry-After {limit.retry_after}",
            f"{ours[limit].accepted:.1%}",
            f"at least {PROMISED:.0%}",
            f"{share.accepted:.1%}",
            f"{ours[limit].refused:.1%}",
            f"less than {PROMISED_REFUSED:.0%}",
            f"{share.refused:.1%}",
        )
        for limit, share in aimd.items()
        if (limit.rate, limit.latency) == (200, 0)
    ]
    mine, other = _mean([ours[limit] for limit in aimd]), _mean([*aimd.values()])
    accepted, refused = ((f"{mine[each]:.1%}", "", f"{other[each]:.1%}") for each in (0, 1))
    rows.append((f"mean of {len(aimd)} limits with 429", *accepted, *refused))
    return table(("", "accepted", "promised", "AIMD", "refused", "promised", "AIMD"), rows)


def compare(arguments: argparse.Namespace) -> None:
    """Measure all limits, and show the shares."""
    limits = [
        Limit(rate, kind, retry_after, status, latency)
        for rate, kind, retry_after, status, latency in itertools.product(
            RATES, ("bucket", "window"), ("-", "1"), STATUSES, LATENCIES
        )
        if not arguments.promised or (rate, status, latency) == (200, 429, 0)
    ]
    order = [(limit, number) for number in range(arguments.rounds) for limit in limits]
    random.Random(3).shuffle(order)
    turns = [
        Turn(rule, limit, number)
        for limit, number in order
        for rule in RULES
        if rule == "ours" or limit.status == HTTPStatus.TOO_MANY_REQUESTS
    ]
    found: dict[str, dict[Limit, list[Share]]] = {rule: {} for rule in RULES}
    with (
        tempfile.TemporaryDirectory(prefix="osmosdest-bench-") as folder,
        server("limiting_server.py", "--seconds", str(arguments.seconds)) as url,
        ThreadPoolExecutor(arguments.at_once) as pool,
    ):
        source = Path(folder) / "orders.ndjson"
        generate(source, int(max(RATES) * (arguments.seconds + 2) * 1.5))
        runs = [pool.submit(measure, url, turn, source, arguments.seconds) for turn in turns]
        for turn, each in zip(turns, runs, strict=True):
            found[turn.rule].setdefault(turn.limit, []).append(each.result())
    ours, aimd = ({limit: _mean(found[rule][limit]) for limit in limits if limit in found[rule]} for rule in RULES)
    what = f"{arguments.seconds:g} s from the first request, mean of {arguments.rounds}; accepted (refused)"
    text = promises(ours, aimd)
    if not arguments.promised:
        text = f"{what}\n\n{printed(ours)}\n\n{text}"
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
    parser.add_argument("--rule", choices=RULES, default="ours", help="how --run finds a rate, default: %(default)s")
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run, arguments.source, arguments.rule)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
