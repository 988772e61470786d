"""
Answers that are lost, late or garbled: what our report says beside what the API has in its book.

Each class is a row of the table in docs/reliability.md on what an outcome may claim; :func:`.book.agree` holds
each record of every attempt to it.
"""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import GivenUpError, StoppedError, SystemicError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.records import open_source
from tests.integration.faults import book
from tests.integration.faults.book import BookApi, agree, every_first, of_each, sometimes, when
from tests.integration.faults.conftest import SCHEMA

COUNT = 2_000
BATCH = {"batch_size": 1_000}
SMALL = {"batch_size": 100}
RECORD = {"write_mode": "record", "concurrency": 16}
ONCE = {"guarantee": "at_most_once"}

modes = pytest.mark.parametrize("mode", [BATCH, RECORD], ids=["batch", "record"])
lost = pytest.mark.parametrize("story", [book.commits_and_closes, book.commits_and_garbles, book.commits_and_halves])


@pytest.fixture
def attempt(tmp_path):
    """Return a function that makes an attempt of the test's one delivery and holds its outcomes to the book."""

    def run(api, count=COUNT, *, transport=CurlTransport, twice=False, run_context=None, text="", **options):
        options = {"backoff": 0.005, "max_backoff": 2.0, "timeout": 10, "max_failures": count, **options}
        options = DeliveryOptions(**options)
        folder = tmp_path / "folder"
        delivery = Delivery(Target(api.url, timeout=options.timeout), options, SCHEMA, folder)
        source = open_source([{"id": index, "text": text} for index in range(count)])
        result = deliver(delivery, source, transport, lambda line: None, run_context)
        lines = [
            json.loads(line) for path in folder.glob("failures-*.ndjson") for line in path.read_bytes().splitlines()
        ]
        agree(result.report, lines, api, count, twice=twice)
        return SimpleNamespace(result=result, report=result.report, error=result.error, lines=lines)

    return run


@lost
class TestTheAnswerIsLost:
    """It honours keys, commits, and the answer does not come through."""

    @modes
    def test_of_every_first_send(self, attempt, transport, mode, story):
        count = COUNT if mode is BATCH else 400
        with BookApi(when(every_first(), story)) as api:
            came = attempt(api, count, transport=transport, **mode)
        assert came.error is None
        assert came.report.delivered == count

    @pytest.mark.parametrize("size", [{"batch_size": 1_000}, {"batch_size": 100}], ids=str)
    def test_of_sends_at_random(self, attempt, transport, story, size):
        with BookApi(when(sometimes(0.4), story)) as api:
            came = attempt(api, transport=transport, max_retries=30, **size)
        assert came.error is None
        assert came.report.delivered == COUNT

    def test_of_every_send_of_a_batch_until_the_next_attempt(self, attempt, transport, story):
        with BookApi(story) as api:
            came = attempt(api, transport=transport, **BATCH)
            assert isinstance(came.error, GivenUpError)
            assert (came.report.unknown, came.report.unsent) == (1_000, 1_000)
            assert came.result.mendable
            assert "batch_size" in str(came.error)
            assert "timeout" in str(came.error)
            still = attempt(api, transport=transport, **BATCH)
            assert (still.report.unknown, still.report.unsent) == (1_000, 1_000)
            api.story = book.answers
            mended = attempt(api, transport=transport, **BATCH)
        assert mended.error is None
        assert mended.report.delivered == COUNT
        assert {len(keys) for keys in api.keys.values()} == {1}, "every send of a record had one key"

    def test_of_every_send_of_some_records(self, attempt, story):
        with BookApi(when(of_each(40), story)) as api:
            came = attempt(api, max_retries=2, **RECORD)
            # It may stop before the last of them, as so many in a row were without an answer.
            assert 0 < came.report.unknown <= COUNT / 40
            assert came.report.rejected == 0
            api.story = book.answers
            mended = attempt(api, **RECORD)
        assert mended.error is None
        assert mended.report.delivered == COUNT

    def test_of_every_send_of_a_batch_that_is_cut_all_the_same(self, attempt, story):
        with BookApi(story) as api:
            came = attempt(api, 20, twice=True, batch_size=10, max_retries=1, on_no_answer="split")
            assert came.report.delivered == came.report.rejected == 0
            assert came.report.unknown
            api.story = book.answers
            mended = attempt(api, 20, twice=True, batch_size=10, on_no_answer="split")
        assert mended.report.delivered == 20

    @modes
    def test_at_most_once(self, attempt, transport, mode, story):
        with BookApi(when(every_first(2), story), honours=False) as api:
            came = attempt(api, transport=transport, max_failures=0, **ONCE, **mode)
            again = attempt(api, transport=transport, max_failures=0, **ONCE, **mode)
        assert came.report.unknown == again.report.unknown == COUNT / 2
        assert came.report.delivered == COUNT / 2
        assert sum(api.commits.values()) == COUNT


class TestTheAnswerIsLate:
    """It honours keys, is at work for longer than the time-out, and says 409 to who asks in the meantime."""

    # A small body has a second to go out before the time-out begins.
    SECONDS = 2.5

    @pytest.mark.parametrize(
        ("headers", "body", "dies"),
        [
            ({"Retry-After": "1"}, book.IN_PROGRESS, False),
            ({"Retry-After": "1"}, book.IN_PROGRESS, True),
            ({"Retry-After": "1"}, b"", False),
            ({}, book.IN_PROGRESS, False),
            ({}, b"", False),
            ({}, b"", True),
        ],
        ids=["Retry-After", "Retry-After, dies", "header only", "words only", "neither", "neither, dies"],
    )
    @pytest.mark.parametrize("mode", [{"batch_size": 500}, RECORD], ids=["batch", "record"])
    def test_it_is_waited_for(self, attempt, mode, headers, body, dies):
        nth = 2 if "batch_size" in mode else 100
        story = book.late(self.SECONDS, headers, body, dies=dies)
        with BookApi(when(of_each(nth), story)) as api:
            came = attempt(api, timeout=0.3, max_retries=30, max_backoff=1.0, **mode)
        assert came.error is None
        assert came.report.delivered == COUNT
        assert came.report.retries, "it was late"

    def test_with_the_other_transport(self, attempt, transport):
        with BookApi(when(of_each(2), book.late(self.SECONDS, {"Retry-After": "1"}))) as api:
            came = attempt(api, transport=transport, timeout=0.3, batch_size=500)
        assert came.report.delivered == COUNT

    def test_it_is_in_progress_before_any_send_is_in_doubt(self, attempt):
        # Another process of ours, that was taken for dead, has the key in its hands.
        def busy(talk, api):
            talk.read_body()
            talk.reply(409, book.IN_PROGRESS, {**book.PROBLEM, "Retry-After": "1"})

        with BookApi(when(every_first(), busy)) as api:
            came = attempt(api, **BATCH)
        assert came.error is None
        assert came.report.delivered == COUNT

    @pytest.mark.parametrize("mode", [BATCH, {**RECORD, "concurrency": 4}], ids=["batch", "record"])
    def test_for_ever_until_the_task_is_stopped(self, attempt, mode):
        # As many as are read at once, so that all are read by then.
        count = COUNT if mode is BATCH else 400

        def stopping():
            # Of one the answer was lost, and it was asked about twice.
            asked = Counter(request.headers["idempotency-key"] for request in api.received)
            return "The test is over. Try again." if max(asked.values(), default=0) >= 3 else None

        with BookApi(book.in_progress_for_ever({"Retry-After": "1"})) as api:
            came = attempt(api, count, run_context=RunContext(stopping=stopping), **mode)
            assert isinstance(came.error, StoppedError)
            assert came.report.delivered == came.report.rejected == 0
            assert came.report.unknown
            api.story = book.answers
            mended = attempt(api, count, **mode)
        assert mended.report.delivered == count

    def test_for_ever_and_nothing_says_how_long(self, attempt):
        with BookApi(book.in_progress_for_ever({}, b"")) as api:
            came = attempt(api, max_retries=3, **BATCH)
            assert isinstance(came.error, GivenUpError)
            assert (came.report.unknown, came.report.unsent) == (1_000, 1_000)
            api.story = book.answers
            mended = attempt(api, **BATCH)
        assert mended.report.delivered == COUNT


class TestIdsAreUnique:
    """It has unique ids and no keys, commits, drops the connection, and says 409 to what exists already."""

    FOUND = "status == `409` && body.error == 'exists already'"

    @pytest.mark.parametrize("mode", [SMALL, RECORD], ids=["batch", "record"])
    def test_what_exists_already_is_no_failure(self, attempt, transport, mode):
        nth = 2 if mode is SMALL else 20
        with BookApi(when(every_first(nth), book.commits_and_closes), honours=False, unique=True) as api:
            came = attempt(api, transport=transport, already_exists_when=self.FOUND, max_failures=0, **mode)
        assert came.error is None
        assert came.report.delivered + came.report.duplicate == COUNT
        assert came.report.duplicate == (1_000 if mode is SMALL else 100)

    def test_every_answer_is_dropped(self, attempt):
        with BookApi(when(every_first(), book.commits_and_closes), honours=False, unique=True) as api:
            came = attempt(api, 400, already_exists_when=self.FOUND, max_failures=0, systemic_after=10, **RECORD)
        assert came.error is None
        assert came.report.duplicate == 400

    @pytest.mark.parametrize("mode", [SMALL, RECORD], ids=["batch", "record"])
    def test_a_file_that_is_delivered_twice(self, attempt, mode):
        had = {index for index in range(COUNT) if index % 7 == 0 or index < 500}
        with BookApi(honours=False, unique=True, had=had) as api:
            came = attempt(api, already_exists_when=self.FOUND, max_failures=0, systemic_after=10, **mode)
        assert came.error is None
        assert came.report.duplicate == len(had)
        assert came.report.delivered == COUNT - len(had)

    def test_nothing_says_what_409_means_and_records_go_one_by_one(self, attempt):
        with BookApi(when(every_first(50), book.commits_and_closes), honours=False, unique=True) as api:
            came = attempt(api, max_retries=2, **RECORD)
        # It may stop before the last of them, as so many in a row were without an answer that tells.
        assert 0 < came.report.unknown <= COUNT / 50
        assert came.report.rejected == came.report.duplicate == 0

    def test_nothing_says_what_409_means_and_every_answer_is_dropped(self, attempt):
        with BookApi(when(every_first(), book.commits_and_closes), honours=False, unique=True) as api:
            came = attempt(api, 200, max_retries=2, systemic_after=40, **RECORD)
        assert not isinstance(came.error, SystemicError), "what was in doubt is no sign that all is refused"
        assert came.report.unknown
        assert came.report.rejected == 0

    def test_nothing_says_what_409_means_and_records_go_in_batches(self, attempt):
        with BookApi(when(every_first(), book.commits_and_closes), honours=False, unique=True) as api:
            came = attempt(api, max_retries=3, **SMALL)
        assert isinstance(came.error, GivenUpError)
        assert came.report.unknown == 100
        assert came.report.unsent == COUNT - 100


class TestEverythingIsRefused:
    """It refuses everything for a wrong envelope; it is mended, and the task cleared."""

    @pytest.mark.parametrize("mode", [{"batch_size": 500}, RECORD], ids=["batch", "record"])
    @pytest.mark.parametrize("side", ["ours", "theirs"])
    def test_what_was_probed_goes_out_after_all(self, attempt, transport, mode, side):
        envelope = "data" if "batch_size" in mode else {"data": "$records"}
        with BookApi(envelope="data") as api:
            came = attempt(api, transport=transport, max_failures=0, **mode)
            assert isinstance(came.error, SystemicError)
            assert came.report.rejected >= 1
            assert came.report.delivered == 0
            assert came.result.mendable
            if side == "theirs":
                api.envelope, envelope = None, None
            mended = attempt(api, transport=transport, max_failures=0, envelope=envelope, **mode)
        assert mended.error is None
        assert mended.report.delivered == COUNT


class TestItFailsAfterItHasCommitted:
    """500 is an answer, and says nothing of the records."""

    @pytest.mark.parametrize("mode", [SMALL, RECORD], ids=["batch", "record"])
    def test_at_first(self, attempt, transport, mode):
        with BookApi(when(every_first(), book.commits_and_fails)) as api:
            came = attempt(api, 500, transport=transport, **mode)
        assert came.error is None
        assert came.report.delivered == 500

    @pytest.mark.parametrize("mode", [{"batch_size": 10}, RECORD], ids=["batch", "record"])
    def test_always(self, attempt, mode):
        # A batch that is cut goes on under new keys: docs/reliability.md says so.
        twice = "batch_size" in mode
        with BookApi(book.commits_and_fails) as api:
            came = attempt(api, 60, twice=twice, max_retries=1, **mode)
            assert came.report.delivered == came.report.rejected == 0
            api.story = book.answers
            mended = attempt(api, 60, twice=twice, **mode)
        assert mended.report.delivered == 60

    def test_over_one_record_of_a_batch(self, attempt):
        with BookApi(book.fails_over_poison, poison=[7, 733]) as api:
            came = attempt(api, max_retries=1, **SMALL)
        assert came.report.delivered == COUNT - 2
        assert {(line["index"], line["outcome"]) for line in came.lines} == {(7, "unknown"), (733, "unknown")}

    @modes
    def test_at_most_once(self, attempt, mode):
        with BookApi(when(every_first(2), book.commits_and_fails), honours=False) as api:
            came = attempt(api, **ONCE, **mode)
        assert came.report.unknown == COUNT / 2
        assert sum(api.commits.values()) == COUNT


@pytest.mark.parametrize("status", [502, 504])
class TestAGatewayFails:
    """The request was passed on, and the answer did not come back."""

    @modes
    def test_at_random(self, attempt, transport, mode, status):
        with BookApi(when(sometimes(0.2), book.failing_gateway(status))) as api:
            came = attempt(api, 500, transport=transport, max_retries=30, **mode)
        assert came.error is None
        assert came.report.delivered == 500

    def test_always_until_the_next_attempt(self, attempt, status):
        with BookApi(book.failing_gateway(status)) as api:
            came = attempt(api, **BATCH)
            assert isinstance(came.error, GivenUpError)
            assert (came.report.unknown, came.report.unsent) == (1_000, 1_000)
            api.story = book.answers
            mended = attempt(api, **BATCH)
        assert mended.report.delivered == COUNT

    @modes
    def test_at_most_once(self, attempt, mode, status):
        with BookApi(when(every_first(2), book.failing_gateway(status)), honours=False) as api:
            came = attempt(api, **ONCE, **mode)
        assert came.report.unknown == COUNT / 2
        assert sum(api.commits.values()) == COUNT


class TestItRefusesBeforeItHasReadAll:
    """413 comes early."""

    TEXT = "x" * 1_000

    def test_nothing_of_it_was_taken(self, attempt, transport):
        with BookApi(book.refuses_unread(100_000)) as api:
            came = attempt(api, transport=transport, text=self.TEXT, **BATCH)
        assert came.error is None
        assert came.report.delivered == COUNT

    def test_a_record_too_large_by_itself(self, attempt):
        with BookApi(book.refuses_unread(500)) as api:
            came = attempt(api, 30, text=self.TEXT, systemic_after=50, batch_size=10)
        assert came.report.rejected == 30

    def test_after_a_send_that_got_no_answer(self, attempt, transport):
        # It commits a key and refuses it afterwards: it does not honour keys, and parts have keys of their own.
        story = book.refuses_unread_after_a_loss(100_000)
        with BookApi(story) as api:
            came = attempt(api, transport=transport, text=self.TEXT, twice=True, **BATCH)
        assert came.error is None
        assert came.report.delivered == COUNT

    def test_a_record_after_a_send_that_got_no_answer(self, attempt):
        with BookApi(book.refuses_unread_after_a_loss(500)) as api:
            came = attempt(api, 100, text=self.TEXT, systemic_after=10, **RECORD)
        assert came.report.unknown == 100
        assert not isinstance(came.error, SystemicError)
        assert all("413" in f"{line['status']} {line['error']}" for line in came.lines)


def test_a_record_that_is_refused_while_a_send_of_it_is_in_doubt_is_unknown(attempt):
    # It forgets keys and validates anew: the first send was committed, the second is refused.
    def refuses(talk, api):
        talk.read_body()
        talk.reply(422, b'{"error": "is not valid any more"}')

    with BookApi(when(every_first(), book.commits_and_closes, refuses)) as api:
        came = attempt(api, 200, systemic_after=10, **RECORD)
    assert came.report.unknown == 200
    assert not isinstance(came.error, SystemicError)
    assert all("is not valid any more" in line["error"] for line in came.lines), "both answers are in its words"


def test_a_key_that_was_used_with_other_bytes_is_our_bug(attempt):
    said = json.dumps({"title": "Idempotency-Key is already used", "status": 422}).encode()

    def reused(talk, api):
        talk.read_body()
        talk.reply(422, said, book.PROBLEM)

    with BookApi(reused) as api:
        came = attempt(api, **SMALL)
    assert came.error is not None
    assert "bug" in str(came.error)
    assert len(api.received) == 1
