"""Deliver in a child process, ``kill -9`` it at a random moment, start it again, and count what the server took."""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.kills.counting_server import Rules

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.delivery.model import Result
    from tests.integration.kills.counting_server import CountingServer

__all__ = ["KINDS", "SCHEMA", "Figures", "Plan", "attempt", "check", "read_out", "run_with_kills"]

KINDS = (
    ("batch", "at_least_once", True),
    ("batch", "at_least_once", False),
    ("batch", "at_most_once", False),
    ("record", "at_least_once", True),
    ("record", "at_least_once", False),
    ("record", "at_most_once", False),
)
"""Write mode, guarantee, and whether the server honours keys. At most once must hold without its help."""

SCHEMA = [{"name": "id", "type": "integer", "nullable": False}, {"name": "text", "type": "string"}]
_LEDGER_PERIOD = 1.0
_MOST_ATTEMPTS = 50

# Children are forked from a server process that has the imports behind it, so that one starts in milliseconds.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["airflow_provider_osmosdest.core.delivery.engine", "airflow_provider_osmosdest.core.http.transports.curl"]
)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A delivery and what it suffers.

    :param kind: one of :data:`KINDS`
    :param count: records
    :param invalid: indexes of records that fail the schema
    :param poison: indexes of records that the server refuses
    :param delay: seconds at most the server waits before and after it accepts
    :param options: write options
    :param kills: seconds from each start to its kill; after the last one it is left in peace
    """

    kind: tuple[str, str, bool]
    count: int
    invalid: frozenset[int]
    poison: frozenset[int]
    delay: float
    options: dict[str, Any]
    kills: tuple[float, ...]

    @classmethod
    def drawn(cls, seed: int) -> Plan:
        """Draw the plan that belongs to a seed."""
        draw = random.Random(seed)
        kind = KINDS[seed % len(KINDS)]
        options: dict[str, Any] = {"write_mode": kind[0], "guarantee": kind[1], "max_failures": "100%"}
        if kind[0] == "batch":
            count = draw.randint(2_000, 6_000)
            options |= {"batch_size": draw.choice([100, 500, 2_000]), "max_batch_bytes": draw.choice([None, 8_000])}
            poison = draw.choice([0, 3, 12])
            moment = 1.0
        else:
            options["concurrency"] = draw.choice([4, 16, 32])
            count = options["concurrency"] * draw.randint(80, 160)
            poison = draw.choice([0, 30])
            moment = 1.5
        marked = draw.sample(range(count), poison + draw.choice([0, 40]))
        return cls(
            kind,
            count,
            invalid=frozenset(marked[poison:]),
            poison=frozenset(marked[:poison]),
            delay=draw.choice([0.01, 0.03]),
            options=options,
            kills=tuple(draw.uniform(0, moment) for _ in range(draw.randint(1, 4))),
        )

    @property
    def rules(self) -> Rules:
        """What the server is told."""
        return Rules(self.kind[2], tuple(sorted(self.poison)), self.delay)

    def records(self) -> str:
        """Return the source, as lines of JSON."""
        lines = ({"id": "none" if index in self.invalid else index, "text": "x" * 40} for index in range(self.count))
        return "".join(f"{json.dumps(line)}\n" for line in lines)

    def write_records(self, path: Path) -> None:
        """Write the source."""
        path.write_text(self.records())


@dataclass(slots=True)
class Figures:
    """
    What became of one delivery.

    :param kills: children that were killed
    :param records: records in the source
    :param twice: acceptances of records beyond the first of each
    :param allowed: how many of those the promise allows
    :param unknown: records whose outcome came out ``unknown``
    :param lost: records that the report calls delivered and the server never accepted
    :param faults: broken promises, in words
    """

    kills: int
    records: int
    twice: int = 0
    allowed: int = 0
    unknown: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: bool, fault: str) -> None:
        """Note a broken promise."""
        if not holds:
            self.faults.append(fault)


def run_with_kills(plan: Plan, server: CountingServer, name: str, folder: Path) -> Figures:
    """Carry out a plan in a folder of its own, and check what it promised."""
    while not (figures := _run(plan, server, name, folder)).kills and not figures.faults:
        # It was done before it could be killed once, which shows nothing.
        plan = replace(plan, kills=tuple(wait / 2 for wait in plan.kills))
    return figures


def _run(plan: Plan, server: CountingServer, name: str, folder: Path) -> Figures:
    folder.mkdir(parents=True)
    plan.write_records(folder / "in.ndjson")
    url = server.open(name, plan.rules)
    killed: list[float] = []
    waits = [*plan.kills, *[None] * (_MOST_ATTEMPTS - len(plan.kills))]
    for wait in waits:
        child = _processes.Process(target=_deliver, args=(url, str(folder), plan.options))
        child.start()
        child.join(wait)
        if child.is_alive():
            child.kill()
            killed.append(time.monotonic())
            child.join()
        elif child.exitcode == 0:
            break
    else:
        return Figures(len(killed), plan.count, faults=[f"not done after {_MOST_ATTEMPTS} attempts"])
    figures = check(plan, *read_out(folder / "out"), server.accepted(name), killed)
    if not figures.faults:
        shutil.rmtree(folder)
    return figures


def read_out(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the report and the failure records in a delivery's folder."""
    failures = [
        json.loads(line) for path in out.glob("failures-*.ndjson") for line in path.read_text("utf-8").splitlines()
    ]
    return json.loads((out / "report.json").read_text("utf-8")), failures


def check(
    plan: Plan,
    report: dict[str, Any],
    failures: list[dict[str, Any]],
    accepted: list[dict[str, Any]],
    killed: list[float],
) -> Figures:
    """
    Hold what a delivery says of itself against what the server took.

    :param report: of the last attempt
    :param failures: its failure records
    :param accepted: the server's book
    :param killed: the moments of the kills, on the server's clock
    """
    times = Counter(index for request in accepted for index in request["ids"])
    outcomes = Counter(failure["outcome"] for failure in failures)
    listed = Counter(failure["index"] for failure in failures)
    delivered = set(range(plan.count)) - set(listed)
    unknown = {failure["index"] for failure in failures if failure["outcome"] == "unknown"}
    figures = Figures(
        len(killed),
        plan.count,
        twice=times.total() - len(times),
        allowed=_allowed_twice(plan, accepted, killed),
        unknown=len(unknown),
        lost=len(delivered - set(times)),
    )
    said = {name: report[name] for name in ("delivered", "invalid", "rejected", "unknown", "unsent")}
    figures.expect(report["read"] == plan.count == sum(said.values()), f"outcomes do not add up: {said}")
    figures.expect(max(listed.values(), default=0) <= 1, "a record stands twice in the failures file")
    figures.expect(said["delivered"] == len(delivered), "report and failures file differ on what was delivered")
    figures.expect(
        all(said[name] == outcomes[name] for name in ("invalid", "rejected", "unknown", "unsent")),
        f"report and failures file differ: {said}, {dict(outcomes)}",
    )
    figures.expect(not figures.lost, f"{figures.lost} lost")
    figures.expect(set(times) <= delivered | unknown, "records that were accepted are said not to be")
    by_outcome = {name: {each["index"] for each in failures if each["outcome"] == name} for name in outcomes}
    figures.expect(by_outcome.get("invalid", set()) == plan.invalid, "not all that is invalid is said to be")
    figures.expect(by_outcome.get("rejected", set()) <= plan.poison, "a good record was rejected")
    if plan.kind[1] == "at_least_once":
        figures.expect(delivered == set(range(plan.count)) - plan.poison - plan.invalid, "a good record failed")
        # Refused, and on its way in a crash before: it may have been refused for having been taken.
        figures.expect(unknown <= plan.poison, "a record that the server takes is unknown")
    figures.expect(figures.twice <= figures.allowed, f"{figures.twice} accepted twice, {figures.allowed} allowed")
    if plan.kind[0] == "batch":
        most = len(killed) * int(plan.options["batch_size"])
        figures.expect(len(unknown) <= most, f"{len(unknown)} unknown, where {most} may be")
    if plan.kind[0] == "batch" and not plan.kind[2]:
        again = sum(any(times[index] > 1 for index in request["ids"]) for request in accepted)
        figures.expect(again <= 2 * len(killed), "more than one chunk a kill was accepted again")
    return figures


def _allowed_twice(plan: Plan, accepted: list[dict[str, Any]], killed: list[float]) -> int:
    mode, guarantee, honours = plan.kind
    if guarantee == "at_most_once" or honours:
        return 0
    if mode == "batch":
        return len(killed) * int(plan.options["batch_size"])
    recent = sum(moment - _LEDGER_PERIOD <= request["at"] <= moment for moment in killed for request in accepted)
    return recent + len(killed) * int(plan.options["concurrency"])


def attempt(url: str, source: Path, out: Path, options: dict[str, Any]) -> Result:
    """Make one attempt at a delivery, as a retry if there were others."""
    from airflow_provider_osmosdest.core.delivery.engine import deliver
    from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
    from airflow_provider_osmosdest.core.records import open_source
    from airflow_provider_osmosdest.core.schema import DestinationSchema

    delivery = Delivery(Target(url), DeliveryOptions(**options), DestinationSchema.load(SCHEMA), out)
    return deliver(delivery, open_source(source), CurlTransport, lambda _: None, RunContext(run_key="retries"))


def _deliver(url: str, folder: str, options: dict[str, Any]) -> None:
    """Be the child: deliver, and exit with 0 once there is nothing left to do."""
    result = attempt(url, Path(folder) / "in.ndjson", Path(folder) / "out", options)
    raise SystemExit(0 if result.error is None and not result.mendable else 1)
