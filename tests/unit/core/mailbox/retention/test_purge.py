"""Purging: what goes and when, what never goes, and what is left by a purge that breaks off."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import CursorExpiredError, StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.log.log import Log
from airflow_provider_osmosdest.core.mailbox.log.publish import publish
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.retention.horizon import load_horizon
from airflow_provider_osmosdest.core.mailbox.retention.inventory import overview
from airflow_provider_osmosdest.core.mailbox.retention.purge import GRACE, purge
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from tests.thoroughness import examples

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Killed(BaseException):
    """A process is gone."""


class MortalStore(Store):
    """A store whose process dies before the change of a number; each deletion is one."""

    changes = 0
    dies_at = None

    def _change(self):
        self.changes += 1
        if self.changes == self.dies_at:
            raise Killed

    def put(self, name, data):
        self._change()
        super().put(name, data)

    def delete(self, names):
        for name in names:
            self._change()
            super().delete([name])


class Box:
    """A mailbox whose time can be set."""

    def __init__(self, root, **settings):
        self.root = root
        self.settings = MailboxSettings("box", **settings)
        self.now = START
        self.store = MortalStore(root)
        self.mailbox = self.opened()
        self.published = 0

    def clock(self):
        return self.now.timestamp()

    def opened(self):
        """Return it as another process would open it, with empty caches."""
        mailbox = Mailbox(self.store, self.settings)
        mailbox.log = Log(self.store, clock=self.clock)
        return mailbox

    def publish(self, records=2):
        self.published += 1
        lines = [json.dumps({"batch": self.published, "n": n}).encode() + b"\n" for n in range(records)]
        batch_id = f"batch-{self.published}"
        return publish(self.store, self.mailbox.log, lines, batch_id=batch_id, clock=self.clock).entry

    def purge(self, **options):
        return purge(self.opened(), now=self.now, **options)

    def readable(self):
        """Return the numbers of the batches that a new reader gets, all of whose records must be there."""
        page = self.opened().read(None, limit=10_000, max_bytes=2**30)
        batches = [json.loads(line)["batch"] for line in page.lines.splitlines()]
        assert batches == sorted(batches)
        assert all(batches.count(each) == 2 for each in batches)
        return sorted(set(batches))

    def objects(self, folder):
        return sorted(each.name for each in (self.root / folder).iterdir())

    def age(self, name, age):
        moment = (self.now - age).timestamp()
        os.utime(self.root / name, (moment, moment))


@pytest.fixture
def box(tmp_path):
    return lambda **settings: Box(tmp_path, **settings)


def test_what_is_too_old_is_first_out_of_reach_and_then_deleted(box):
    box = box(max_age=DAY.total_seconds())
    for _ in range(4):
        box.publish()
        box.now += 12 * HOUR
    sizes = [box.mailbox.log.entry(seq).bytes for seq in (1, 2, 3, 4)]

    first = box.purge()
    assert (first.batches, first.earliest, first.waiting, first.waiting_bytes) == (0, 3, 2, sizes[0] + sizes[1])
    assert box.readable() == [3, 4]
    assert len(box.objects("data")) == len(box.objects("log")) == 4

    box.now += GRACE - timedelta(seconds=1)
    early = box.purge()
    assert (early.batches, early.earliest, early.waiting) == (0, 3, 2)
    box.now += timedelta(seconds=1)
    later = box.purge()
    assert (later.batches, later.bytes) == (2, sizes[0] + sizes[1])
    assert len(box.objects("data")) == len(box.objects("log")) == 4 - later.batches
    assert box.readable() == [4]  # the third has come of age meanwhile, and waits
    assert later.waiting == 1


def test_purging_more_often_than_the_grace_does_not_put_it_off(box):
    box = box(max_age=60)
    for _ in range(3):
        box.publish()
    deleted = 0
    box.now += HOUR
    for _ in range(12):
        deleted += box.purge().batches
        box.now += timedelta(minutes=1)
    assert deleted == 2


def test_a_clock_that_ran_ahead_does_not_put_it_off(box):
    opened = box(max_age=DAY.total_seconds())
    opened.publish(1)
    opened.publish(1)
    opened.now += 900 * DAY
    assert opened.purge().waiting == 1
    opened.now -= 900 * DAY
    assert opened.purge().waiting == 1
    opened.now += GRACE
    assert opened.purge().batches == 1


def test_what_is_too_much_goes_oldest_first(box):
    size = box().publish().bytes
    box = box(max_bytes=int(size * 2.5))
    for _ in range(4):
        box.publish()
    assert box.purge().earliest == 3
    assert len(box.readable()) == 2
    # What waits for its deletion does not count once more.
    box.now += GRACE
    assert box.purge().waiting == 0
    assert len(box.readable()) == 2


@pytest.mark.parametrize("limit", [{"max_bytes": 1}, {"max_age": 1}])
def test_the_newest_batch_is_never_purged(box, limit):
    box = box(**limit)
    for _ in range(5):
        box.publish()
    for _ in range(3):
        box.now += 10 * DAY
        box.purge()
    assert box.readable() == [5]
    assert box.objects("log") == [f"{5:020d}.json"]
    assert box.publish().seq == 6
    assert box.readable() == [5, 6]


@pytest.mark.parametrize("settings", [{}, {"max_age": 10 * 86400}, {"max_bytes": 10**9}])
def test_nothing_is_due_and_nothing_is_written(box, settings):
    box = box(**settings)
    assert box.purge().earliest == 1
    for _ in range(3):
        box.publish()
    box.now += DAY
    box.store.changes = 0
    done = box.purge()
    assert (done.batches, done.earliest, done.waiting, done.leftovers) == (0, 1, 0, 0)
    assert box.store.changes == 0


def test_a_dry_run_says_the_same_and_changes_nothing(box):
    box = box(max_age=60)
    for _ in range(3):
        box.publish()
    box.now += HOUR
    for _ in range(3):
        box.store.changes = 0
        said = box.purge(dry_run=True)
        assert box.store.changes == 0
        assert box.purge() == said
        box.now += GRACE


def test_an_expired_cursor_is_told_the_earliest(box):
    box = box(max_age=DAY.total_seconds())
    box.publish()
    cursor = box.mailbox.cursor_text(Position(1, 1))
    box.now += 2 * DAY
    box.publish()
    box.purge()
    box.now += GRACE
    box.purge()
    with pytest.raises(CursorExpiredError) as caught:
        box.opened().read(cursor, limit=10, max_bytes=10**6)
    page = box.opened().read(caught.value.earliest, limit=10, max_bytes=10**6)
    assert {json.loads(line)["batch"] for line in page.lines.splitlines()} == {2}


def test_a_batch_that_was_purged_is_not_published_again(box):
    box = box(max_age=60)
    first = box.publish()
    # Its publisher was killed before it had noted that it is in the log.
    box.store.put("claims/batch-1.json", b'{"after": 0}')
    box.publish()
    box.now += HOUR
    box.purge()
    box.now += GRACE
    assert box.purge().batches == 1
    again = box.opened().publish([b'{"batch": 1}\n'], batch_id="batch-1")
    assert (again.already, again.entry) == (True, first)


def test_a_horizon_that_something_else_wrote_stops_the_purge(box):
    box = box(max_age=60)
    box.publish()
    for data in (b"", b"[]", b'{"seq": 1}', b'{"seq": 1, "delete_below": 1, "at": "x"}'):
        box.store.put("earliest.json", data)
        with pytest.raises(StorageError, match=r"earliest\.json"):
            box.purge()


def test_a_purge_that_another_overtakes_does_not_take_it_back(box, monkeypatch):
    box = box(max_age=60)
    for _ in range(3):
        box.publish()
    box.now += HOUR

    def overtaken(store):
        # The other one has come in between by the time the first looks again.
        horizon = load_horizon(store)
        if store.changes == 0:
            document = {"seq": 2, "delete_below": 1, "at": box.now.isoformat()}
            store.put("earliest.json", json.dumps(document).encode())
        return horizon

    box.store.changes = 0
    monkeypatch.setattr("airflow_provider_osmosdest.core.mailbox.retention.purge.load_horizon", overtaken)
    box.purge()
    assert load_horizon(box.store).seq == 2


def test_what_no_entry_names_goes_after_a_day(box):
    box = box()
    for _ in range(2):
        box.publish()
    for name in ("data/broken-1111111111111111.ndjson.gz", "data/fresh-2222222222222222.ndjson.gz"):
        box.store.put(name, b"x")
    for name in box.objects("data"):
        box.age(f"data/{name}", 2 * DAY)
    box.age("data/fresh-2222222222222222.ndjson.gz", DAY / 2)
    assert box.purge().leftovers == 1
    assert [name.split("-")[0] for name in box.objects("data")] == ["batch", "batch", "fresh"]
    assert box.readable() == [1, 2]


def test_receipts_and_claims_of_what_is_gone_are_kept_for_a_week(box):
    box = box(max_age=DAY.total_seconds())
    for _ in range(3):
        box.publish()
    for name in ("old", "new"):
        box.store.put(f"receipts/{name}.json", b"{}")
    box.now += 2 * DAY
    for name in box.objects("claims"):
        box.age(f"claims/{name}", 8 * DAY)
    box.age("claims/batch-2.json", 6 * DAY)
    box.age("receipts/old.json", 8 * DAY)
    box.age("receipts/new.json", 6 * DAY)
    box.purge()
    assert box.objects("receipts") == ["new.json"]
    assert len(box.objects("claims")) == 3
    box.now += GRACE
    box.age("claims/batch-2.json", 6 * DAY)
    box.purge()
    box.purge()
    # The first batch is gone, the third is there.
    assert box.objects("claims") == ["batch-2.json", "batch-3.json"]


def test_an_overview_counts_what_may_be_read(box):
    box = box(max_age=DAY.total_seconds())
    empty = overview(box.opened())
    assert (empty.batches, empty.records, empty.bytes, empty.oldest, empty.newest) == (0, 0, 0, None, None)
    entries = []
    for _ in range(4):
        entries.append(box.publish())
        box.now += 12 * HOUR
    box.store.put("data/broken-1111111111111111.ndjson.gz", b"abc")
    box.purge()
    seen = overview(box.opened())
    assert (seen.earliest, seen.tail, seen.batches, seen.records, seen.waiting) == (3, 4, 2, 4, 2)
    assert seen.bytes == entries[2].bytes + entries[3].bytes
    assert (seen.oldest, seen.newest) == (entries[2].published_at, entries[3].published_at)
    assert seen.stray_bytes == 3


events = st.one_of(
    st.just(("publish", 0, None)),
    st.tuples(st.just("purge"), st.integers(1, 25), st.one_of(st.none(), st.integers(1, 12))),
)


@given(
    events=st.lists(events, min_size=3, max_size=14),
    limits=st.sampled_from([{"max_age": 600}, {"max_bytes": 250}, {"max_age": 1800, "max_bytes": 500}]),
)
@settings(max_examples=examples(60), deadline=None)
def test_whenever_a_purge_dies_the_mailbox_can_be_read(events, limits):
    with TemporaryDirectory() as folder:
        box = Box(Path(folder), **limits)
        reachable_until = {}
        for what, minutes, dies_at in events:
            box.now += timedelta(minutes=minutes)
            if what == "publish":
                reachable_until[box.publish()] = box.now
                continue
            horizon = load_horizon(box.store)
            for entry in reachable_until:
                if entry.seq >= horizon.seq:
                    reachable_until[entry] = box.now
            box.store.changes, box.store.dies_at = 0, dies_at
            with suppress(Killed):
                box.purge()
            box.store.dies_at = None

            horizon = load_horizon(box.store)
            # A new reader reads all from the earliest on, and the newest batch is among it.
            assert box.readable() == list(range(min(horizon.seq, box.published + 1), box.published + 1))
            assert not box.published or box.readable()[-1] == box.published
            # A reader of a batch that was within reach has the grace to come to its end.
            for entry, moment in reachable_until.items():
                if box.now - moment < GRACE:
                    assert box.store.size(entry.data) == entry.bytes

        # Purges that come to their end take with them all that broken ones have left.
        for _ in range(3):
            box.now += GRACE
            box.purge()
        horizon = load_horizon(box.store)
        kept = [f"{seq:020d}.json" for seq in range(horizon.delete_below, box.published + 1)]
        if box.published:
            assert box.objects("log") == kept
            assert len(box.objects("data")) == len(kept)
