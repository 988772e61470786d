"""Rates over several processes, with a real Redis and real requests."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from random import Random

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_provider_osmosdest.core.http.shared_bucket import SharedBucket
from airflow_provider_osmosdest.hooks import redis_grants
from airflow_provider_osmosdest.hooks.redis_grants import RETRY_SECONDS, TIMEOUT_SECONDS, RedisGrants, TaskGrants
from airflow_provider_osmosdest.testing.servers import ScriptedServer
from airflow_provider_osmosdest.web.shared_rates import SharedRates
from tests.integration.rates.redis_server import RedisServer, no_redis
from tests.unit.core.http.rates_simulated import Script, most_in_a_second

needs_redis = pytest.mark.skipif(no_redis() is not None, reason=no_redis() or "")

RATE = 100


@pytest.fixture
def server():
    """Run a Redis that the test may kill and start again."""
    running = RedisServer()
    yield running
    running.kill()


def grants_of(server, warn=lambda _: None, **more):
    client = redis.Redis(
        port=server.port,
        protocol=2,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        **more,
    )
    return RedisGrants(client, "Redis", warn)


@needs_redis
def test_the_script_does_what_its_twin_does(server):
    """So that what is shown on a simulated clock holds for Redis."""
    random, twin = Random(1), Script()
    script = server.client().register_script(redis_grants._SCRIPT)
    for number in range(300):
        rate = random.choice([0.5, 2, 100, 1_000, 3_333.3])
        units = random.choice([1, 1, 5, 50])
        charged, lost = random.random() < 0.1, random.random() < 0.05
        task = random.choice(["", "a", "b", "c"])
        how = {"saved": 0.025, "fresh": 0.1, "quiet": 0.001, "careful_for": 0.01}
        durations = [round(seconds * 1e6) for seconds in how.values()]
        *answer, now = script(
            keys=["bucket", "bucket:tasks"],
            args=[rate, units, *durations, int(charged), int(lost), task, 60_000_000],
        )
        expected = twin.run(int(now), rate, units, charged=charged, lost=lost, task=task, **how)
        # The script counts tasks for those only that are tasks themselves.
        assert answer[:3] == pytest.approx(expected[:3], abs=2), number
        assert answer[3] == (expected[3] if task else 1)
        if number == 150:
            # A clock that was set back, or another Redis.
            twin.at, twin.next, twin.careful = (each + 7e6 for each in (twin.at, twin.next, twin.careful))
            kept = {"at": twin.at, "next": twin.next, "careful": twin.careful}
            server.client().hset("bucket", mapping={name: f"{value:.0f}" for name, value in kept.items()})


@needs_redis
def test_a_bucket_is_forgotten_once_it_is_idle(server):
    TaskGrants(grants_of(server), "api").ask("requests", 2, 1)
    assert {key.decode() for key in server.client().scan_iter()} == {
        "osmosdest:connection:api:requests",
        "osmosdest:connection:api:requests:tasks",
    }
    assert all(0 < server.client().pttl(key) <= 70_000 for key in server.client().scan_iter())


@needs_redis
def test_a_redis_that_hangs_costs_half_a_second_and_is_named_once(server):
    said = []
    grants = grants_of(server, said.append)
    task = TaskGrants(grants, "api")
    bucket = SharedBucket(task, "requests", 10, share=2)
    assert task.ask("requests", 10, 1) is not None
    server.signal(signal.SIGSTOP)
    try:
        assert task.ask("requests", 10, 1) is None
        began = time.monotonic()
        for _ in range(100):
            assert task.ask("requests", 10, 1) is None
            bucket.available(time.monotonic())
        assert time.monotonic() - began < RETRY_SECONDS
        assert bucket.wait(time.monotonic()) > 0
    finally:
        server.signal(signal.SIGCONT)
    deadline = time.monotonic() + 4 * RETRY_SECONDS
    while (grant := task.ask("requests", 10, 1)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert grant is not None
    assert grant.careful
    assert [line.partition("(")[0].strip() for line in said] == [
        "Redis cannot be asked",
        "Redis answers again: rates are shared through it.",
    ]


@needs_redis
def test_a_wrong_password_is_no_reason_to_stop():
    running = RedisServer("--requirepass", "right")
    said = []
    try:
        assert TaskGrants(grants_of(running, said.append, password="wrong"), "api").ask("requests", 10, 1) is None
    finally:
        running.kill()
    assert said[0].startswith("Redis cannot be asked (AuthenticationError")


@needs_redis
def test_two_servers_share_the_rate_of_a_token(server):
    async def ask():
        # A server has several processes; here it is two servers of one each.
        servers = [SharedRates(1, lambda: grants_of(server)) for _ in range(2)]
        first = [await each.wait(("box", "token"), 0.1) for each in servers]
        others = [await each.wait(("box", "another"), 0.1) for each in servers]
        return first, others

    (first, second), others = asyncio.run(ask())
    assert (first, others[0]) == (0, 0)
    assert 5 <= second <= 10


@needs_redis
def test_a_server_whose_redis_is_gone_counts_for_itself(server):
    async def ask():
        rates = SharedRates(4, lambda: grants_of(server))
        before = await rates.wait(("box", "token"), 0.4)
        server.kill()
        return before, [await rates.wait(("box", "token"), 0.4) for _ in range(2)]

    before, (first, second) = asyncio.run(ask())
    assert before == 0
    # 0.4 a second by 4 processes: one in 10 seconds.
    assert first == 0
    assert 5 <= second <= 10


# On a quiet machine a second has 106 at most, and 99 in the middle. A busy one notes arrivals late and then together,
# which is not to be taken for 200 a second of two tasks that do not share, nor for 25 of four that divide twice.
MOST, LEAST = 1.5 * RATE, 0.4 * RATE


class Tasks:
    """Processes that deliver to a server which notes when requests arrive."""

    def __init__(self, api, folder, *, port, share, count=4, records=200):
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.integration.rates.sending", json.dumps({
                    "url": api.url, "folder": str(folder / str(number)), "records": records, "rate": RATE,
                    "share": share, "port": port,
                })],
                stdout=subprocess.PIPE,
            )
            for number in range(count)
        ]  # fmt: skip

    def ended(self):
        documents = [json.loads(each.communicate(timeout=120)[0]) for each in self.processes]
        assert [each.returncode for each in self.processes] == [0] * len(self.processes)
        return documents


@contextmanager
def counting():
    arrived, lock = [], threading.Lock()

    def script(talk):
        with lock:
            arrived.append(time.monotonic())
        talk.read_body()
        talk.reply(200, b"{}")

    with ScriptedServer(script) as api:
        yield api, arrived


def middle(arrived):
    """Return requests a second while all tasks run: the processes do not all begin, nor end, at the same moment."""
    first, last = arrived[len(arrived) // 4], arrived[3 * len(arrived) // 4]
    return (len(arrived) // 2) / (last - first)


@pytest.mark.parametrize(
    "shared", [pytest.param(True, marks=needs_redis, id="redis"), pytest.param(False, id="divided")]
)
def test_four_parts_keep_to_the_rate_together(tmp_path, request, shared):
    port = request.getfixturevalue("server").port if shared else None
    with counting() as (api, arrived):
        ended = Tasks(api, tmp_path, port=port, share=4).ended()
    assert [each["delivered"] for each in ended] == [200] * 4
    arrived.sort()
    assert most_in_a_second(arrived) <= MOST
    assert middle(arrived) >= LEAST
    assert all("divided by 4 mapped tasks: 25" in " ".join(each["said"]) for each in ended)


@needs_redis
def test_tasks_that_are_not_mapped_share_it_too(tmp_path, server):
    with counting() as (api, arrived):
        Tasks(api, tmp_path, port=server.port, share=1, count=2).ended()
    arrived.sort()
    assert most_in_a_second(arrived) <= MOST
    assert middle(arrived) >= LEAST


@needs_redis
def test_redis_is_killed_and_comes_back_empty(tmp_path, server):
    with counting() as (api, arrived):
        tasks = Tasks(api, tmp_path, port=server.port, share=4, records=500)
        wait_for(lambda: len(arrived) > 500)
        server.kill()
        wait_for(lambda: len(arrived) > 900)
        server.start()
        ended = tasks.ended()
    assert [each["delivered"] for each in ended] == [500] * 4
    arrived.sort()
    assert most_in_a_second(arrived) <= MOST
    assert middle(arrived) >= LEAST
    assert any("cannot be asked" in line for each in ended for line in each["said"])


def wait_for(there):
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)
