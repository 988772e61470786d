"""What stands in the ledger while a delivery is under way, and when it ends."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger import journal
from airflow_provider_osmosdest.core.delivery.ledger.failures import Failure
from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal
from airflow_provider_osmosdest.core.delivery.ledger.ledger import Chunk, Ledger, read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.report import Tally
from airflow_provider_osmosdest.core.errors import StorageError, SupersededError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of


class TestWhatIsNoted:
    """Every chunk stands in the ledger when it is sent."""

    def sent_and_noted(self, folder, ledger, **options):
        records = [{"id": number} for number in range(10)]
        source = open_source(records)
        ledger.fingerprint = source.fingerprint
        store = MemoryLedgerStore()
        store.save(ledger.to_json())
        seen = []

        def handle(request):
            ids = [record["id"] for record in json.loads(body_of(request))]
            noted = [(chunk.start, chunk.stop) for chunk in read_ledger(store.document).sending]
            seen.append(((ids[0], ids[-1] + 1), noted))
            return Response(request, 200)

        schema = DestinationSchema.load([{"name": "id", "type": "integer"}])
        delivery = Delivery(Target("http://api.test"), DeliveryOptions(**options), schema, folder)
        run_context = RunContext(ledger=store)
        deliver(delivery, source, HandlerTransport(handle).factory, lambda _: None, run_context)
        return seen

    def test_a_whole_batch_is(self, tmp_path):
        seen = self.sent_and_noted(tmp_path, Ledger("d"), batch_size=5)
        assert seen == [((0, 5), [(0, 5)]), ((5, 10), [(5, 10)])]

    def test_a_resumed_chunk_is_and_so_is_the_rest_of_its_batch(self, tmp_path):
        ledger = Ledger("d", settled=RangeSet([(0, 1)]), sending=(Chunk(2, 3),))
        seen = self.sent_and_noted(tmp_path, ledger, batch_size=5)
        # The resumed one stays noted until its turn comes.
        assert seen == [((1, 2), [(1, 2), (2, 3)]), ((2, 3), [(2, 3)]), ((3, 5), [(3, 5)]), ((5, 10), [(5, 10)])]


class Accepting:
    def __init__(self):
        self.requests = 0

    def exchange(self, starting, wait):
        self.requests += len(starting)
        return [Response(request, 200) for request in starting]

    def close(self):
        pass


class TestCompleteDelivery:
    """An attempt that is killed behind its last record, and the retry after it."""

    def deliver(self, folder, store, run_key, records):
        schema = DestinationSchema.load([{"name": "id", "type": "integer"}])
        options = DeliveryOptions(max_failures=1, retry_rejected=True)
        delivery = Delivery(Target("http://api.test"), options, schema, folder)
        transport = Accepting()
        run_context = RunContext(ledger=store, run_key=run_key)
        source = open_source(records)
        result = deliver(delivery, source, lambda *_, **__: transport, lambda _: None, run_context)
        assert result.error is None
        return result.report, transport.requests

    def test_the_retry_sends_nothing_and_tells_the_same(self, tmp_path):
        store = MemoryLedgerStore()
        first, requests = self.deliver(tmp_path, store, "1", iter([{"id": 1}, {"id": "none"}]))
        assert (requests, first.read, first.delivered, first.invalid) == (1, 2, 1, 1)
        second, requests = self.deliver(tmp_path, store, "1", iter([]))
        assert requests == 0
        assert second.to_dict() == {**first.to_dict(), "seconds": second.seconds}
        assert len((tmp_path / "failures-00000.ndjson").read_text().splitlines()) == 1

    def test_asked_for_again_it_is_another_delivery(self, tmp_path):
        store = MemoryLedgerStore()
        first, _ = self.deliver(tmp_path, store, "1", [{"id": 1}])
        second, requests = self.deliver(tmp_path, store, "2", [{"id": 1}])
        assert requests == 1
        assert second.delivery_id != first.delivery_id


def fail(journal, *indexes, outcome="rejected", error="no", status=422, attempts=1, **more):
    records = [(index, b"{}") for index in indexes]
    journal.fail(Failure(outcome, error, status, attempts), records, **more)


class Desk:
    """A journal on a clock of its own, and what it has written so far."""

    def __init__(self, folder, ledger=None, **more):
        self.folder = folder
        self.now = 0.0
        self.store = MemoryLedgerStore()
        self.tally = Tally()
        self.writes = 0
        ledger = ledger or Ledger("d", "f")
        self.journal = Journal(ledger, self, folder, self.tally, clock=lambda: self.now, **more)

    def save(self, document, *, last=False):
        self.writes += 1
        self.store.save(document)

    def fail(self, *indexes, **more):
        fail(self.journal, *indexes, **more)

    @property
    def written(self):
        return read_ledger(self.store.document)

    @property
    def parts(self):
        return sorted(path.name for path in self.folder.glob("failures-*.ndjson"))

    def listed(self):
        return [
            json.loads(line)["index"] for name in self.parts for line in (self.folder / name).read_bytes().splitlines()
        ]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "folder")


class TestWriting:
    def test_it_is_written_once_a_second_and_not_more(self, desk):
        for step in range(100):
            desk.now = step * 0.05
            desk.journal.deliver_each([step])
            desk.journal.tick()
        assert desk.writes == 4
        assert desk.written.settled == RangeSet([(0, 81)])

    def test_what_is_about_to_be_sent_stays_noted_until_it_is_answered(self, desk):
        chunk = Chunk(5, 9)
        desk.journal.note(chunk)
        assert desk.written.sending == (chunk,)
        desk.now = 2.0
        desk.journal.tick()
        assert desk.written.sending == (chunk,)
        desk.journal.answered()
        assert desk.written.sending == (chunk,), "saying so can wait for the next write"
        desk.journal.write()
        assert desk.written.sending == ()

    def test_what_an_earlier_attempt_may_have_sent_stays_noted_until_its_turn(self, tmp_path):
        early, late = Chunk(0, 5), Chunk(10, 20)
        desk = Desk(tmp_path, Ledger("d", "f", sending=(early, late), settled=RangeSet([(0, 5)])))
        assert desk.journal.resumed == (late,), "what is settled was answered"
        assert desk.journal.in_doubt == RangeSet([(10, 20)])
        desk.journal.note(Chunk(5, 10))
        assert desk.written.sending == (Chunk(5, 10), late)
        desk.journal.answered()
        desk.journal.note(late)
        assert desk.written.sending == (late,)
        desk.journal.answered()
        desk.journal.write()
        assert desk.written.sending == ()

    def test_a_chunk_left_in_doubt_is_the_next_attempts_first(self, desk):
        first, second = Chunk(0, 5), Chunk(5, 9)
        desk.journal.note(first)
        desk.journal.left_in_doubt()
        desk.journal.note(second)
        assert desk.written.sending == (second, first)
        desk.journal.answered()
        desk.journal.deliver([(5, 9)])
        desk.journal.close(complete=False)
        assert desk.written.sending == (first,)
        again = Desk(desk.folder, desk.written)
        assert again.journal.resumed == (first,)
        assert again.journal.in_doubt == RangeSet([(0, 5)])

    def test_what_is_settled_at_the_end_is_not_left_to_the_next_attempt(self, desk):
        for chunk in (Chunk(0, 5), Chunk(5, 9)):
            desk.journal.note(chunk)
            desk.journal.left_in_doubt()
        desk.journal.deliver([(0, 5), (5, 8)])
        desk.journal.close(complete=False)
        assert desk.written.sending == (Chunk(5, 9),)

    def test_what_was_sent_last_and_not_answered_is_left_to_the_next_attempt(self, desk):
        desk.journal.note(Chunk(0, 5))
        desk.journal.close(complete=False)
        assert desk.written.sending == (Chunk(0, 5),)

    def test_a_window_is_written_before_it_is_used_and_closed_at_the_end(self, desk):
        desk.journal.note_window((3, 20))
        assert desk.written.window == (3, 20)
        assert desk.written.doubts() == RangeSet([(3, 20)])
        desk.journal.deliver([(3, 10)])
        desk.journal.write()
        assert desk.written.doubts() == RangeSet([(10, 20)])
        desk.journal.close(complete=False)
        assert (desk.written.window, len(desk.written.doubts())) == ((0, 0), 0)

    def test_a_window_is_two_numbers_also_before_there_is_one_and_after_the_end(self, desk):
        desk.journal.write()
        assert json.loads(desk.store.document)["window"] == [0, 0]
        desk.journal.close(complete=False)
        assert json.loads(desk.store.document)["window"] == [0, 0]

    def test_a_window_of_a_killed_attempt_stays_in_doubt_until_it_is_settled(self, tmp_path):
        desk = Desk(tmp_path, Ledger("d", "f", window=(3, 20), settled=RangeSet([(5, 9)])))
        desk.journal.write()
        assert desk.written.in_doubt == desk.journal.in_doubt == RangeSet([(3, 5), (9, 20)])
        assert desk.written.window == (0, 0)
        desk.journal.deliver_each([3, 10])
        desk.journal.write()
        assert desk.written.in_doubt == RangeSet([(4, 5), (9, 10), (11, 20)])

    def test_doubt_is_written_until_it_is_settled(self, desk):
        desk.journal.doubt([(3, 5), (7, 8)])
        desk.journal.write()
        assert desk.written.in_doubt == RangeSet([(3, 5), (7, 8)])
        desk.journal.deliver([(3, 4)])
        desk.journal.close(complete=False)
        assert desk.written.in_doubt == RangeSet([(4, 5), (7, 8)])

    @pytest.mark.parametrize("once", [True, False])
    def test_under_at_most_once_what_is_in_doubt_is_forbidden_and_else_resumed(self, tmp_path, once):
        ledger = Ledger("d", "f", window=(2, 4), in_doubt=RangeSet([(8, 9)]), sending=(Chunk(10, 20, (12,)),))
        journal = Journal(ledger, MemoryLedgerStore(), tmp_path, Tally(), once=once)
        doubts = RangeSet([(2, 4), (8, 9), (10, 12), (13, 20)])
        assert journal.in_doubt == doubts
        assert journal.resumed == (() if once else (Chunk(10, 20, (12,)),))
        assert journal.forbidden == (doubts if once else RangeSet())

    def test_counts_and_seconds_go_on_from_attempt_to_attempt(self, tmp_path):
        ledger = Ledger("d", "f", counts={"delivered": 3, "requests": 4}, seconds=7.0, attempts=1)
        desk = Desk(tmp_path, ledger)
        assert (desk.tally.delivered, desk.tally.requests) == (3, 4)
        desk.tally.delivered += 2
        desk.now = 5.0
        desk.journal.write()
        assert desk.written.counts["delivered"] == 5
        assert desk.written.seconds == 12.0
        assert desk.written.attempts == 2


class TestFailures:
    def test_what_is_not_durable_is_not_settled(self, desk):
        desk.journal.deliver([(0, 10)])
        desk.tally.delivered = 8
        desk.fail(3, 4)
        desk.journal.write()
        assert desk.written.settled == RangeSet([(0, 3), (5, 10)])
        assert (desk.written.counts["delivered"], desk.written.counts["rejected"]) == (8, 0)
        assert not desk.written.reasons
        assert desk.tally.rejected == 2, "the report of this attempt counts them all the same"

    def test_a_part_is_closed_over_them_after_ten_seconds(self, desk):
        desk.fail(3)
        for desk.now in (1.0, 5.0, 9.9):
            desk.journal.write()
            assert 3 not in desk.written.settled
        desk.now = 10.0
        desk.journal.write()
        assert 3 in desk.written.settled
        assert desk.written.counts["rejected"] == 1
        assert desk.written.parts == desk.parts == ["failures-00000.ndjson"]

    def test_or_when_there_are_many(self, desk):
        desk.fail(*range(511))
        desk.journal.write()
        assert len(desk.written.settled) == 0
        desk.fail(511)
        desk.journal.write()
        assert desk.written.settled == RangeSet([(0, 512)])

    def test_or_at_once_where_a_record_may_have_arrived(self, desk):
        desk.fail(3)
        desk.fail(4, outcome="unknown")
        desk.journal.write()
        assert desk.written.settled == RangeSet([(3, 5)])
        assert desk.listed() == [3, 4]

    def test_what_a_retry_may_mend_is_listed_and_never_settled(self, desk):
        desk.fail(3, outcome="unsent", final=False)
        assert desk.journal.has_open
        desk.journal.close(complete=False)
        assert 3 not in desk.written.settled
        assert desk.written.counts.get("unsent", 0) == 0
        assert desk.written.parts == []
        assert desk.listed() == [3]

    def test_what_may_have_been_taken_and_is_open_is_in_doubt_for_the_next_attempt(self, desk):
        desk.fail(3, outcome="unknown", final=False)
        desk.fail(4, outcome="unsent", final=False)
        desk.fail(5, outcome="unknown")
        desk.journal.close(complete=False)
        assert desk.written.in_doubt == RangeSet([(3, 4)])
        assert desk.written.settled == RangeSet([(5, 6)])

    def test_the_next_attempt_lists_those_anew(self, desk):
        desk.fail(1)
        desk.fail(3, outcome="unsent", final=False)
        desk.journal.close(complete=False)
        again = Desk(desk.folder, desk.written)
        assert again.listed() == [1]
        assert (again.tally.rejected, again.tally.unsent) == (1, 0)
        again.fail(3)
        path = again.journal.close(complete=True)
        assert again.listed() == [1, 3]
        assert path == str(desk.folder / again.parts[0])
        assert again.written.complete

    def test_parts_no_ledger_speaks_of_are_removed(self, desk):
        desk.fail(1)
        desk.journal.write()
        desk.journal._failures.close()  # the part is there, and the process ends before the ledger says so
        assert desk.listed() == [1]
        assert Desk(desk.folder, desk.written).listed() == []

    def test_many_parts_are_folded_into_one_in_order(self, desk):
        for index in (9, 2, 5):
            desk.fail(index, outcome="unknown")
            desk.journal.write()
        assert len(desk.parts) == 3
        path = desk.journal.close(complete=True)
        assert desk.listed() == [2, 5, 9]
        assert desk.written.parts == desk.parts
        assert path == str(desk.folder / desk.parts[0])

    def test_a_crash_while_they_are_folded_loses_none(self, desk):
        for index in (9, 2):
            desk.fail(index, outcome="unknown")
            desk.journal.write()
        before = desk.written
        desk.journal.close(complete=True)
        for name in before.parts:
            (desk.folder / name).write_bytes(b'{"index":2}\n' if name.endswith("1.ndjson") else b'{"index":9}\n')
        assert sorted(Desk(desk.folder, before).listed()) == [2, 9], "the old parts, as the old ledger has them"

    def test_no_failures_make_no_file(self, desk):
        desk.journal.deliver([(0, 10)])
        assert desk.journal.close(complete=True) is None
        assert desk.parts == []


def test_a_failures_file_that_is_gone_is_an_error_and_not_forgotten(tmp_path):
    ledger = Ledger.new("f")
    ledger.parts = ["failures-00000.ndjson"]
    with pytest.raises(StorageError, match=r"failures-00000.ndjson is gone.*Restore it"):
        Journal(ledger, MemoryLedgerStore(), tmp_path, Tally())


class Keeping:
    """A deduplicator that notes what it is told."""

    def __init__(self, store):
        self.store = store
        self.told = []

    def fail(self, indexes):
        self.told.append(("fail", list(indexes)))

    def keep(self, settled, *, last):
        self.told.append(("keep", settled.flat(), last, self.store.document is None))


class Store(MemoryLedgerStore):
    """A store that notes what it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def holder(self):
        self.asked.append("holder")
        return super().holder()

    def save(self, document, *, last=False):
        self.asked.append("last" if last else "save")
        super().save(document)


def journal_of(folder, ledger=None, **more):
    """Return a journal that an attempt "a" has claimed, its store, and its clock."""
    store, clock = Store(), [100.0]
    store.claim("a")
    ledger = ledger or Ledger("d", "f")
    return Journal(ledger, store, folder, Tally(), clock=lambda: clock[0], attempt="a", **more), store, clock


class TestHolder:
    """Whether a later attempt has begun is looked at before anything is written or sent."""

    STEPS = (
        lambda journal: journal.write(),
        lambda journal: journal.note(Chunk(0, 5)),
        lambda journal: journal.note_window((0, 5)),
        lambda journal: journal.close(complete=True),
    )

    @pytest.mark.parametrize("step", STEPS)
    def test_each_write_finds_it_at_once_and_nothing_is_written(self, tmp_path, step):
        journal, store, _ = journal_of(tmp_path)
        fail(journal, 0)
        store.claim("b")
        with pytest.raises(SupersededError, match="Another attempt of delivery d has begun"):
            step(journal)
        assert store.document is None
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("note", STEPS[1:3])
    def test_what_may_be_sent_now_was_looked_at_after_it_was_written(self, tmp_path, note):
        journal, store, _ = journal_of(tmp_path)
        del store.asked[:]
        note(journal)
        assert store.asked == ["holder", "save", "holder"]

    def test_an_attempt_that_comes_too_late_removes_nothing(self, tmp_path):
        (tmp_path / "failures-00000.ndjson").write_text("{}\n")
        store = MemoryLedgerStore()
        store.claim("b")
        with pytest.raises(SupersededError):
            Journal(Ledger("d", "f"), store, tmp_path, Tally(), attempt="a")
        assert [path.name for path in tmp_path.iterdir()] == ["failures-00000.ndjson"]

    def test_the_guard_looks_once_a_second(self, tmp_path):
        journal, store, clock = journal_of(tmp_path)
        del store.asked[:]
        for clock[0] in (100.0, 100.9, 101.0, 101.5, 101.9, 102.0, 102.9):
            journal.guard()
        assert store.asked == ["holder"] * 2
        clock[0] = 103.0
        store.claim("b")
        with pytest.raises(SupersededError):
            journal.guard()

    @pytest.mark.parametrize(
        "fails",
        [
            lambda journal: fail(journal, 0),
            lambda journal: journal.fail_each("invalid", [(0, "no", b"{}")], ["no"]),
        ],
    )
    def test_so_does_what_writes_failure_records(self, tmp_path, fails):
        journal, store, clock = journal_of(tmp_path)
        store.claim("b")
        clock[0] += 0.9
        fails(journal)
        clock[0] += 0.1
        with pytest.raises(SupersededError):
            fails(journal)

    def test_where_no_other_can_begin_nothing_is_looked_at(self, tmp_path):
        store = Store()
        journal = Journal(Ledger("d", "f"), store, tmp_path, Tally())
        journal.note(Chunk(0, 5))
        assert store.asked == ["save"]

    def test_where_no_claim_is_left_the_attempt_goes_on(self, tmp_path):
        store = Store()
        Journal(Ledger("d", "f"), store, tmp_path, Tally(), attempt="a").write()
        assert store.document is not None


class TestOrigin:
    """Further fields of a failure record, by the index of its record."""

    def test_all_that_failed_has_them(self, tmp_path):
        journal, _, _ = journal_of(tmp_path, origin=lambda index: b',"first_index":%d' % (index + 100))
        fail(journal, 1, attempts=2)
        fail(journal, 2, outcome="unsent", status=503, error="busy", attempts=3, final=False)
        journal.fail_each("invalid", [(3, "id: missing (found 1)", b"{}")], ["id: missing"], form="textual")
        journal.fail_each("invalid", [(4, "id: missing", b"{}")], ["id: missing"])
        journal.close(complete=False)
        lines = {
            path.name: [json.loads(line) for line in path.read_bytes().splitlines()] for path in tmp_path.iterdir()
        }
        invalid = {"outcome": "invalid", "status": None, "attempts": 0, "record": {}}
        assert lines == {
            "failures-00000.ndjson": [
                {
                    "index": 1,
                    "outcome": "rejected",
                    "status": 422,
                    "error": "no",
                    "attempts": 2,
                    "record": {},
                    "first_index": 101,
                },
                {**invalid, "index": 3, "error": "id: missing (found 1)", "textual": True, "first_index": 103},
                {**invalid, "index": 4, "error": "id: missing", "first_index": 104},
            ],
            "failures-open-00000.ndjson": [
                {
                    "index": 2,
                    "outcome": "unsent",
                    "status": 503,
                    "error": "busy",
                    "attempts": 3,
                    "record": {},
                    "first_index": 102,
                }
            ],
        }


class TestKeys:
    """The keys of delivered records are durable before the ledger calls them settled."""

    def test_they_are_kept_before_each_write(self, tmp_path):
        store = MemoryLedgerStore()
        keeping = Keeping(store)
        journal = Journal(Ledger("d", "f"), store, tmp_path, Tally(), deduplicator=keeping)
        journal.deliver([(0, 3)])
        fail(journal, 3)
        journal.fail_each("invalid", [(4, "no", b"{}"), (5, "no", b"{}")], ["no", "no"])
        fail(journal, 6, outcome="unsent", final=False)
        journal.write()
        journal.close(complete=True)
        assert keeping.told == [
            ("fail", [3]),
            ("fail", [4, 5]),
            ("keep", [0, 3], False, True),
            ("keep", [0, 6], True, False),
        ]


class TestCounts:
    """What the report and the ledger count."""

    def test_what_was_never_sent_is_counted_under_its_reason(self, desk):
        records = [(1, "id: no (found 1)", b"{}"), (2, "id: no (found 2)", b"{}"), (4, "x", b"{}")]
        desk.journal.fail_each("invalid", records, ["id: no", "id: no", "x"])
        assert (desk.tally.invalid, desk.tally.reasons) == (3, {"invalid: id: no": 2, "invalid: x": 1})
        desk.journal.write()
        assert desk.written.counts["invalid"] == 0
        assert desk.written.reasons == {}
        desk.journal.close(complete=True)
        assert desk.written.counts["invalid"] == 3
        assert desk.written.reasons == {"invalid: id: no": 2, "invalid: x": 1}
        assert desk.written.settled == RangeSet([(1, 3), (4, 5)])

    def test_each_record_has_a_reason(self, desk):
        with pytest.raises(ValueError, match="zip"):
            desk.journal.fail_each("invalid", [(1, "x", b"{}")], ["x", "y"])

    def test_no_records_are_no_failure(self, desk):
        desk.fail(outcome="unknown")
        desk.fail(outcome="unsent", final=False)
        assert (desk.tally.unknown, desk.tally.reasons, desk.journal.has_open) == (0, {}, False)
        assert desk.journal.close(complete=True) is None

    def test_what_is_open_is_in_the_report_and_not_in_the_ledger(self, desk):
        for index in (1, 2):
            desk.fail(index, outcome="unknown", final=False, error="timed out")
            desk.fail(index + 2, outcome="unknown", error="lost")
        assert desk.tally.unknown == 4
        assert desk.tally.reasons == {"unknown: timed out": 2, "unknown: lost": 2}
        desk.journal.close(complete=False)
        assert desk.written.counts["unknown"] == 2
        assert desk.written.reasons == {"unknown: lost": 2}
        assert desk.written.settled == RangeSet([(3, 5)])
        assert desk.written.in_doubt == RangeSet([(1, 3)])

    def test_so_are_reasons_that_are_too_many_to_be_told_apart(self, desk):
        for index in range(1_100):
            desk.fail(index, outcome="unknown", final=False, error=f"500: request {index}")
        desk.fail(1_100, error="422: request 1100")
        desk.journal.fail_each("invalid", [(1_101, "id: 1101", b"{}")], ["id: 1101"])
        assert desk.tally.reasons["unknown: (other reasons)"] == 100
        desk.journal.write()
        assert desk.written.reasons == {}
        desk.journal.close(complete=False)
        assert desk.written.reasons == {"rejected: (other reasons)": 1, "invalid: (other reasons)": 1}

    def test_the_reasons_of_earlier_attempts_count(self, tmp_path):
        desk = Desk(tmp_path, Ledger("d", "f", reasons=Counter({"rejected: no": 2}), counts={"rejected": 2}))
        desk.fail(7)
        assert desk.tally.reasons == {"rejected: no": 3}
        desk.journal.close(complete=True)
        assert desk.written.reasons == {"rejected: no": 3}

    def test_seconds_are_those_of_all_attempts(self, tmp_path):
        journal, _, clock = journal_of(tmp_path, Ledger("d", "f", seconds=7.0))
        assert journal.seconds == 7.0
        clock[0] += 2.5
        assert journal.seconds == 9.5


class TestPace:
    """How often the ledger is written."""

    def test_the_end_of_a_batch_writes_it_a_tenth_of_a_second_after_the_last_time(self, desk):
        for desk.now in (0.0, 0.09):
            desk.journal.tick(end_of_batch=True)
        assert desk.writes == 0
        desk.now = 0.1
        desk.journal.tick(end_of_batch=True)
        assert desk.writes == 1
        desk.journal.tick(end_of_batch=True)
        assert desk.writes == 1

    def test_a_tick_writes_it_a_second_after_the_last_time(self, desk):
        for desk.now in (0.5, 0.99):
            desk.journal.tick()
        assert desk.writes == 0
        desk.now = 1.0
        desk.journal.tick()
        desk.journal.tick()
        assert desk.writes == 1

    def test_the_ten_seconds_of_failures_begin_with_the_first_that_waits(self, desk):
        desk.now = 5.0
        desk.fail(1)
        desk.now = 14.0
        desk.fail(2)
        desk.now = 14.9
        desk.journal.write()
        assert desk.written.settled == RangeSet()
        desk.now = 15.0
        desk.journal.write()
        assert desk.written.settled == RangeSet([(1, 3)])
        desk.now = 16.0
        desk.fail(3)
        desk.now = 25.9
        desk.journal.write()
        assert desk.written.settled == RangeSet([(1, 3)])

    def test_one_that_may_have_arrived_makes_no_haste_for_those_after_it(self, desk):
        desk.fail(1, outcome="unknown")
        desk.journal.write()
        desk.fail(2)
        desk.journal.write()
        assert desk.written.settled == RangeSet([(1, 2)])
        assert desk.parts == ["failures-00000.ndjson"]

    def test_the_last_write_says_that_it_is_the_last(self, tmp_path):
        journal, store, _ = journal_of(tmp_path)
        del store.asked[:]
        journal.write()
        journal.close(complete=False)
        assert [each for each in store.asked if each != "holder"] == ["save", "last"]


class TestClose:
    """What is left when a delivery ends."""

    def test_several_files_are_named_by_what_their_names_match(self, desk):
        desk.fail(1)
        desk.fail(2, outcome="unsent", final=False)
        assert desk.journal.close(complete=False) == str(desk.folder / "failures-*.ndjson")
        assert desk.parts == ["failures-00000.ndjson", "failures-open-00000.ndjson"]

    def test_one_is_named_itself(self, desk):
        desk.fail(2, outcome="unsent", final=False)
        assert desk.journal.close(complete=False) == str(desk.folder / "failures-open-00000.ndjson")

    def test_what_is_folded_is_named_by_the_attempt(self, tmp_path):
        desk = Desk(tmp_path, Ledger("d", "f", attempts=3))
        for index in (9, 2):
            desk.fail(index, outcome="unknown")
            desk.journal.write()
        desk.fail(5, outcome="unsent", final=False)
        assert desk.journal.close(complete=False) == str(tmp_path / "failures-*.ndjson")
        assert desk.parts == ["failures-all-4.ndjson", "failures-open-00000.ndjson"]
        assert desk.written.parts == ["failures-all-4.ndjson"]
        assert desk.listed() == [2, 9, 5]

    def test_one_part_of_its_own_is_not_folded(self, desk):
        desk.fail(9)
        desk.journal.close(complete=True)
        assert desk.written.parts == desk.parts == ["failures-00000.ndjson"]

    def test_whether_it_is_complete_is_kept(self, desk):
        desk.journal.close(complete=False)
        assert desk.written.complete is False
        desk.journal.close(complete=True)
        assert desk.written.complete is True

    def test_what_an_earlier_attempt_left_is_kept_as_long_as_it_is_not_settled(self, tmp_path):
        chunks = (Chunk(0, 5), Chunk(10, 20))
        desk = Desk(tmp_path, Ledger("d", "f", sending=chunks))
        desk.journal.deliver([(0, 5)])
        desk.journal.close(complete=False)
        assert desk.written.sending == (Chunk(10, 20),)


def test_what_earlier_attempts_settled_is_told_apart_from_what_this_one_does(tmp_path):
    desk = Desk(tmp_path, Ledger("d", "f", settled=RangeSet([(0, 5)])))
    desk.journal.deliver([(5, 9)])
    desk.journal.write()
    assert desk.journal.earlier == RangeSet([(0, 5)])
    assert desk.written.settled == RangeSet([(0, 9)])
    assert desk.journal.delivery_id == "d"


def test_what_is_forbidden_stays_so_when_more_comes_into_doubt(tmp_path):
    journal, _, _ = journal_of(tmp_path, Ledger("d", "f", in_doubt=RangeSet([(8, 9)])), once=True)
    journal.doubt([(2, 4)])
    assert journal.forbidden == RangeSet([(8, 9)])


class TestTheNextAttemptMayRunElsewhere:
    """Where only this machine sees the folder, what is listed there alone is not settled."""

    @pytest.fixture
    def desk(self, tmp_path):
        return Desk(tmp_path / "folder", movable=True)

    def test_what_failed_is_found_anew(self, desk):
        desk.fail(1, 3)
        desk.journal.deliver([(0, 1), (2, 3)])
        desk.now = 100.0
        desk.journal.write()
        desk.journal.close(complete=False)
        assert desk.written.settled == RangeSet([(0, 1), (2, 3)])
        assert (desk.written.parts, desk.written.counts["rejected"], desk.tally.rejected) == ([], 0, 2)
        assert desk.listed() == [1, 3], "it can be looked at all the same"

    def test_when_it_is_complete_it_is_settled(self, desk):
        desk.fail(1)
        desk.journal.close(complete=True)
        assert (desk.written.settled, desk.written.parts) == (RangeSet([(1, 2)]), desk.parts)

    def test_too_many_to_leave_out_one_by_one_are_settled(self, desk, monkeypatch):
        monkeypatch.setattr(journal, "_MOVABLE", 3)
        desk.fail(1, 3, 5)
        desk.journal.write()
        desk.fail(7)
        desk.journal.close(complete=False)
        assert (desk.written.settled, desk.written.counts["rejected"]) == (RangeSet([(1, 2), (3, 4), (5, 6)]), 3)
        assert len(desk.written.parts) == 1
        assert desk.listed() == [1, 3, 5, 7]

    def test_what_may_have_arrived_is_in_doubt_where_it_must_not_be_sent_again(self, tmp_path):
        desk = Desk(tmp_path, movable=True, once=True)
        desk.fail(1, outcome="unknown")
        desk.journal.close(complete=False)
        assert (desk.written.settled, desk.written.in_doubt) == (RangeSet(), RangeSet([(1, 2)]))

    def test_elsewhere_it_is_settled(self, desk):
        desk.fail(1, outcome="unknown")
        desk.journal.write()
        assert (desk.written.settled, desk.written.in_doubt) == (RangeSet([(1, 2)]), RangeSet())
