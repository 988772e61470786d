from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import (
    ConfigurationError,
    CursorError,
    CursorExpiredError,
    StorageError,
)
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.log.entry import decode, encode, entry_name
from airflow_provider_osmosdest.core.mailbox.log.log import EARLIEST_NAME, TAIL_NAME
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.mailbox_backend import MemoryBackend, memory_store
from tests.thoroughness import examples

LARGE = 10**9


class Fixture:
    def __init__(self, *, parallel=1):
        self.now = 1_700_000_000.0
        self.backend = MemoryBackend(clock=lambda: self.now)
        self.backend.parallel = parallel
        self.mailbox = self.another()

    def another(self, **settings):
        """The same mailbox, seen by another process."""
        return Mailbox(memory_store(self.backend), MailboxSettings("box", **settings), clock=lambda: self.now)

    def publish(self, *sizes):
        start = self.mailbox.log.tail()
        first = start.seq if start else 0
        for number, size in enumerate(sizes, first + 1):
            lines = [b'{"batch":%d,"record":%d}\n' % (number, each) for each in range(size)]
            self.mailbox.publish(lines, batch_id=f"b{number}", producer="tests")

    def purge_below(self, seq):
        self.mailbox.store.put(EARLIEST_NAME, json.dumps({"seq": seq}).encode())
        for each in range(1, seq):
            name = entry_name(each)
            if name in self.backend.objects:
                self.backend.delete([json.loads(self.backend.objects[name])["data"], name])

    def requests(self, act):
        self.backend.requests.clear()
        act()
        return sum(self.backend.requests.values())


@pytest.fixture
def box():
    return Fixture()


@given(
    st.lists(st.sampled_from([1, 2, 3, 999, 1000, 1001, 2500]), min_size=1, max_size=12),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32),
)
@settings(max_examples=examples(40), deadline=None)
def test_pages_of_any_size_are_the_log(sizes, parallel, seed):
    rnd = random.Random(seed)
    box = Fixture(parallel=parallel)
    box.publish(*sizes)
    expected = [f'{{"batch":{b},"record":{r}}}\n'.encode() for b, size in enumerate(sizes, 1) for r in range(size)]
    found, cursor, mailbox = [], None, box.another()
    for _ in range(10_000):
        limit, max_bytes = rnd.choice([(7, 10**6), (700, 10**6), (5000, 9000), (5000, 10**6)])
        page = mailbox.read(cursor, limit=limit, max_bytes=max_bytes)
        lines = page.lines.splitlines(keepends=True)
        assert len(lines) == page.count <= limit
        assert len(page.lines) <= max_bytes
        found += lines
        assert mailbox.lag(page.next.position) == len(expected) - len(found)
        assert page.up_to_date == (len(found) == len(expected)) != mailbox.has_new(page.next.position)
        cursor = mailbox.cursor_text(page.next.position)
        if page.up_to_date:
            break
    assert found == expected


def test_a_page_has_one_record_however_small_it_may_be(box):
    box.publish(3)
    page = box.mailbox.read(None, limit=10, max_bytes=1)
    assert (page.lines, page.count, page.up_to_date) == (b'{"batch":1,"record":0}\n', 1, False)
    assert page.next.position == Position(1, 1)


def test_a_page_begins_wherever_its_cursor_says_and_keeps_its_generation(box):
    box.publish(3)
    start = Cursor(Position(1, 2), 4)
    text = box.mailbox.cursor_text(start.position, start.generation)
    pages = [box.mailbox.read(each, limit=1, max_bytes=LARGE) for each in (start, text)]
    assert pages[0] == pages[1]
    assert (pages[0].start, pages[0].next) == (start, Cursor(Position(2), 4))
    assert box.mailbox.read(start.position, limit=1, max_bytes=LARGE).next == Cursor(Position(2))


@pytest.mark.parametrize("wrong", [{"limit": 0, "max_bytes": 1}, {"limit": 1, "max_bytes": 0}])
def test_a_page_without_room_is_refused(box, wrong):
    with pytest.raises(ValueError, match="at least 1 record and 1 byte"):
        box.mailbox.read(None, **wrong)


def test_an_empty_mailbox_is_read_to_its_end(box):
    page = box.mailbox.read(None, limit=1, max_bytes=1)
    assert (page.lines, page.count, page.up_to_date, page.next) == (b"", 0, True, page.start)
    assert not box.mailbox.has_new(page.next.position)
    assert box.mailbox.log.tail() is None
    assert box.mailbox.lag(Position(1)) == 0
    assert box.mailbox.batches(None, limit=5)[0] == []


def test_an_idle_poll_is_one_request(box):
    box.publish(*[5] * 40)
    reader = box.another()
    end = Position(41)
    assert box.requests(lambda: reader.has_new(end)) == 2  # the first of a process makes sure that the end is the end
    for _ in range(3):
        assert box.requests(lambda: reader.has_new(end)) == 1
        assert box.requests(lambda: reader.read(end, limit=5, max_bytes=LARGE)) == 1
        assert box.requests(lambda: reader.read(reader.cursor_text(end), limit=5, max_bytes=LARGE)) == 1
        assert box.requests(lambda: reader.batches(reader.cursor_text(end), limit=5)) == 1
        box.now += 19
    # Once a minute a reader makes sure again that the log did not end under it.
    box.now += 60
    assert box.requests(lambda: reader.has_new(end)) == 2
    assert box.requests(lambda: reader.has_new(end)) == 1


@pytest.mark.parametrize("batches", [10, 300])
def test_what_things_cost_does_not_grow_with_the_log(batches):
    box = Fixture()
    box.publish(*[3] * batches)
    middle = Position(batches // 2)
    assert box.requests(lambda: box.another().read(middle, limit=2, max_bytes=LARGE)) == 2
    assert box.requests(lambda: box.mailbox.publish([b"{}\n"], batch_id="next")) == 6
    assert box.requests(lambda: box.another().publish([b"{}\n"], batch_id="other")) == 8
    other = box.another()
    assert box.requests(other.log.tail) == 3
    assert box.backend.requests["list"] == 0


def test_a_page_reads_only_its_segments(box):
    box.publish(20_000)
    entry = box.mailbox.log.tail()
    read = []
    plain = box.backend.get
    box.backend.get = lambda name, start=None, stop=None: (read.append((name, start, stop)), plain(name, start, stop))[
        1
    ]
    page = box.mailbox.read(Position(1, 10_250), limit=500, max_bytes=LARGE)
    assert page.count == 500
    ((name, start, stop),) = read
    assert name == entry.data
    assert stop - start == entry.points[10][2]


def test_the_logs_end_is_found_with_a_lost_or_late_hint(box):
    box.publish(*[1] * 37)
    for hint in (None, 0, 1, 20, 36, 37):
        if hint is None:
            box.backend.delete([TAIL_NAME])
        else:
            box.backend.put(TAIL_NAME, json.dumps({"seq": hint}).encode())
        assert box.another().log.tail().seq == 37
    box.purge_below(30)
    for hint in (0, 5, 29, 33):
        box.backend.put(TAIL_NAME, json.dumps({"seq": hint}).encode())
        assert box.another().log.tail().seq == 37


def test_a_late_hint_costs_no_batch_its_place(box):
    box.publish(*[1] * 10)
    box.purge_below(8)
    box.backend.put(TAIL_NAME, b'{"seq":3}')
    assert box.another().publish([b"{}\n"], batch_id="new").entry.seq == 11


def test_a_damaged_document_is_named(box):
    box.publish(1)
    box.backend.put(EARLIEST_NAME, b"not json")
    with pytest.raises(StorageError, match=EARLIEST_NAME):
        box.another().read(None, limit=1, max_bytes=1)


@pytest.mark.parametrize("hint", [b"not json", b"", b"[]", b'{"seq":1e999}', b'{"seq":-7}', b'{"seq":1}'])
def test_publishing_relies_on_no_hint(box, hint):
    box.publish(1, 1)
    box.backend.put(TAIL_NAME, hint)
    assert box.another().publish([b"{}\n"], batch_id="next").entry.seq == 3
    assert json.loads(box.backend.objects[TAIL_NAME]) == {"seq": 3}
    assert json.loads(box.backend.objects["claims/next.json"])["after"] <= 2


def test_a_log_that_ends_before_its_hint_takes_no_more(box):
    box.publish(1, 1)
    box.backend.put(TAIL_NAME, b'{"seq":500}')
    with pytest.raises(StorageError, match="batch 500, and it ends with 2"):
        box.another().publish([b"{}\n"], batch_id="next")
    # Nothing was claimed: once the hint is deleted, the same publish goes on.
    box.backend.delete([TAIL_NAME])
    assert box.another().publish([b"{}\n"], batch_id="next").entry.seq == 3


def test_a_server_goes_on_with_the_log_that_took_the_place_of_another(box):
    box.publish(1, 1, 1)
    box.backend.delete(list(box.backend.objects))
    box.now += 2
    assert box.mailbox.publish([b"{}\n"], batch_id="new").entry.seq == 1
    assert box.mailbox.read(None, limit=5, max_bytes=LARGE).lines == b"{}\n"


def test_an_entry_in_the_place_of_another_is_refused(box):
    box.publish(1, 1, 1)
    box.backend.put(entry_name(3), box.backend.objects[entry_name(2)])
    with pytest.raises(StorageError, match="entry of batch 2"):
        box.another().read(None, limit=5, max_bytes=LARGE)


@pytest.mark.parametrize(
    "data", ["../other/data/b.ndjson.gz", "/etc/passwd", "data/../../x", "data/", "data/a/b", 5, None]
)
def test_an_entry_names_nothing_but_the_mailboxs_data(box, data):
    box.publish(1)
    entry = json.loads(box.backend.objects[entry_name(1)])
    box.backend.put(entry_name(1), json.dumps({**entry, "data": data}).encode())
    with pytest.raises(StorageError, match="no entry of a mailbox's log"):
        box.another().log.entry(1)


def test_damaged_data_is_named(box):
    box.publish(1, 1)
    name = json.loads(box.backend.objects[entry_name(1)])["data"]
    box.backend.put(name, b"x" * len(box.backend.objects[name]))
    with pytest.raises(StorageError, match=rf"{name} of batch 1: a batch is damaged"):
        box.mailbox.read(None, limit=5, max_bytes=LARGE)


def test_a_consumer_cannot_be_moved_past_the_end(box):
    box.publish(1, 1, 1)
    later = box.mailbox.cursor_text(Position(9), 0)
    with pytest.raises(CursorError, match="made anew"):
        box.mailbox.commit("c", later)
    assert box.mailbox.consumers.committed("c") is None
    assert box.mailbox.commit("c", box.mailbox.cursor_text(Position(4), 0))
    box.purge_below(3)
    # What comes before it has been read, so that it may have been purged since.
    assert box.another().commit("d", box.mailbox.cursor_text(Position(2), 0))
    with pytest.raises(CursorError, match="before the first"):
        box.mailbox.commit("c", box.mailbox.cursor_text(Position(0), 0))


def test_publishing_twice_adds_nothing_and_says_so(box):
    first = box.mailbox.publish([b"{}\n"], batch_id="same", producer="a")
    again = box.another().publish([b'{"other":1}\n'], batch_id="same", producer="b")
    assert (first.already, again.already) == (False, True)
    assert again.entry == first.entry
    assert sum(name.startswith("data/") for name in box.backend.objects) == 1


def test_publishing_again_what_was_purged_adds_nothing(box):
    box.publish(1, 1, 1)
    box.purge_below(3)
    again = box.another().publish([b"{}\n"], batch_id="b1")
    assert again.already
    assert again.entry.seq == 1
    assert box.another().log.tail().seq == 3


@pytest.mark.parametrize("wrong", ["", ".hidden", "a/b", "a b", "x" * 201, "../up", "é"])
def test_a_batch_id_that_cannot_be_a_name_is_refused(box, wrong):
    with pytest.raises(ValueError, match="batch_id is"):
        box.mailbox.publish([b"{}\n"], batch_id=wrong)
    assert box.backend.objects == {}


def test_nothing_is_written_of_a_batch_without_records(box):
    with pytest.raises(ValueError, match="no record"):
        box.mailbox.publish([], batch_id="empty")
    assert box.backend.objects == {}


def test_data_is_never_written_over(box):
    first = box.mailbox.publish([b"{}\n"], batch_id="one").entry
    # What a publish that was killed has left; a purge may be about to delete it.
    box.backend.objects["data/two" + first.data.removeprefix("data/one")] = b"left over"
    second = box.mailbox.publish([b"{}\n"], batch_id="two").entry
    assert second.data != "data/two" + first.data.removeprefix("data/one")
    assert second.data.startswith(f"data/two-{second.sha256[:16]}.")
    assert second.data.rpartition("-")[0] == "data/two"


def test_an_expired_cursor_tells_the_earliest(box):
    box.publish(2, 2, 2)
    reader = box.another()
    cursor = reader.cursor_text(Position(1))
    box.purge_below(3)
    with pytest.raises(CursorExpiredError, match=r"batch 1 of mailbox box was purged, and batch 3") as caught:
        reader.read(cursor, limit=5, max_bytes=LARGE)
    assert reader.read(caught.value.earliest, limit=5, max_bytes=LARGE).count == 2
    for act in (reader.has_new, reader.position, lambda at: reader.batches(at, limit=1)):
        with pytest.raises(CursorExpiredError):
            act(Position(1) if act == reader.has_new else cursor)
    assert reader.read(None, limit=5, max_bytes=LARGE).start.position == Position(3)


def test_a_reader_in_the_middle_of_what_is_put_out_of_reach_goes_on(box):
    box.publish(2, 2, 2)
    reader = box.another()
    page = reader.read(None, limit=1, max_bytes=LARGE)
    box.mailbox.store.put(EARLIEST_NAME, b'{"seq":3}')
    box.now += 120
    rest = reader.read(reader.cursor_text(page.next.position), limit=5, max_bytes=LARGE)
    assert rest.count == 5


def test_reading_from_the_earliest_notices_a_purge_within_the_minute(box):
    box.publish(2, 2, 2)
    reader = box.another()
    assert reader.read(None, limit=1, max_bytes=LARGE).count == 1
    fresh = box.another()
    assert fresh.log.earliest() == 1
    box.purge_below(3)
    box.now += 60
    assert fresh.read(None, limit=9, max_bytes=LARGE).count == 2


def test_a_cursor_of_a_mailbox_that_was_made_anew_is_refused(box):
    box.publish(2)
    for position in (Position(9), Position(1, 3)):
        with pytest.raises(CursorError, match="has none there") as caught:
            box.mailbox.read(position, limit=1, max_bytes=LARGE)
        assert not isinstance(caught.value, CursorExpiredError)
    with pytest.raises(CursorError):
        box.mailbox.has_new(Position(9))


def test_missing_data_is_told_and_does_not_hide_what_comes_before(box):
    box.publish(2, 2)
    box.backend.delete([box.mailbox.log.entry(2).data])
    page = box.mailbox.read(None, limit=9, max_bytes=LARGE)
    assert (page.count, page.next.position, page.up_to_date) == (2, Position(2), False)
    with pytest.raises(StorageError, match=r"of batch 2 is missing, and was not purged"):
        box.mailbox.read(page.next.position, limit=9, max_bytes=LARGE)


def test_a_torn_log_takes_no_more(box):
    box.publish(1, 1, 1)
    box.backend.delete([entry_name(3)])
    box.backend.delete([entry_name(2)])
    with pytest.raises(StorageError, match="has deleted objects"):
        box.another().publish([b"{}\n"], batch_id="new")


def test_times_never_go_back(box):
    box.publish(1)
    box.now -= 3600
    box.publish(1)
    one, two = box.mailbox.batches(None, limit=5)[0]
    assert two.published_at == one.published_at
    assert datetime.fromisoformat(one.published_at).tzinfo is not None


def test_a_moment_leads_to_the_first_batch_since(box):
    start = datetime.fromtimestamp(box.now, UTC)
    for _ in range(9):
        box.publish(1)
        box.now += 10
    at_time = box.mailbox.log.at_time
    assert at_time(start - timedelta(days=1)) == Position(1)
    assert at_time(start) == Position(1)
    assert at_time(start + timedelta(seconds=1)) == Position(2)
    assert at_time(start + timedelta(seconds=40)) == Position(5)
    assert at_time(start + timedelta(days=1)) == Position(10)
    box.purge_below(4)
    assert box.another().log.at_time(start) == Position(4)


def test_batches_are_listed_from_a_cursor(box):
    box.publish(1, 2, 3, 4)
    entries, cursor = box.mailbox.batches(None, limit=3)
    assert [each.records for each in entries] == [1, 2, 3]
    entries, cursor = box.mailbox.batches(cursor, limit=3)
    assert [each.first for each in entries] == [6]
    assert box.mailbox.batches(cursor, limit=3) == ([], cursor)


def test_what_was_purged_does_not_count_as_lag(box):
    box.publish(5, 5, 5)
    assert box.mailbox.lag(Position(1, 2)) == 13
    box.purge_below(3)
    assert box.another().lag(Position(1, 2)) == 5


def test_an_entry_comes_back_and_names_what_it_is_not(box):
    box.publish(3)
    entry = box.mailbox.log.tail()
    assert decode(encode(entry), "x") == entry
    document = json.loads(box.backend.objects[entry_name(1)])
    assert document["bytes"] == len(box.backend.objects[document["data"]])
    for data in (b"", b"[]", b"{}", b'{"seq":1}'):
        with pytest.raises(StorageError, match=r"log/7\.json is no entry"):
            decode(data, "log/7.json")


def test_the_schemas_digest_is_in_the_entry(box):
    schema = DestinationSchema.load({"fields": [{"name": "a", "type": "integer"}]})
    mailbox = box.another(schema=schema)
    digest = mailbox.publish([b'{"a":1}\n'], batch_id="one").entry.schema
    assert digest == MailboxSettings("other", schema=schema).schema_digest
    assert len(digest) == 64
    assert box.mailbox.publish([b"{}\n"], batch_id="two").entry.schema is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"mailbox_id": "a/b"}, "mailbox_id is 'a/b'"),
        ({"mailbox_id": "a" * 129}, "1 to 128"),
        ({"page_limit": 0}, "page_limit of mailbox box is 0"),
        ({"max_age": float("nan")}, "max_age"),
        ({"on_invalid": "drop"}, "on_invalid is 'drop'"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, reason):
    with pytest.raises(ConfigurationError, match=reason):
        MailboxSettings(**{"mailbox_id": "box", **wrong})
