"""Many writers and readers, whose requests come in any order and fail anywhere: nothing lost, doubled, out of order."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import CursorExpiredError, StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.log.entry import entry_name
from airflow_provider_osmosdest.core.mailbox.log.log import EARLIEST_NAME
from airflow_provider_osmosdest.core.mailbox.log.publish import settle
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.testing.mailbox_backend import MemoryBackend, memory_store
from tests.thoroughness import examples
from tests.unit.core.mailbox.interleaving import Clock, Interleaving, Killed

THOROUGH = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


class World:
    """One store, and everybody's view of it: each process has a mailbox of its own, with caches of its own."""

    def __init__(self, rnd, *, faults, clock=None):
        self.clock = clock or Clock()
        self.steps = Interleaving(rnd, faults, self.clock)
        self.backend = MemoryBackend(self.steps.perform, clock=self.clock)
        self.rnd = rnd
        self.writing = 0
        self.read = []

    def mailbox(self):
        return Mailbox(memory_store(self.backend), MailboxSettings("box"), clock=self.clock)

    def add_writer(self, name, batches):
        """Publish batches one after the other; a process that was killed begins anew with the one it was at."""
        self.writing += 1

        def work():
            mailbox = self.mailbox()
            for batch_id, lines in batches:
                while True:
                    try:
                        published = mailbox.publish([lines], batch_id=batch_id, producer=name)
                    except StorageError:
                        continue
                    except Killed:
                        mailbox = self.mailbox()
                        continue
                    assert published.entry.batch_id == batch_id
                    break
            self.writing -= 1

        self.steps.add(name, work)

    def add_reader(self, name):
        """Read to the end; a process that was killed goes on from the cursor it had kept."""
        records = []
        self.read.append(records)

        def work():
            mailbox, cursor = self.mailbox(), None
            while True:
                over = not self.writing
                try:
                    page = mailbox.read(cursor, limit=self.rnd.choice([1, 2, 5, 100]), max_bytes=10_000)
                    new = mailbox.has_new(page.next.position)
                except StorageError:
                    continue
                except Killed:
                    mailbox = self.mailbox()
                    continue
                except CursorExpiredError as expired:
                    cursor = expired.earliest
                    continue
                records.extend(page.lines.splitlines())
                cursor = mailbox.cursor_text(page.next.position)
                if over and page.up_to_date and not new:
                    return

        self.steps.add(name, work)

    def log(self):
        """Everything in the log, read without any of the code under test."""
        names = sorted(name for name in self.backend.objects if name.startswith("log/"))
        entries = [json.loads(self.backend.objects[name]) for name in names]
        assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
        return entries, [
            line for entry in entries for line in gzip.decompress(self.backend.objects[entry["data"]]).splitlines()
        ]


def batch(name, records):
    return name, b"".join(b'{"batch":"%s","n":%d}\n' % (name.encode(), number) for number in range(records))


@given(
    st.randoms(use_true_random=False),
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(0, 8),
    st.booleans(),
)
@THOROUGH
def test_nothing_is_lost_doubled_reordered_or_skipped(rnd, writers, readers, faults, twins):
    world = World(rnd, faults=faults)
    plans = [[batch(f"w{w}-{b}", size) for b, size in enumerate(sizes)] for w, sizes in enumerate(writers)]
    for number, plan in enumerate(plans):
        world.add_writer(f"w{number}", plan)
    if twins:
        # A second process publishes what the first does: a task that the scheduler took for dead.
        world.add_writer("twin", plans[0])
    for number in range(readers):
        world.add_reader(f"r{number}")
    world.steps.run()

    entries, lines = world.log()
    assert Counter(entry["batch_id"] for entry in entries) == Counter(each for plan in plans for each, _ in plan)
    assert sorted(lines) == sorted(line for plan in plans for _, data in plan for line in data.splitlines())
    for plan in plans:
        order = [entry["batch_id"] for entry in entries if entry["batch_id"] in dict(plan)]
        assert order == [each for each, _ in plan]
    for one, other in pairwise(entries):
        assert other["first"] == one["first"] + one["records"]
        assert other["published_at"] >= one["published_at"]
    for records in world.read:
        assert records == lines
    tail = world.mailbox().log.tail()
    assert tail.seq == len(entries)
    assert world.mailbox().lag(Position(1)) == len(lines)


@given(st.randoms(use_true_random=False), st.integers(2, 5), st.integers(0, 6))
@THOROUGH
def test_one_batch_that_everybody_publishes_is_in_the_log_once(rnd, writers, faults):
    world = World(rnd, faults=faults)
    for number in range(writers):
        world.add_writer(f"w{number}", [batch(f"own-{number}", 1), batch("same", 3)])
    world.steps.run()
    entries, lines = world.log()
    assert Counter(entry["batch_id"] for entry in entries)["same"] == 1
    assert len(entries) == writers + 1
    assert len(lines) == writers + 3


def purge_over_and_over(world, history):
    """Put all but the newest batch out of reach, wait for the grace, delete what is, and again."""
    while world.writing:
        try:
            mailbox = world.mailbox()
            tail = mailbox.log.tail()
            if tail is None:
                continue
            settle_below(mailbox, tail.seq, history)
            mailbox.store.put(EARLIEST_NAME, json.dumps({"seq": tail.seq}).encode())
            since = world.clock()
            while world.clock() - since < 600 and world.writing:
                mailbox.store.size("anything")
            if world.clock() - since >= 600:
                delete_below(mailbox, tail.seq, history)
        except (StorageError, Killed):
            continue


def settle_below(mailbox, earliest, history):
    """Note in the claims what is about to be out of reach, as `purge` does: a retry cannot look there any more."""
    for seq in range(1, earliest):
        entry = mailbox.log.entry(seq)
        if entry is not None and seq not in history:
            settle(mailbox.store, entry)


def delete_below(mailbox, earliest, history):
    for seq in range(1, earliest):
        entry = mailbox.log.entry(seq)
        if seq in history:
            # What stands there again is what a writer left that stood still, and it took another place.
            mailbox.store.delete([entry_name(seq)])
        elif entry is not None:
            history[seq] = entry.batch_id
            mailbox.store.delete([entry.data])
            mailbox.store.delete([entry_name(seq)])


@given(st.randoms(use_true_random=False), st.integers(1, 3), st.integers(0, 2), st.integers(0, 6))
@THOROUGH
def test_a_purge_costs_nobody_what_was_not_purged(rnd, writers, readers, faults):
    """Time leaps, so that processes stand still for longer than what is purged stays readable."""
    world = World(rnd, faults=faults, clock=Clock((*[0.0] * 60, 1.0, 30.0, 200.0, 700.0)))
    plans = [[batch(f"w{w}-{b}", 2) for b in range(4)] for w in range(writers)]
    for number, plan in enumerate(plans):
        world.add_writer(f"w{number}", plan)
    world.add_writer("twin", plans[0])
    for number in range(readers):
        world.add_reader(f"r{number}")
    history = {}
    world.steps.add("purge", lambda: purge_over_and_over(world, history))
    world.steps.run()
    left = sorted(name for name in world.backend.objects if name.startswith("log/"))
    # What stands at a purged place at the end, too, is what a writer left that stood still, and it took another place.
    order = {
        entry["seq"]: entry["batch_id"] for entry in (json.loads(world.backend.objects[name]) for name in left)
    } | history
    assert sorted(order) == list(range(1, len(order) + 1))
    assert Counter(order.values()) == Counter(each for plan in plans for each, _ in plan)
    places = {batch_id: seq for seq, batch_id in order.items()}
    for records in world.read:
        seen = [(places[each["batch"]], each["n"]) for each in map(json.loads, records)]
        assert seen == sorted(set(seen))


def test_a_place_that_is_taken_after_it_was_purged_is_given_up(monkeypatch):
    clock = Clock(())
    backend = MemoryBackend(clock=clock)

    def mailbox():
        return Mailbox(memory_store(backend), MailboxSettings("box"), clock=clock)

    stalled = mailbox()
    stalled.publish([b"{}\n"], batch_id="first")
    plain = backend.perform

    def perform(what, name, act):
        """Others publish two batches and purge, while the one who is about to create entry 2 stands still."""
        if (what, name) == ("create", entry_name(2)):
            backend.perform = plain
            other = mailbox()
            for number in range(3):
                other.publish([b'{"other":%d}\n' % number], batch_id=f"other-{number}")
            other.store.put(EARLIEST_NAME, b'{"seq":4}')
            clock.now += 3600
            other.store.delete([entry_name(seq) for seq in (1, 2, 3)])
        return act()

    backend.perform = perform
    published = stalled.publish([b'{"late":1}\n'], batch_id="late")
    assert (published.entry.seq, published.already) == (5, False)
    assert mailbox().read(None, limit=10, max_bytes=1000).lines == b'{"other":2}\n{"late":1}\n'


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_killed_at_each_request_of_a_publish(killed_at):
    backend = MemoryBackend()
    requests = 0

    def perform(what, name, act):
        nonlocal requests
        requests += 1
        answer = act()
        if requests == killed_at:
            raise Killed
        return answer

    backend.perform = perform
    with pytest.raises(Killed):
        Mailbox(memory_store(backend), MailboxSettings("box")).publish([b"{}\n"], batch_id="one")
    Mailbox(memory_store(backend), MailboxSettings("box")).publish([b"{}\n"], batch_id="one")
    assert sum(name.startswith("log/") for name in backend.objects) == 1
    assert Mailbox(memory_store(backend), MailboxSettings("box")).read(None, limit=9, max_bytes=99).count == 1
