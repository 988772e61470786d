"""Two attempts of one delivery: the older one is stopped at any step, and comes back when the newer one is done."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer", "nullable": False}])
COUNT = 24
RECORDS = [{"id": number if number % 9 else "none"} for number in range(COUNT)]
POISON = frozenset({4, 13})


class Server:
    """Is away for a short time now and then, refuses poison, and counts what it takes."""

    def __init__(self, *, honours: bool) -> None:
        self.taken: Counter[int] = Counter()
        self.came: list[list[int]] = []
        self._honours = honours
        self._answers: dict[str, int] = {}
        self._put_off: set[int] = set()

    def __call__(self, request: Any) -> Response:
        found = json.loads(body_of(request))
        ids = [record["id"] for record in (found if isinstance(found, list) else [found])]
        self.came.append(ids)
        if ids[0] in {5, 10, 20, COUNT - 1} and ids[0] not in self._put_off:
            self._put_off.add(ids[0])
            return Response(request, 503)
        key = request.headers["Idempotency-Key"]
        status = self._answers.get(key) if self._honours else None
        if status is None:
            status = self._answers[key] = 422 if POISON.intersection(ids) else 200
            if status == 200:
                self.taken.update(ids)
        return Response(request, status, b"{}")


@dataclass
class Stop:
    """
    Stops an attempt at one of its steps.

    :param at: which
    :param meanwhile: what happens until it goes on
    """

    at: int
    meanwhile: Callable[[], None]
    steps: int = 0
    reached: str | None = field(default=None)

    def step(self, name: str) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.reached = name
            self.meanwhile()


class StoppingTransport(HandlerTransport):
    """May stop between a note in the ledger and the send, between a send and its answer, and in a wait."""

    stop: Stop
    waiting = False

    def exchange(self, starting: Any, wait: float) -> Any:
        if starting or not self.waiting:
            self.stop.step("send" if starting else "wait")
        # A wait is many of these, of which one is as good as another.
        self.waiting = not starting
        answers = super().exchange(starting, wait)
        if starting:
            self.stop.step("answer")
        return answers


class StoppingStore:
    """May stop when the ledger is written or the holder was looked up, as a store does both."""

    def __init__(self, store: Any, stop: Stop) -> None:
        self._store, self._stop = store, stop

    def load(self) -> bytes | None:
        return self._store.load()

    def save(self, document: bytes, *, last: bool = False) -> None:
        self._store.save(document, last=last)
        if not last:
            self._stop.step("written")

    def claim(self, attempt: str) -> None:
        self._store.claim(attempt)
        self._stop.step("claimed")

    def holder(self) -> str | None:
        return self._store.holder()


@dataclass
class Course:
    """
    What an older attempt did that was stopped.

    :param reached: the step at which it was stopped, ``None`` where it has no such step
    :param error: what it ended with
    :param late: what the server got from it after it went on, a list of ids for each request
    :param changed: names of files that it wrote or removed after it went on
    """

    reached: str | None
    error: BaseException | None
    late: list[list[int]]
    changed: list[str]


def attempt(folder: Path, server: Server, store: Any, transport: type = HandlerTransport, **options: Any) -> Any:
    """Make an attempt."""
    given = {
        "batch_size": 5,
        "concurrency": 4,
        "backoff": 0.01,
        "max_failures": "100%",
        "systemic_after": 99,
        **options,
    }
    carrier = transport(server)
    return deliver(
        Delivery(Target("http://api.test/v1"), DeliveryOptions(**given), SCHEMA, folder),
        open_source(RECORDS),
        carrier.factory,
        lambda _: None,
        RunContext(ledger=store, run_key="retries"),
    )


def stopped_at(
    at: int, folder: Path, server: Server, stores: Callable[[], Any] | None = None, **options: Any
) -> Course:
    """
    Let an attempt be stopped at a step, another one deliver all, and the first go on.

    :param stores: makes the ledger store of an attempt, in the order in which they begin
    """
    stores = stores or (lambda: FolderLedgerStore(folder))

    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def newer() -> None:
        result = attempt(folder, server, stores(), **options)
        assert result.error is None
        after.update(content())
        came.append(len(server.came))

    after: dict[str, bytes] = {}
    came: list[int] = []
    stop = Stop(at, newer)
    transport = type("Transport", (StoppingTransport,), {"stop": stop})
    error = None
    try:
        attempt(folder, server, StoppingStore(stores(), stop), transport, **options)
    except Exception as raised:  # noqa: BLE001 - what it is, the tests say
        error = raised
    if stop.reached is None:
        return Course(None, error, [], [])
    now = content()
    changed = [name for name in {*after, *now} if after.get(name) != now.get(name)]
    return Course(stop.reached, error, server.came[came[0] :], changed)
