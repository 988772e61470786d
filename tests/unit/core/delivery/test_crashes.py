"""Deliveries that are killed between any two steps, again and again, against a server that keeps count."""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import contextmanager, nullcontext

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import body_of
from tests.thoroughness import examples

SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer", "nullable": False}])
TARGET = Target("http://api.test/v1")


class Killed(BaseException):
    """Nothing in the package catches it: whatever was not written down is gone, as with ``kill -9``."""


class Server:
    """Refuses arrays with a poison record in them, loses answers, and counts what it takes."""

    def __init__(self, poison, honours_keys, flaky, draw):
        self.taken = Counter()
        self._answers = {}
        self._poison, self._honours_keys, self._flaky, self._draw = poison, honours_keys, flaky, draw

    def answer(self, request):
        if self._draw.random() < self._flaky:
            return (
                Response(request, 503) if self._draw.random() < 0.5 else Response(request, error=NotSentError("reset"))
            )
        found = json.loads(body_of(request))
        ids = [record["id"] for record in (found if isinstance(found, list) else [found])]
        key = request.headers["Idempotency-Key"]
        status = self._answers.get(key) if self._honours_keys else None
        if status is None:
            status = self._answers[key] = 422 if self._poison.intersection(ids) else 200
            if status == 200:
                self.taken.update(ids)
        if self._draw.random() < self._flaky / 2:
            return Response(request, error=AmbiguousError("silence"))
        return Response(request, status)


class KillingTransport:
    """Hands requests to a server, answers in any order, and dies before or after a send, or when all is over."""

    def __init__(self, server, draw, deadliness):
        self._server, self._draw, self._deadliness = server, draw, deadliness
        self._in = []

    def exchange(self, starting, wait):
        for request in starting:
            self._perhaps_die()
            self._in.append(self._server.answer(request))
            self._perhaps_die()
        count = self._draw.randint(1, len(self._in)) if self._in else 0
        return [self._in.pop(self._draw.randrange(len(self._in))) for _ in range(count)]

    def close(self):
        self._perhaps_die()

    def _perhaps_die(self):
        if self._draw.random() < self._deadliness / 2:
            raise Killed


def run_until_done(folder, draw, server, guarantees=(None,), watch=lambda guarantee: nullcontext(), **options):
    deadliness = draw.choice([0.02, 0.1, 0.3])
    kills = 0
    for attempt in range(500):
        # A machine that always dies before it writes anything gets nowhere; this one recovers at last.
        deadly = deadliness if attempt < 40 else 0.0
        if (guarantee := draw.choice(guarantees)) is not None:
            options["guarantee"] = guarantee
        try:
            with watch(guarantee):
                result = deliver(
                    Delivery(TARGET, DeliveryOptions(**options), SCHEMA, folder / "out"),
                    open_source(folder / "in.ndjson"),
                    lambda target, deadly=deadly, **needs: KillingTransport(server, draw, deadly),
                    lambda line: None,
                    RunContext(run_key="retries"),
                )
        except Killed:
            kills += 1
            continue
        if draw.random() < deadly:
            # All is over and written down, and the caller has no result yet.
            kills += 1
            continue
        if result.error is None and not result.mendable:
            return result.report, kills
    pytest.fail(f"not done after {attempt} attempts: {result.error}")


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("write_mode", ["batch", "record"])
@pytest.mark.parametrize("seed", range(examples(25)))
def test_nothing_is_lost_or_doubled(tmp_path, seed, write_mode, guarantee):
    draw = random.Random(seed)
    count = draw.choice([1, 7, 100, 400])
    invalid = {index for index in range(count) if draw.random() < 0.05}
    share = draw.choice([0, 0.02, 0.3])
    poison = {index for index in range(count) if draw.random() < share} - invalid
    lines = (json.dumps({"id": "x" if index in invalid else index}) for index in range(count))
    (tmp_path / "in.ndjson").write_text("".join(f"{line}\n" for line in lines))
    server = Server(poison, guarantee == "at_least_once", draw.choice([0, 0.1]), draw)

    report, _ = run_until_done(
        tmp_path,
        draw,
        server,
        write_mode=write_mode,
        guarantee=guarantee,
        batch_size=draw.choice([1, 10, 50, 1000]),
        max_batch_bytes=draw.choice([None, 200]),
        concurrency=draw.choice([1, 4, 16]),
        backoff=1e-9,
        max_failures="100%",
        systemic_after=10**6,
    )

    outcomes = (report.delivered, report.invalid, report.rejected, report.unknown, report.unsent)
    assert report.read == count == sum(outcomes)
    paths = (tmp_path / "out").glob("failures-*.ndjson")
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    listed = [line["index"] for line in lines]
    unknown = {line["index"] for line in lines if line["outcome"] == "unknown"}
    assert len(listed) == len(set(listed)) == count - report.delivered
    delivered = set(range(count)) - set(listed)
    assert delivered <= set(server.taken)
    assert max(server.taken.values(), default=0) <= 1, "nothing was taken twice"
    if guarantee == "at_least_once":
        assert delivered == set(range(count)) - poison - invalid
        assert report.rejected + report.unknown == len(poison), "unknown is what was refused after a send in doubt"
        assert unknown <= poison
        assert report.unsent == 0


@pytest.mark.parametrize("write_mode", ["batch", "record"])
@pytest.mark.parametrize("seed", range(examples(25)))
def test_at_most_once_holds_for_what_an_attempt_under_at_least_once_may_have_sent(tmp_path, seed, write_mode):
    draw = random.Random(seed)
    count = draw.choice([1, 7, 100, 400])
    poison = {index for index in range(count) if draw.random() < 0.02}
    (tmp_path / "in.ndjson").write_text("".join(f'{{"id": {index}}}\n' for index in range(count)))
    server = Server(poison, honours_keys=False, flaky=draw.choice([0, 0.2]), draw=draw)

    @contextmanager
    def watch(guarantee):
        before = server.taken.copy()
        try:
            yield
        finally:
            again = {index for index, times in (server.taken - before).items() if times and before[index]}
            assert guarantee == "at_least_once" or not again, "at_most_once sent again what had been taken"

    report, _ = run_until_done(
        tmp_path,
        draw,
        server,
        guarantees=("at_least_once", "at_most_once"),
        watch=watch,
        write_mode=write_mode,
        batch_size=draw.choice([1, 10, 50, 1000]),
        max_batch_bytes=draw.choice([None, 200]),
        concurrency=draw.choice([1, 4, 16]),
        backoff=1e-9,
        max_retries=1,
        max_failures="100%",
        systemic_after=10**6,
    )

    assert report.read == count == report.delivered + report.rejected + report.unknown
    assert report.delivered <= len(server.taken) <= report.delivered + report.unknown
