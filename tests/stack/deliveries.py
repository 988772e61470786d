"""Deliveries on the stack into the books of the counting server, by which what they say of themselves is checked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from tests.integration.kills.airflow_kills import DAG_ID
from tests.integration.kills.counting_server import Rules
from tests.integration.kills.killing import Plan, check

if TYPE_CHECKING:
    from tests.integration.kills.counting_server import CountingServer
    from tests.stack.stack import Stack

__all__ = ["COUNT", "MODES", "REJECTED", "Delivery", "InParts", "fullest_second", "trigger_modes"]

COUNT = 20_000
CONCURRENCY = 16
# At most once must hold without the server's help.
MODES = (
    ("batch", "at_least_once", True),
    ("batch", "at_most_once", False),
    ("record", "at_least_once", True),
    ("record", "at_most_once", False),
)
# 2 %, in runs that splitting finds with few requests, and none at the beginning: all deliveries are soon under way.
REJECTED = frozenset(chain.from_iterable(range(first, first + 50) for first in range(5_000, 19_000, 1_800)))
# Seconds at most before and after a request is accepted: what one task sends takes minutes, until it is hurried.
DELAYS = {"batch": 0.5, "record": 0.3}


class Delivery:
    """
    A delivery by one task, of records on S3.

    :param kind: one of :data:`MODES`
    :param delay: as in the server's rules
    """

    def __init__(
        self,
        stack: Stack,
        server: CountingServer,
        kind: tuple[str, str, bool],
        name: str,
        *,
        count: int,
        batch_size: int,
        poison: frozenset[int] = frozenset(),
        delay: float = 0.03,
    ) -> None:
        limits = {"batch_size": batch_size} if kind[0] == "batch" else {"concurrency": CONCURRENCY}
        options = {"write_mode": kind[0], "guarantee": kind[1], "max_failures": "100%", **limits}
        self.plan = Plan(kind, count, frozenset(), poison, delay, options, ())
        self.most = max(limits.values())
        self.name = "-".join([name, *map(str, kind)])
        self._stack, self._server = stack, server
        server.open(self.name, self.plan.rules)
        url = stack.put(f"in/{self.name}.ndjson", self.plan.records().encode())
        self.run = stack.api.trigger(DAG_ID, {"records": url, "book": self.name, **options})

    def accepted(self) -> list[dict[str, Any]]:
        """Return the server's book."""
        return self._server.accepted(self.name)

    def under_way(self) -> bool:
        """Tell whether some of it has arrived."""
        return sum(len(request["ids"]) for request in self.accepted()) >= self.plan.count // 20

    def hurry(self) -> None:
        """Have the server answer without delay from now on."""
        self._server.hurry(self.name)

    def tries(self) -> int:
        """Return how many attempts there were, once it is done."""
        return int(self._stack.api.get(f"{self.run}/taskInstances/deliver")["try_number"])

    def said_by_retries(self) -> str:
        """Return the logs of all attempts but the first."""
        return "".join(self._stack.said(self.run, "deliver", number) for number in range(2, self.tries() + 1))

    def check(self, interrupted: float) -> dict[str, Any]:
        """
        Hold what it says of itself, once it is done by worker 2, against what the server took.

        :param interrupted: when worker 1 was, on the server's clock
        :return: its report
        """
        assert self._stack.api.wait(self.run) == "success", self.name
        workers = [self._stack.worker_of(self.run, "deliver", number) for number in range(1, self.tries() + 1)]
        assert (workers[0], workers[-1]) == (1, 2), self.name
        report, failures = self._stack.read_delivery(self.run, "deliver")
        figures = check(self.plan, report, failures, self.accepted(), [interrupted])
        assert figures.faults == [], self.name
        assert (report["read"], figures.lost, figures.twice) == (self.plan.count, 0, 0), self.name
        return report


def trigger_modes(stack: Stack, server: CountingServer, name: str) -> list[Delivery]:
    """Have a delivery of each mode begin, of which the server refuses 2 %; none ends before it is hurried."""
    return [
        Delivery(stack, server, kind, name, count=COUNT, batch_size=500, poison=REJECTED, delay=DELAYS[kind[0]])
        for kind in MODES
    ]


class InParts:
    """
    A delivery by a group of tasks, of records on S3.

    :param records: lines of JSON
    :param parts: besides the first
    :param options: of the delivery
    """

    def __init__(
        self,
        stack: Stack,
        server: CountingServer,
        name: str,
        records: str,
        *,
        rules: Rules | None = None,
        parts: int = 4,
        **options: Any,
    ) -> None:
        self.name = name
        self._stack, self._server = stack, server
        server.open(name, rules or Rules(honours=True))
        url = stack.put(f"in/{name}.ndjson", records.encode())
        self.run = stack.api.trigger("in_parts", {"records": url, "book": name, "parts": parts, **options})

    def end(self, seconds: float = 300) -> tuple[str, dict[str, Any]]:
        """Wait for its end; return that and the report of the whole."""
        state = self._stack.api.wait(self.run, seconds)
        return state, self._stack.api.xcom(self.run, "send.merge")

    def ids(self) -> Counter[int]:
        """Return how often the server took each record."""
        return Counter(chain.from_iterable(request["ids"] for request in self._server.accepted(self.name)))

    def arrivals(self) -> list[float]:
        """Return when each request arrived, accepted or not."""
        return self._server.arrivals(self.name)

    def running(self) -> list[int]:
        """Return the numbers of the tasks that deliver the parts behind the first, and run now."""
        tasks = self._stack.api.get(f"{self.run}/taskInstances")["task_instances"]
        return [each["map_index"] for each in tasks if (each["task_id"], each["state"]) == ("send.deliver", "running")]

    def worker_of(self, part: int, number: int = 1) -> int | None:
        """Return which worker has run an attempt of a part's task."""
        return self._stack.worker_of(self.run, "send.deliver", number, map_index=part)

    def hurry(self) -> None:
        """Have the server answer without delay from now on."""
        self._server.hurry(self.name)

    def check(self, plan: Plan, interrupted: float) -> dict[str, Any]:
        """
        Hold the report of the whole against what the server took.

        :param plan: what was delivered
        :param interrupted: when worker 1 was, on the server's clock
        :return: the report
        """
        state, _ = self.end(300 + plan.count / 1_000)
        assert state == "success"
        report, failures = self._stack.read_delivery(self.run, "send.merge")
        figures = check(plan, report, failures, self._server.accepted(self.name), [interrupted])
        assert figures.faults == []
        assert (report["read"], figures.lost, figures.twice) == (plan.count, 0, 0)
        assert [each["index"] for each in failures] == sorted(plan.poison | plan.invalid)
        return report


def fullest_second(arrivals: list[float]) -> int:
    """Return how many requests came in the fullest second, wherever it began."""
    moments = sorted(arrivals)
    return max(bisect_left(moments, moment + 1) - at for at, moment in enumerate(moments))
