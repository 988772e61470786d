"""What several tasks send together, on a simulated clock."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.http.shared_bucket import PAUSE_SECONDS, Grant, SharedBucket, divided_bucket
from tests.unit.core.http.rates_simulated import Script, World, most_in_a_second

FOREVER = float("inf")


def together(tasks, begun=0.01):
    return [(number * begun, FOREVER) for number in range(tasks)]


lives = st.lists(
    st.tuples(st.floats(0, 6), st.floats(0.05, 6)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    min_size=1,
    max_size=10,
)


@given(
    lives=lives,
    rate=st.sampled_from([0.5, 2.0, 7.3, 100.0, 1_000.0]),
    share=st.integers(1, 10),
    seed=st.integers(0, 10_000),
    slowest=st.sampled_from([0.0005, 0.005, 0.02]),
    room=st.sampled_from([1, 16, 256]),
    busy=st.sampled_from([0.0, 0.003, 0.2]),
)
def test_no_second_has_more_whatever_tasks_begin_and_die(*, lives, rate, share, seed, slowest, room, busy):
    world = World(rate, Random(seed), slowest)
    world.run(lives, share=share, seconds=12, room=room, busy=lambda: world.random.uniform(0, busy))
    assert most_in_a_second(world.sent) <= 1.1 * rate + 1


@given(
    seed=st.integers(0, 10_000),
    tasks=st.integers(1, 8),
    mapped=st.booleans(),
    began=st.floats(3, 5),
    lasted=st.floats(0.6, 9),
    forgets=st.booleans(),
)
def test_nor_when_redis_goes_away_and_comes_back(*, seed, tasks, mapped, began, lasted, forgets):
    world = World(100.0, Random(seed), outages=[(began, began + lasted)], forgets=forgets)
    world.run(together(tasks), share=tasks if mapped else 1, seconds=25)
    assert most_in_a_second(world.sent) <= 111
    assert len(world.sent) >= 25 * 80


@pytest.mark.parametrize(("rate", "tasks"), [(2, 1), (2, 4), (10, 4), (100, 1), (100, 4), (100, 16), (1_000, 4)])
def test_all_of_the_rate_is_used_and_shared_out(rate, tasks):
    world = World(rate, Random(1)).run(together(tasks), share=tasks, seconds=60)
    assert len(world.sent) >= 0.97 * rate * 60
    assert len(world.by_task) == tasks
    assert min(world.by_task.values()) >= 0.6 * rate * 60 / tasks


def test_what_a_task_does_not_use_others_do():
    """Once it is sure that none is left that keeps to its share."""
    world = World(100, Random(1)).run([(0.0, FOREVER), *[(0.0, 1.0)] * 3], share=4, seconds=30)
    last = [at for at in world.sent if at > 15]
    assert len(last) >= 0.97 * 100 * 15


def test_a_thousand_a_second_costs_some_twenty_questions_a_second():
    world = World(1_000, Random(1)).run(together(1), share=1, seconds=10, room=256)
    assert world.asks <= 21 * 10


def test_batches_of_records_wait_for_what_went_before():
    """Each sends 50 at once, and all of them together no more than the rate."""
    script, clock = Script(), Clock()
    buckets = [SharedBucket(AtOnce(script, clock, number), "records", 10, 1, lambda: 0.5) for number in range(2)]
    sent = 0
    while clock.now < 100:
        for bucket in buckets:
            if bucket.available(clock.now, 1):
                bucket.take(50, clock.now)
                sent += 50
        clock.now += 0.01
    assert sent == pytest.approx(10 * 100, abs=100)


class Clock:
    now = 0.0


class AtOnce:
    """A store that answers at once."""

    name = "simulated"

    def __init__(self, script, clock, task):
        self.script, self.clock, self.task = script, clock, str(task)

    def ask(self, noun, rate, units, *, charged=False):
        at = self.clock.now
        granted, start, careful, tasks = self.script.run(
            round(at * 1e6), rate, units, saved=0.025, fresh=0.1, charged=charged, task=self.task
        )
        return Grant(granted, at + start / 1e6, at + start / 1e6 + 0.05, at, careful > 0, tasks)

    def charge(self, noun, rate, units):
        return self.ask(noun, rate, units, charged=True)


def test_the_tasks_of_a_divided_rate_do_not_begin_at_the_same_moment():
    waits = [divided_bucket(2.0, 4, lambda chance=chance: chance).wait(0.0) for chance in (0.0, 0.5, 0.999)]
    assert waits == pytest.approx([2.0, 1.0, 0.002])
    assert divided_bucket(2.0, 1).wait(0.0) == 0.0


class Away:
    name = "away"

    def ask(self, *_):
        return None

    charge = ask


def test_without_a_store_a_task_waits_and_then_keeps_to_its_share():
    bucket = SharedBucket(Away(), "requests", 100.0, 4, lambda: 1.0)
    assert bucket.available(10.0) == 0
    assert bucket.wait(10.0) == pytest.approx(PAUSE_SECONDS)
    now, sent = 10.0, 0
    while now < 20.0:
        if units := bucket.available(now):
            bucket.take(units, now)
            sent += units
        now += 0.001
    assert sent == pytest.approx(25 * (10 - PAUSE_SECONDS), abs=2)


def test_late_answers_are_not_used():
    class Late(Away):
        def ask(self, noun, rate, units):
            return Grant(units, start=20.0, valid_until=19.99, received=20.0)

    bucket = SharedBucket(Late(), "requests", 10.0, 1)
    assert bucket.available(19.9) == 0
