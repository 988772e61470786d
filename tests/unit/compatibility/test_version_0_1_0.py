"""What version 0.1.0 has written is read and continued; ``make_state.py`` says how it was made."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import CursorExpiredError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.core.mailbox.inbox.inbox import Inbox
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import KeyReusedRejection
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.retention.purge import purge
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of
from airflow_provider_osmosdest.web.rejections import rejection_problem

STATE = Path(__file__).with_name("state_0_1_0")
SCHEMA = DestinationSchema.load(
    [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]
)
POISON, INVALID = 13, 5
VALID = {*range(60)} - {POISON, INVALID}
ORDERS_WRITTEN_AT = 1_780_000_000
DAY = 86_400.0


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A copy of the state, in the working directory: paths in it are relative."""
    shutil.copytree(STATE, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path()


class Server:
    """The server that 0.1.0 sent to: it has what it took, and answers a key that it knows as it did then."""

    def __init__(self, folder, *, item_errors=False):
        before = json.loads((folder / "server.json").read_text())
        self.answers = before["answers"]
        self.taken = Counter(before["taken"])
        self._names_items = item_errors

    def __call__(self, request):
        ids = ids_of(request)
        key = request.headers["Idempotency-Key"]
        if key not in self.answers:
            self.answers[key] = 422 if POISON in ids else 200
            if POISON not in ids:
                self.taken.update(ids)
        items = []
        if self._names_items and POISON in ids:
            items = [{"index": ids.index(POISON), "message": "unlucky"}]
        return Response(request, self.answers[key], json.dumps({"errors": items, "message": "no"}).encode())


def ids_of(request):
    body = json.loads(body_of(request))
    return [record["id"] for record in (body if isinstance(body, list) else [body])]


class Resumed:
    """One more attempt at a delivery of 0.1.0, or a new delivery beside it."""

    def __init__(self, folder, records=None, *, server=None, seen=None, **options):
        options = {"max_failures": "100%", "systemic_after": 1000, "backoff": 0.0001, "max_backoff": 0.0001, **options}
        self.server = server or Server(folder, item_errors="item_errors" in options)
        transport = HandlerTransport(self.server)
        delivery = Delivery(Target("http://api.test/v1"), DeliveryOptions(**options), SCHEMA, folder, seen=seen)
        records = json.loads(Path("records.json").read_text()) if records is None else records
        run_context = RunContext(run_key="run 1")
        self.log = []
        result = deliver(delivery, open_source(records), transport.factory, self.log.append, run_context)
        self.error, self.mendable, self.report = result.error, result.mendable, result.report
        self.requests = transport.requests
        self.keys = [request.headers["Idempotency-Key"] for request in self.requests]
        self.chunks = [(key, body_of(request)) for key, request in zip(self.keys, self.requests, strict=True)]
        self.sent = {each for request in self.requests for each in ids_of(request)}
        lines = [line for path in folder.glob("failures-*.ndjson") for line in path.read_text().splitlines()]
        self.failures = {line["index"]: line["outcome"] for line in map(json.loads, lines)}
        assert len(self.failures) == len(lines) == self.report.failed, "each failure is listed once"

    @property
    def counts(self):
        report = self.report
        return {
            name: count
            for name in ("delivered", "duplicate", "invalid", "rejected", "unknown", "unsent")
            if (count := getattr(report, name))
        }


def array_of(*numbers):
    return ("[" + ",\n".join(f'{{"id":{each},"note":"Straße {each}"}}' for each in numbers) + "]").encode()


IN_TENS = {"batch_size": 10}
IN_SINGLES = {"write_mode": "record", "concurrency": 4}
BY_ITEM = {"item_errors": "errors[].{index: index, error: message}"}

# folder, options, what 0.1.0 was about to send or had sent without an answer (key and body), what is sent now
AT_LEAST_ONCE = [
    pytest.param(
        "batch_whole",
        IN_TENS,
        ("ea95c31a123948549d680535c3c7b574-20-29-2e33762d", array_of(*range(20, 30))),
        {*range(20, 60)},
        id="killed over a batch, which the ledger does not name",
    ),
    pytest.param(
        "batch_part",
        {"batch_size": 60},
        ("f3c0a8a6a9a94182922c27cfdd7ebe84-37-40-00b0c945", array_of(37, 38, 39, 40)),
        {12, 13, 14, *range(37, 60)},
        id="killed over a part of a batch that is split",
    ),
    pytest.param(
        "batch_hole",
        IN_TENS | BY_ITEM,
        ("ab99cf1c898945038b60b0232879aa5d-10-19-a449c08d", array_of(10, 11, 12, 14, 15, 16, 17, 18, 19)),
        {*range(10, 60)} - {13},
        id="killed over what is left of a batch without the item that the API named",
    ),
    pytest.param(
        "batch_bytes",
        IN_TENS | {"max_batch_bytes": 300},
        ("78c5f24d0d5f4c4e8aa904f8abae34d2-17-17-3b0197bd", array_of(17)),
        {*range(17, 60)},
        id="killed over a part of a batch bound in bytes",
    ),
    pytest.param(
        "batch_deferred",
        IN_TENS,
        ("055bebd8f932456ba807ca8db25e8f8d-10-19-67afc221", array_of(*range(10, 20))),
        {*range(10, 60)},
        id="deferred, as the API asked to wait",
    ),
    pytest.param(
        "record",
        IN_SINGLES,
        ("42f01bd70a62445fb833e5e0c8d16ebe-22-f758d17e", b'{"id":22,"note":"Stra\xc3\x9fe 22"}'),
        {*range(22, 60)},
        id="killed in record mode",
    ),
    pytest.param(
        "record_stopped",
        IN_SINGLES,
        ("7166b86dc77e44d8918f8482068b42db-8-f29617a2", b'{"id":8,"note":"Stra\xc3\x9fe 8"}'),
        {8, *range(26, 60)},
        id="stopped in good order, with a record that no answer came to",
    ),
]


@pytest.mark.parametrize(("name", "options", "chunk", "sent"), AT_LEAST_ONCE)
def test_a_delivery_goes_on_where_it_stood(state, name, options, chunk, sent):
    before = json.loads((state / name / "ledger.json").read_text())
    resumed = Resumed(state / name, **options)
    assert resumed.report.delivery_id == before["delivery_id"] == chunk[0][:32]
    # What is open and comes before it is sent before it.
    assert next(each for each in resumed.chunks if chunk[1].strip(b"[]")[:9] in each[1]) == chunk
    assert resumed.sent == sent
    assert resumed.server.taken == Counter(VALID), "each was taken once, by one version or the other"
    # Of what 0.1.0 had not settled it noted only how far it had come: it may have been sent, and refused for that.
    poison = "unknown" if POISON in sent else "rejected"
    assert resumed.counts == {"delivered": 58, "invalid": 1, poison: 1}
    assert resumed.failures == {INVALID: "invalid", POISON: poison}
    assert resumed.report.requests == before["counts"]["requests"] + len(resumed.requests)
    assert (resumed.error, resumed.mendable) == (None, False)
    assert json.loads((state / name / "ledger.json").read_text())["complete"]
    assert Resumed(state / name, **options).requests == []


# folder, options, what 0.1.0 may have sent without an answer, what is sent now
AT_MOST_ONCE = [
    pytest.param("batch_once", IN_TENS, {*range(20, 30)}, {*range(30, 60)}, id="a batch that was noted"),
    pytest.param("record_once", IN_SINGLES, {*range(14, 50)}, {*range(50, 60)}, id="a window of records"),
    pytest.param("batch_whole", IN_TENS, {*range(20, 30)}, {*range(30, 60)}, id="at_least_once before, a batch"),
    pytest.param("record", IN_SINGLES, {*range(22, 60)}, set(), id="at_least_once before, records"),
    pytest.param("record_stopped", IN_SINGLES, {8}, {*range(26, 60)}, id="at_least_once before, a record"),
    pytest.param("batch_hole", IN_TENS | BY_ITEM, {*range(10, 30)} - {13}, {*range(30, 60)}, id="with a hole"),
]


@pytest.mark.parametrize(("name", "options", "in_doubt", "sent"), AT_MOST_ONCE)
def test_under_at_most_once_nothing_goes_that_may_have_been_sent(state, name, options, in_doubt, sent):
    server = Server(state / name)
    taken_before = set(server.taken)
    resumed = Resumed(state / name, server=server, guarantee="at_most_once", **options)
    assert resumed.sent == sent
    assert not sent & taken_before
    assert resumed.counts == {"delivered": 58 - len(in_doubt), "invalid": 1, "rejected": 1, "unknown": len(in_doubt)}
    assert resumed.failures == {INVALID: "invalid", POISON: "rejected"} | dict.fromkeys(in_doubt, "unknown")
    assert set(server.taken.values()) == {1}
    assert (resumed.error, resumed.mendable) == (None, False)


def test_what_was_rejected_is_sent_again_where_that_is_asked_for(state):
    resumed = Resumed(state / "batch_whole", retry_rejected=True, **IN_TENS)
    assert resumed.sent == {POISON, *range(20, 60)}
    assert resumed.server.taken == Counter(VALID)
    assert resumed.counts == {"delivered": 58, "invalid": 1, "rejected": 1}


def test_a_complete_delivery_stays_complete_on_its_occasion(state):
    resumed = Resumed(state / "complete", **IN_TENS)
    assert resumed.requests == []
    assert resumed.report.delivery_id == "747b2bf5c33a4d7aa6f91176eaa199fa"
    assert resumed.counts == {"delivered": 58, "invalid": 1, "rejected": 1}


def test_a_file_is_known_again(state):
    os.utime("orders.ndjson", (ORDERS_WRITTEN_AT, ORDERS_WRITTEN_AT))
    resumed = Resumed(state / "file_killed", Path("orders.ndjson"), batch_size=5)
    assert resumed.keys[0] == "5f6dd4f97d8f4bdbb63ad8b7e9ca414e-5-9-15b42107"
    assert resumed.server.taken == Counter(range(300, 315))
    assert resumed.counts == {"delivered": 15}


BY_ID = {"deduplicate": "records", "record_key": "id", "batch_size": 10}


class TestSeen:
    def new(self, state, ids, **options):
        """Deliver records in a new delivery, to a server that never saw any."""
        (state / "server.json").write_text('{"answers":{},"taken":[]}')
        records = [{"id": each, "note": "new"} for each in ids] if isinstance(ids, range) else ids
        return Resumed(state / "new", records, server=Server(state), seen=state / "seen", **options)

    def test_a_key_is_known_again(self, state):
        new = self.new(state, range(95, 125), **BY_ID)
        assert new.sent == {*range(95, 100), *range(120, 125)}
        assert new.counts == {"delivered": 10, "duplicate": 20}

    def test_a_record_is_known_again(self, state):
        records = [{"id": each, "note": "whole" if each < 205 else "other"} for each in range(200, 212)]
        new = self.new(state, records, deduplicate="records")
        assert new.sent == {*range(205, 212)}
        assert new.counts == {"delivered": 7, "duplicate": 5}

    def test_the_content_of_a_file_is_known_again(self, state):
        Path("orders.ndjson").rename("again.ndjson")
        new = self.new(state, Path("again.ndjson"), deduplicate="files")
        assert new.requests == []
        assert new.counts == {"duplicate": 15}

    def test_a_delivery_that_was_killed_goes_on_and_is_known_then(self, state):
        resumed = Resumed(state / "seen_killed", seen=state / "seen", **BY_ID)
        assert resumed.keys[0] == "030f81826a924f1e94d94c90d2641ae4-17-17-3b0197bd"
        assert resumed.sent == {*range(17, 60)}
        assert resumed.server.taken == Counter(VALID)
        assert resumed.counts == {"delivered": 58, "invalid": 1, "rejected": 1}
        new = self.new(state, range(62), **BY_ID)
        assert new.sent == {POISON, INVALID, 60, 61}


RECORDS_OF_BATCHES = {2: 4, 3: 2500, 4: 2, 5: 1, 6: 5}


class TestMailbox:
    """Its batches are 1 to 6, of which 1 was purged, and 7 and a body under ``k3`` never got into the log."""

    SETTINGS = MailboxSettings("box", schema=SCHEMA, max_age=5 * DAY, on_invalid="quarantine")
    IN_BATCH_3 = "AQAAAAAAAAADAAAEsP__________QuB8E5raZ5Mm"
    PURGED = "AQAAAAAAAAABAAAAAP__________r05zP1LpGqhK"
    END = "AQAAAAAAAAAHAAAAAP__________tx6VAf3IS13v"

    @pytest.fixture
    def now(self):
        return 1_780_000_000.0 + 11 * DAY

    @pytest.fixture
    def box(self, state, now):
        return Mailbox(Store(state / "mailbox"), self.SETTINGS, clock=lambda: now)

    @staticmethod
    def lines(batch, count):
        return [b'{"id":%d,"note":"batch %d"}\n' % (each, batch) for each in range(count)]

    @staticmethod
    def read(box, cursor, limit=700):
        """Return all records from a cursor on, and the cursor after them."""
        found = []
        for _ in range(100):
            page = box.read(cursor, limit=limit, max_bytes=10**6)
            found += page.lines.splitlines(keepends=True)
            cursor = box.cursor_text(page.next.position, page.next.generation)
            if page.up_to_date:
                return found, cursor
        pytest.fail("no end")

    def test_it_is_read_to_its_end(self, box):
        found, cursor = self.read(box, None)
        posted = [b'{"id":%d,"note":"posted"}\n' % each for each in (1, 2, 3)]
        assert found == [*self.lines(2, 4), *self.lines(3, 2500), *posted, *self.lines(6, 5)]
        assert cursor == self.END
        entries, after = box.batches(None, limit=100)
        assert {entry.seq: entry.records for entry in entries} == RECORDS_OF_BATCHES
        assert after == self.END

    def test_a_cursor_that_was_given_out_is_good(self, box):
        found, cursor = self.read(box, self.IN_BATCH_3)
        assert found[:1300] == self.lines(3, 2500)[1200:]
        assert (len(found), cursor) == (1300 + 8, self.END)
        assert not box.has_new(box.position(self.END).position)
        with pytest.raises(CursorExpiredError):
            box.read(self.PURGED, limit=1, max_bytes=10**6)

    def test_consumers_stand_where_they_stood(self, box):
        assert box.consumers.names() == ["done", "moved", "reader"]
        assert box.standing("reader") == Cursor(Position(2, 2), 0)
        assert box.standing("moved") == Cursor(Position(2, 1), 1)
        assert box.standing("done") == Cursor(Position(3, 2500), 0)
        assert box.consumers.polled("reader") == datetime(2026, 6, 7, 22, 27, 8, tzinfo=UTC)
        assert self.read(box, box.standing("reader").position)[0][0] == b'{"id":2,"note":"batch 2"}\n'

    def test_what_consumers_were_given_works_on(self, box):
        assert box.commit("reader", "AQAAAAAAAAACAAAAAgAAAAAAAAAAnqjFeV1hSMxo")
        assert not box.commit("moved", "AQAAAAAAAAADAAAGpAAAAAAAAAAARwW0Lw0tUt-J"), "given out before it was moved"
        assert box.commit("moved", "AQAAAAAAAAADAAAABQAAAAAAAAABOa2T4tKdzN67")
        assert box.standing("moved") == Cursor(Position(3, 5), 1)

    @pytest.mark.parametrize(("batch_id", "batch", "seq"), [("b1", 1, 1), ("b2", 2, 2), ("b6", 6, 6)])
    def test_what_is_in_the_log_is_not_published_again(self, box, batch_id, batch, seq):
        """The first was purged, and of the last the claim does not tell that it was published."""
        count = {1: 3, 2: 4, 6: 5}[batch]
        published = box.publish(self.lines(batch, count), batch_id=batch_id, producer="tests")
        assert (published.already, published.entry.seq, published.entry.records) == (True, seq, count)
        assert box.log.tail().seq == 6

    def test_a_publish_that_broke_off_is_finished_once(self, box):
        published = box.publish(self.lines(7, 5), batch_id="b7", producer="tests")
        assert (published.already, published.entry.seq) == (False, 7)
        again = box.publish(self.lines(7, 5), batch_id="b7", producer="tests")
        assert (again.already, again.entry) == (True, published.entry)
        assert self.read(box, self.END)[0] == self.lines(7, 5)

    def test_what_is_new_comes_after_what_is_there(self, box):
        tail = box.log.tail()
        entry = box.publish(self.lines(8, 2), batch_id="b8", producer="tests").entry
        assert (entry.seq, entry.first) == (7, tail.first + tail.records) == (7, 3 + sum(RECORDS_OF_BATCHES.values()))
        assert self.read(box, self.END)[0] == self.lines(8, 2)
        assert box.lag(box.standing("reader").position) == sum(RECORDS_OF_BATCHES.values()) - 2 + 2

    @pytest.mark.parametrize(
        ("key", "body"),
        [
            ("k1", b'[{"id":1,"note":"posted"},{"id":2,"note":"posted"}]'),
            ("k2", b'[{"id":3,"note":"posted"},{"id":"x","note":"posted"}]'),
        ],
    )
    def test_a_receipt_answers_the_same_again(self, box, now, key, body):
        inbox = Inbox(box, clock=lambda: now)
        given = json.loads(Path("given_out.json").read_text())[f"receipt of {key}"]
        assert inbox.take("application/json", body, sender="token:a", key=key) == given
        assert box.log.tail().seq == 6
        with pytest.raises(KeyReusedRejection) as caught:
            inbox.take("application/json", b'{"id":77,"note":"other"}', sender="token:a", key=key)
        assert rejection_problem(caught.value).status == 422

    def test_a_body_that_was_cut_off_is_taken_once(self, box, now):
        inbox = Inbox(box, clock=lambda: now)
        body = b'{"id":4,"note":"cut off"}'
        first = inbox.take("application/json", body, sender="token:a", key="k3")
        assert first["receipt_id"] == "0da58ad6bb1c19757d4238e43b52f65b"
        assert inbox.take("application/json", body, sender="token:a", key="k3") == first
        assert self.read(box, self.END)[0] == [body + b"\n"]

    def test_what_was_quarantined_is_there(self, box):
        [name] = box.store.names("quarantine")
        [line] = map(json.loads, box.store.get(f"quarantine/{name}").splitlines())
        assert (line["index"], line["record"]) == (1, {"id": "x", "note": "posted"})

    def test_it_is_purged(self, box, now):
        box.publish(self.lines(8, 2), batch_id="b8", producer="tests")
        later = datetime.fromtimestamp(now + 30 * DAY, UTC)
        assert purge(box, now=later).earliest == 7
        found, _ = self.read(box, None)
        assert found == self.lines(8, 2)
        assert box.standing("reader") == Cursor(Position(2, 2), 0)
        assert purge(box, now=datetime.fromtimestamp(now + 31 * DAY, UTC)).batches == 5
        with pytest.raises(CursorExpiredError):
            box.read(self.IN_BATCH_3, limit=1, max_bytes=10**6)
        published = box.publish(self.lines(6, 5), batch_id="b6", producer="tests")
        assert (published.already, published.entry.seq) == (True, 6)
