"""Only what is new: cursors, overlaps, and what was taken in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import OptionsError, PagingError, StorageError
from airflow_provider_osmosdest.core.source.incremental.cursors import Comparison, comparison_of
from airflow_provider_osmosdest.core.source.incremental.incremental import read_incremental
from airflow_provider_osmosdest.core.source.incremental.tracker import Tracker, Watermark

BY_TIME = {"cursor_path": "at", "param": "since", "initial_value": "2026-01-01T00:00:00Z"}
BY_NUMBER = {"cursor_path": "n", "param": "since"}


def lines(*records):
    return [json.dumps(record).encode() for record in records]


def run(option, records, before=None):
    """Return what a run takes, and the watermark it leaves."""
    tracker = Tracker(read_incremental(option), before or Watermark())
    kept = tracker.fresh(lines(*records), "page 1")
    left = tracker.watermark(before or Watermark())
    return [json.loads(each) for each in kept], Watermark.read(left.to_json())


class TestCursors:
    @pytest.mark.parametrize(
        ("value", "kind"),
        [(3, "number"), (3.5, "number"), ("2026-01-31", "datetime"), ("2026-01-31T09:30:00.5+02:00", "datetime")],
    )
    def test_numbers_and_times_are_known(self, value, kind):
        assert comparison_of(value).kind == kind

    @pytest.mark.parametrize("value", ["abc", "20260131", "12", True, None, "2026-W05"])
    def test_other_text_is_not_guessed_at(self, value):
        with pytest.raises(OptionsError, match=r'"compare": "text"; "10" is then less than "9"\.$'):
            comparison_of(value)

    @pytest.mark.parametrize(
        ("kind", "value", "message"),
        [
            ("number", "3", "^'3' is no number$"),
            ("text", 3, "^3 is no text$"),
            ("datetime", "20260131", "^'20260131' is no time like 2026-01-31T09:30:00Z$"),
        ],
    )
    def test_what_is_no_value_of_its_kind_is_named(self, kind, value, message):
        with pytest.raises(ValueError, match=message):
            Comparison(kind).key(value)

    @pytest.mark.parametrize(
        ("value", "seconds", "back"),
        [
            ("2026-03-01T00:00:30Z", 60, "2026-02-28T23:59:30Z"),
            ("2026-03-01 00:00:30", 60, "2026-02-28 23:59:30"),
            ("2026-03-01T00:00:30.250Z", 60, "2026-02-28T23:59:30.250Z"),
            ("2026-03-01T00:00:30.250001+02:00", 60, "2026-02-28T23:59:30.250001+02:00"),
            ("2026-03-01T00:00:30.2501Z", 60, "2026-02-28T23:59:30.250100Z"),
            ("0001-01-01T00:00:30+02:00", 60, "0001-01-01T00:00:00+02:00"),
            ("2026-03-01", 86_400, "2026-02-28"),
        ],
    )
    def test_an_overlap_is_written_as_the_value_is(self, value, seconds, back):
        assert Comparison("datetime").back(value, seconds) == back

    @pytest.mark.parametrize(("value", "count", "back"), [(5, 2.0, 3), (5, 0.5, 4.5), (5.5, 2.0, 3.5)])
    def test_whole_numbers_stay_whole(self, value, count, back):
        found = Comparison("number").back(value, count)
        assert (found, type(found)) == (back, type(back))

    def test_times_compare_as_moments(self):
        key = Comparison("datetime").key
        assert key("2026-01-01T01:00:00+02:00") < key("2026-01-01T00:00:00Z")
        assert key("2026-01-01T00:00:00") == key("2026-01-01T00:00:00Z")
        assert Comparison("text").key("9") > Comparison("text").key("10")


class TestOption:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("no json", "is not JSON"),
            ([1], "expected an object like"),
            ({"cursor_path": "at", "parm": "x"}, "there is no option 'parm'; there are cursor_path, param,"),
            ({"param": "since"}, "cursor_path is missing"),
            ({"cursor_path": "at"}, "expected param or body_path"),
            ({**BY_TIME, "body_path": "a"}, "and not both"),
            ({**BY_TIME, "overlap": -1}, "found overlap -1"),
            ({**BY_TIME, "compare": "letters"}, "found compare 'letters', expected one of number, datetime, text"),
            ({**BY_TIME, "compare": "text", "overlap": 3}, "overlap cannot go back in text"),
            ({**BY_TIME, "compare": "number"}, "initial_value cannot be compared as 'number'"),
            ({**BY_TIME, "initial_value": "first"}, '"compare": "text"'),
        ],
    )
    def test_what_cannot_be_used(self, value, message):
        with pytest.raises(OptionsError, match=message):
            read_incremental(value)

    def test_where_the_value_goes(self):
        option = read_incremental(BY_TIME)
        assert option.request("x", {"a": 1}, None) == ({"a": 1, "since": "x"}, None)
        assert option.request(None, {"a": 1}, None) == ({"a": 1}, None)
        option = read_incremental({"cursor_path": "at", "body_path": "filter.since"})
        assert option.request("x", {}, {"filter": {"b": 1}}) == ({}, {"filter": {"b": 1, "since": "x"}})


class TestRuns:
    def test_the_first_asks_from_the_initial_value(self):
        assert Tracker(read_incremental(BY_TIME), Watermark()).since == "2026-01-01T00:00:00Z"
        assert Tracker(read_incremental(BY_NUMBER), Watermark()).since is None

    def test_the_next_asks_from_the_highest_and_leaves_out_what_it_has(self):
        first, left = run(BY_NUMBER, [{"n": 1}, {"n": 3}, {"n": 2}, {"n": 3, "x": 1}])
        assert len(first) == 4
        assert left.value == 3
        assert Tracker(read_incremental(BY_NUMBER), left).since == 3
        # The API gives the border again; one record at it is new.
        second, left = run(BY_NUMBER, [{"n": 3}, {"x": 1, "n": 3}, {"n": 3, "x": 2}, {"n": 4}], left)
        assert second == [{"n": 3, "x": 2}, {"n": 4}]
        assert left.value == 4

    def test_an_overlap_goes_back(self):
        option = {**BY_TIME, "overlap": 3600}
        late = {"at": "2026-01-01T09:30:00Z", "id": 2}
        known = {"at": "2026-01-01T09:45:00Z", "id": 3}
        _, left = run(option, [{"at": "2026-01-01T08:00:00Z", "id": 1}, known, {"at": "2026-01-01T10:00:00Z", "id": 4}])
        assert Tracker(read_incremental(option), left).since == "2026-01-01T09:00:00Z"
        # What lies before the overlap is not kept in mind.
        assert len(left.seen) == 2
        second, _ = run(option, [late, known], left)
        assert second == [late]

    def test_a_record_that_was_edited_comes_again(self):
        option = {**BY_NUMBER, "overlap": 10, "record_key": "id"}
        _, left = run(option, [{"n": 1, "id": 7, "v": "a"}])
        second, left = run(option, [{"n": 1, "id": 7, "v": "b"}], left)
        assert second == [{"n": 1, "id": 7, "v": "b"}]
        # And back: that is news, too.
        third, left = run(option, [{"n": 1, "id": 7, "v": "a"}], left)
        assert third == [{"n": 1, "id": 7, "v": "a"}]
        assert run(option, [{"n": 1, "id": 7, "v": "a"}], left)[0] == []

    def test_a_record_without_a_value_is_taken(self):
        tracker = Tracker(read_incremental(BY_NUMBER), Watermark(5))
        assert len(tracker.fresh(lines({"n": None}, {"x": 1}, "text"), "page 1")) == 3
        assert tracker.without == 3
        assert tracker.watermark(Watermark()).value == 5

    def test_a_value_of_another_kind_stops(self):
        tracker = Tracker(read_incremental(BY_NUMBER), Watermark(5))
        with pytest.raises(PagingError, match="page 4: the cursor 'n' cannot be compared: 'x' is no number"):
            tracker.fresh(lines({"n": "x"}), "page 4")

    def test_another_cursor_begins_anew(self):
        left = Tracker(read_incremental(BY_NUMBER), Watermark()).watermark(Watermark(5000, (), "other"))
        assert left.value is None
        assert Tracker(read_incremental(BY_NUMBER), Watermark(5000, (), "other")).since is None

    def test_the_first_day_of_the_calendar_has_no_day_before(self):
        option = read_incremental({**BY_TIME, "overlap": 86400})
        left = Tracker(option, Watermark("0001-01-01T00:00:00Z"))
        assert left.since == "0001-01-01T00:00:00Z"
        assert left.watermark(Watermark()).value == "0001-01-01T00:00:00Z"

    def test_another_run_may_have_got_further(self):
        _, left = run(BY_NUMBER, [{"n": 1}, {"n": 2}])
        tracker = Tracker(read_incremental(BY_NUMBER), Watermark())
        tracker.fresh(lines({"n": 1}), "page 1")
        merged = tracker.watermark(left)
        assert (merged.value, len(merged.seen)) == (2, 1)

    def test_the_window_does_not_grow_with_the_run(self):
        tracker = Tracker(read_incremental({**BY_NUMBER, "overlap": 5}), Watermark())
        for start in range(0, 60_000, 1_000):
            tracker.fresh(lines(*({"n": number} for number in range(start, start + 1_000))), "page")
            assert len(tracker._seen) < 25_000
        assert len(tracker.watermark(Watermark()).seen) == 6

    def test_what_cannot_be_read_is_not_taken_for_nothing(self):
        with pytest.raises(StorageError, match="without it everything is taken again"):
            Watermark.read(b'{"version": 2}')


@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=6), st.integers(0, 5), st.integers(0, 3))
def test_each_record_once_however_runs_and_records_fall(batches, overlap, behind):
    """Records that come late by no more than the overlap are all taken, and none of them twice."""
    option = {**BY_NUMBER, "overlap": overlap, "record_key": "id"}
    there: list[dict[str, int]] = []
    taken: list[int] = []
    left = Watermark()
    high = 0
    for batch in batches:
        for number in batch:
            value = max(number, high - min(overlap, behind))
            there.append({"n": value, "id": len(there)})
        high = max([high, *(record["n"] for record in there)])
        since = Tracker(read_incremental(option), left).since
        kept, left = run(option, [record for record in there if since is None or record["n"] >= since], left)
        taken += [record["id"] for record in kept]
    assert sorted(taken) == [record["id"] for record in there]
