"""Many writers and readers, whose requests come in any order and fail anywhere: nothing lost, doubled, out of order."""

from __future__ import annotations

import gzip
import json
import random
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
    """One store, and a mailbox for each process, with caches of its own."""

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


def check_purged_only(rnd, writers, readers, faults):
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


@given(st.randoms(use_true_random=False), st.integers(1, 3), st.integers(0, 2), st.integers(0, 6))
@THOROUGH
def test_a_purge_loses_no_reader_what_was_not_purged(rnd, writers, readers, faults):
    check_purged_only(rnd, writers, readers, faults)


@pytest.mark.parametrize("seed", [4434, 4449, 9249, 9484, 9857])
def test_a_purge_loses_no_reader_what_was_not_purged_in_orders_that_once_did(seed):
    rnd = random.Random(seed)
    check_purged_only(rnd, rnd.randint(1, 3), rnd.randint(0, 2), rnd.randint(0, 6))


class HeldUp:
    """A store whose clients stand still before one request of theirs, while something else goes on for an hour."""

    def __init__(self):
        self.clock = Clock(())
        self.backend = MemoryBackend(clock=self.clock)

    def mailbox(self):
        return Mailbox(memory_store(self.backend), MailboxSettings("box"), clock=self.clock)

    def before(self, request, happen):
        """Let something happen before the next request of this kind; those that it makes itself do not count."""
        plain = self.backend.perform

        def perform(what, name, act):
            if (what, name) == request:
                self.backend.perform = plain
                happen()
            return act()

        self.backend.perform = perform

    def publish_others(self, count):
        other = self.mailbox()
        for number in range(count):
            other.publish([b'{"other":%d}\n' % number], batch_id=f"other-{number}")

    def begin_purge(self, earliest):
        """Put what is before a batch out of reach, and wait; return what deletes it."""
        mailbox = self.mailbox()
        purged = [mailbox.log.entry(seq) for seq in range(1, earliest)]
        for entry in purged:
            settle(mailbox.store, entry)
        mailbox.store.put(EARLIEST_NAME, json.dumps({"seq": earliest}).encode())
        self.clock.now += 3600

        def end_purge():
            for entry in purged:
                mailbox.store.delete([entry.data, entry_name(entry.seq)])

        return end_purge

    def purge(self, earliest):
        self.begin_purge(earliest)()

    def lines(self):
        return self.mailbox().read(None, limit=10, max_bytes=1000).lines

    def entries(self):
        return sorted(int(name[4:-5]) for name in self.backend.objects if name.startswith("log/"))


@pytest.fixture
def held_up():
    return HeldUp()


def test_a_place_that_is_taken_after_it_was_purged_is_given_up(held_up):
    stalled = held_up.mailbox()
    stalled.publish([b"{}\n"], batch_id="first")

    def happen():
        held_up.publish_others(3)
        held_up.purge(4)

    held_up.before(("create", entry_name(2)), happen)
    published = stalled.publish([b'{"late":1}\n'], batch_id="late")
    assert (published.entry.seq, published.already) == (5, False)
    assert held_up.lines() == b'{"other":2}\n{"late":1}\n'
    assert held_up.entries() == [4, 5]


def test_what_was_left_at_a_purged_place_goes_where_another_process_has_published_the_batch(held_up):
    stalled = held_up.mailbox()

    def happen():
        held_up.publish_others(3)
        held_up.purge(3)
        assert held_up.mailbox().publish([b"{}\n"], batch_id="late").entry.seq == 4

    held_up.before(("create", entry_name(1)), happen)
    published = stalled.publish([b"{}\n"], batch_id="late")
    assert (published.entry.seq, published.already) == (4, True)
    assert held_up.entries() == [3, 4]


def test_no_batch_follows_one_that_stands_at_a_purged_place(held_up):
    def leave():
        """Publish three, purge two, and leave a batch at the place of the first, by a process that was held up."""
        held_up.publish_others(3)
        held_up.purge(3)
        other = json.loads(held_up.backend.objects[entry_name(3)])
        assert held_up.backend.create(entry_name(1), json.dumps(other | {"seq": 1, "batch_id": "left"}).encode())
        raise Killed

    held_up.before(("create", entry_name(1)), leave)
    with pytest.raises(Killed):
        held_up.mailbox().publish([b'{"late":1}\n'], batch_id="late")
    held_up.clock.now += 3600
    published = held_up.mailbox().publish([b'{"late":1}\n'], batch_id="late")
    assert (published.entry.seq, published.already) == (4, False)
    assert held_up.lines() == b'{"other":2}\n{"late":1}\n'


def test_no_batch_follows_one_that_is_purged_meanwhile(held_up):
    """A publisher that was held up finds the first batch in the instant before a purge deletes it and the second."""

    def happen():
        held_up.publish_others(3)
        held_up.before(("get", entry_name(2)), held_up.begin_purge(3))

    held_up.before(("create", entry_name(1)), happen)
    published = held_up.mailbox().publish([b'{"late":1}\n'], batch_id="late")
    assert (published.entry.seq, published.already) == (4, False)
    assert held_up.lines() == b'{"other":2}\n{"late":1}\n'


def test_a_publisher_that_was_held_up_at_the_logs_end_goes_on_behind_what_was_not_purged(held_up):
    stalled = held_up.mailbox()
    stalled.publish([b"{}\n"], batch_id="first")

    def happen():
        held_up.publish_others(1)
        held_up.purge(2)

    def at_the_end():
        held_up.clock.now += 90
        held_up.before(("get", entry_name(1)), happen)

    held_up.before(("create", "claims/late.json"), at_the_end)
    published = stalled.publish([b'{"late":1}\n'], batch_id="late")
    assert (published.entry.seq, published.already) == (3, False)


@pytest.mark.parametrize("ask", ["read", "has_new", "batches"])
def test_a_reader_that_was_held_up_at_the_logs_end_goes_on_where_the_purge_ends(held_up, ask):
    held_up.publish_others(1)
    reader = held_up.mailbox()
    end = Position(2)
    cursor = reader.cursor_text(end)

    def happen():
        held_up.mailbox().publish([b'{"late":1}\n'], batch_id="late")
        held_up.purge(2)

    held_up.before(("get", entry_name(1)), happen)
    if ask == "read":
        assert reader.read(cursor, limit=10, max_bytes=1000).next.position == end
    elif ask == "has_new":
        assert not reader.has_new(end)
    else:
        assert reader.batches(cursor, limit=10) == ([], cursor)
    assert reader.read(cursor, limit=10, max_bytes=1000).lines == b'{"late":1}\n'


def test_what_cannot_be_noted_in_its_claim_is_not_to_be_purged(held_up):
    mailbox = held_up.mailbox()

    def lose():
        raise ConnectionError("made up: no connection")

    held_up.before(("put", "claims/one.json"), lose)
    entry = mailbox.publish([b"{}\n"], batch_id="one").entry
    held_up.before(("put", "claims/one.json"), lose)
    with pytest.raises(StorageError, match="made up"):
        settle(mailbox.store, entry)
    settle(mailbox.store, entry)
    assert json.loads(held_up.backend.objects["claims/one.json"])["seq"] == 1


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
