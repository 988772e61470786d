from __future__ import annotations

import asyncio

import pytest

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.web.http.problems import Problem
from airflow_provider_osmosdest.web.long_poll import LongPoll

HERE = Position(3)


class Log:
    """Something comes when a test says so; the polls are counted."""

    def __init__(self, waiting):
        self.waiting = waiting
        self.polls = 0
        self.there = False

    async def has_new(self):
        self.polls += 1
        return self.there

    async def never(self):
        await asyncio.Event().wait()

    def wait(self, seconds=5.0, position=HERE, disconnected=None):
        return self.waiting.until_new(
            "box", position, seconds, has_new=self.has_new, disconnected=disconnected or self.never
        )


async def turn(until):
    while not until():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


def test_one_look_serves_all_at_one_place():
    async def run():
        waiting = LongPoll(interval=0.001)
        log = Log(waiting)
        waiters = [asyncio.create_task(log.wait()) for _ in range(50)]
        await turn(lambda: log.polls >= 3)
        assert len(waiting) == 50
        polls, log.there = log.polls, True
        assert await asyncio.gather(*waiters) == [True] * 50
        assert log.polls == polls + 1
        assert len(waiting) == 0
        assert waiting._watches == {}

    asyncio.run(run())


def test_the_time_is_up():
    async def run():
        waiting = LongPoll(interval=0.001)
        assert await Log(waiting).wait(0.01) is False
        assert waiting._watches == {}

    asyncio.run(run())


def test_a_publish_in_this_process_is_seen_at_once():
    async def run():
        waiting = LongPoll(interval=1000)
        log, elsewhere = Log(waiting), Log(waiting)
        waiter = asyncio.create_task(log.wait(100))
        await turn(lambda: len(waiting) == 1)
        log.there = True
        waiting.wake("other")
        await asyncio.sleep(0.01)
        assert log.polls == 0
        waiting.wake("box")
        assert await waiter is True
        assert elsewhere.polls == 0

    asyncio.run(run())


def test_a_client_that_goes_ends_its_wait_and_no_other():
    async def run():
        waiting = LongPoll(interval=0.001)
        log, left = Log(waiting), asyncio.Event()
        going, staying = asyncio.create_task(log.wait(disconnected=left.wait)), asyncio.create_task(log.wait())
        await turn(lambda: len(waiting) == 2)
        left.set()
        assert await going is False
        assert len(waiting) == 1
        log.there = True
        assert await staying is True

    asyncio.run(run())


def test_no_poll_goes_on_when_no_request_waits():
    async def run():
        waiting = LongPoll(interval=0.001)
        log = Log(waiting)
        waiter = asyncio.create_task(log.wait())
        await turn(lambda: log.polls > 0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        polls = log.polls
        await asyncio.sleep(0.01)
        assert log.polls == polls
        assert len(waiting) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_too_many_are_turned_away():
    async def run():
        waiting = LongPoll(interval=1000, most=2)
        log = Log(waiting)
        waiters = [asyncio.create_task(log.wait()) for _ in range(2)]
        await turn(lambda: len(waiting) == 2)
        with pytest.raises(Problem) as raised:
            await log.wait()
        assert raised.value.status == 503
        assert int(raised.value.headers["Retry-After"]) > 0
        log.there = True
        waiting.wake("box")
        await asyncio.gather(*waiters)

    asyncio.run(run())


def test_a_look_that_fails_is_told_to_all():
    async def run():
        waiting = LongPoll(interval=0.001)
        log = Log(waiting)

        async def fail():
            raise StorageError("gone")

        log.has_new = fail
        found = await asyncio.gather(log.wait(), log.wait(), return_exceptions=True)
        assert [type(each) for each in found] == [StorageError, StorageError]
        assert waiting._watches == {}

    asyncio.run(run())


def test_places_are_looked_at_apart():
    async def run():
        waiting = LongPoll(interval=0.001)
        here, there = Log(waiting), Log(waiting)
        waiters = [asyncio.create_task(here.wait()), asyncio.create_task(there.wait(position=Position(4)))]
        await turn(lambda: here.polls and there.polls)
        here.there = True
        assert await waiters[0] is True
        assert not waiters[1].done()
        there.there = True
        assert await waiters[1] is True

    asyncio.run(run())


def test_all_waits_end_when_the_server_does():
    async def run():
        waiting = LongPoll(interval=1000)
        log = Log(waiting)
        waiters = [asyncio.create_task(log.wait(1000, Position(seq))) for seq in (3, 3, 4)]
        await turn(lambda: len(waiting) == 3)
        waiting.end()
        assert await asyncio.gather(*waiters) == [False] * 3
        assert waiting._watches == {}
        # Who comes later is not made to wait.
        assert await log.wait(1000) is False
        assert log.polls == 0

    asyncio.run(run())
