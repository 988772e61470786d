"""
Count what it takes to deliver a batch that holds poison records to a server that takes an array whole or not at all.

Real deliveries to a real server, beside plain halving (simulated on the same poison records) and the fewest questions
with yes or no for an answer that could tell so many records from the others, log2 of how many ways there are to choose
them. Every delivery is checked: the server took each other record once, and the failures file names each poison record
with what the server said of it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from atomic_server import REFUSAL
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

BATCH = 250_000


@dataclass(frozen=True)
class Cost:
    """
    What delivering a batch took.

    :param requests: all of them, the first and whole one included
    :param volume: records in them, in batches
    """

    requests: int
    volume: float


def delivered(url: str, poison: Sequence[int], folder: Path, records: int) -> Cost:
    """
    Deliver a batch, and check what became of it.

    :raises AssertionError: when a record is lost, doubled, or not accounted for
    """
    source = folder / "orders.ndjson"
    generate(source, records, poison=set(poison))
    counts(url)
    result = deliver(
        Delivery(
            target=Target(url=f"{url}/orders"),
            options=DeliveryOptions(on_batch_failure="split", max_failures=1.0),
            schema=DestinationSchema.load({"fields": FIELDS}),
            folder=folder,
        ),
        open_source(source),
        CurlTransport,
        lambda _: None,
    )
    server_side, report = counts(url), result.report
    assert result.error is None, result.error
    assert server_side["taken_twice"] == 0, server_side
    assert server_side["taken"] == report.delivered == records - len(poison), (server_side, report)
    assert server_side["requests"] == report.requests, (server_side, report)
    assert report.failures_path is not None
    with Path(report.failures_path).open(encoding="utf-8") as file:
        failures = [json.loads(line) for line in file]
    assert sorted(failure["index"] for failure in failures) == sorted(poison)
    assert all(failure["outcome"] == "rejected" and REFUSAL["error"] in failure["error"] for failure in failures)
    return Cost(server_side["requests"], server_side["records"] / records)


def halved(poison: Sequence[int], records: int) -> Cost:
    """Simulate plain halving: both halves of whatever is refused are sent, down to single records."""
    ordered = sorted(poison)
    requests = volume = 0
    parts = [(0, records)]
    while parts:
        start, stop = parts.pop()
        requests += 1
        volume += stop - start
        at = bisect_left(ordered, start)
        if at < len(ordered) and ordered[at] < stop and stop - start > 1:
            middle = (start + stop) // 2
            parts += [(start, middle), (middle, stop)]
    return Cost(requests, volume / records)


def fewest(poison: int, records: int) -> int:
    """Return the information-theoretic bound, in requests."""
    ways = math.lgamma(records + 1) - math.lgamma(poison + 1) - math.lgamma(records - poison + 1)
    return math.ceil(ways / math.log(2) - 1e-6)


def _cases(records: int, draws: int, counts_of_poison: Sequence[int]) -> list[tuple[str, list[list[int]]]]:
    chance = random.Random(11)
    cases = [
        (f"{number:,} at random", [chance.sample(range(records), number) for _ in range(draws)])
        for number in counts_of_poison
    ]
    run = max(counts_of_poison)
    starts = [chance.randrange(records - run + 1) for _ in range(draws)]
    return [*cases, (f"{run:,} in one run", [list(range(start, start + run)) for start in starts])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=BATCH, help="in the batch, default: %(default)s")
    parser.add_argument("--draws", type=int, default=3, help="deliveries of each kind, default: %(default)s")
    parser.add_argument("--poison", default="1,10,100,1000", help="how many poison records, default: %(default)s")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="osmosdest-bench-") as name, server("atomic_server.py") as url:
        numbers = [int(number) for number in arguments.poison.split(",")]
        for number, (title, draws) in enumerate(_cases(arguments.records, arguments.draws, numbers)):
            ours: list[Cost] = []
            for draw, poison in enumerate(draws):
                folder = Path(name) / f"{number}-{draw}"
                folder.mkdir()
                ours.append(delivered(url, poison, folder, arguments.records))
            halving = [halved(poison, arguments.records) for poison in draws]
            rows.append(
                (
                    title,
                    # A run is far fewer bits than as many records anywhere: the bound says nothing of it.
                    "" if title.endswith("run") else f"{fewest(len(draws[0]), arguments.records):,}",
                    f"{mean(cost.requests for cost in ours):,.0f}",
                    f"{max(cost.requests for cost in ours):,}",
                    f"{mean(cost.volume for cost in ours):.2f}",
                    f"{max(cost.volume for cost in ours):.2f}",
                    f"{mean(cost.requests for cost in halving):,.0f}",
                    f"{mean(cost.volume for cost in halving):.2f}",
                )
            )
    what = (
        f"{arguments.records:,} records, {arguments.draws} deliveries of each kind; volume is records sent, in "
        "batches: 1 refused and 1 delivered cannot be helped"
    )
    heads = ("poison records", "bound", "requests", "worst", "volume", "worst", "halving: requests", "volume")
    show("splitting", f"{what}\n\n{table(heads, rows)}", write_to=BENCHMARKS_PAGE if arguments.write else None)


if __name__ == "__main__":
    main()
