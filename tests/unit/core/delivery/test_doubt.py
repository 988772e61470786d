"""From ``at_least_once`` to ``at_most_once``, between two attempts at one delivery."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.doubt import recall
from airflow_provider_osmosdest.core.delivery.engine import Delivery, Surroundings, deliver
from airflow_provider_osmosdest.core.delivery.ledger import Entry, read_entry
from airflow_provider_osmosdest.core.delivery.ledger_store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.target import Target
from airflow_provider_osmosdest.core.delivery.transport import Answer
from airflow_provider_osmosdest.core.errors import AmbiguousError
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer"}])
RECORDS = [{"id": number} for number in range(20)]


class Killed(BaseException):
    """Nothing in the package catches it."""


class Desk:
    """One delivery over several attempts, to a server that is given anew for each."""

    def __init__(self, folder):
        self.folder, self.store, self.sent, self.log = folder, MemoryLedgerStore(), [], []

    def attempt(self, guarantee, respond, **options):
        self.sent.clear()

        def handle(request):
            found = json.loads(body_of(request))
            ids = [record["id"] for record in (found if isinstance(found, list) else [found])]
            self.sent.extend(ids)
            return respond(request, ids)

        options = {"guarantee": guarantee, "batch_size": 5, "backoff": 1e-9, "max_failures": "100%", **options}
        delivery = Delivery(Target("http://api.test"), DeliveryOptions(**options), SCHEMA, self.folder)
        surroundings = Surroundings(ledger=self.store, warn=self.log.append)
        transport = HandlerTransport(handle).factory
        return deliver(delivery, open_source(RECORDS), transport, lambda _: None, surroundings)


def taking(request, ids):
    return Answer(request, 200)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_what_was_on_its_way_in_a_crash_is_unknown(desk, write_mode):
    def dying(request, ids):
        if 7 in ids:
            raise Killed
        return Answer(request, 200)

    with pytest.raises(Killed):
        desk.attempt("at_least_once", dying, write_mode=write_mode, concurrency=1)
    reached = read_entry(desk.store.document).reach
    result = desk.attempt("at_most_once", taking, write_mode=write_mode)
    assert not {5, 6, 7}.difference(range(reached)), "what is sent was noted before"
    assert 7 not in desk.sent
    assert result.report.delivered + result.report.unknown == 20
    assert result.report.unknown == len(set(range(20)) - set(desk.sent)) - (5 if write_mode == "batch" else 0)
    assert any(
        "guarantee is at_most_once now, and was at_least_once in an earlier attempt" in line for line in desk.log
    )


@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_of_an_attempt_that_ended_in_good_order_only_what_nobody_answered_is_unknown(desk, write_mode):
    def silent(request, ids):
        return Answer(request, error=AmbiguousError("silence")) if 7 in ids else Answer(request, 503)

    first = desk.attempt("at_least_once", silent, write_mode=write_mode, max_retries=0, on_batch_failure="fail")
    assert first.mendable
    result = desk.attempt("at_most_once", taking, write_mode=write_mode)
    lost = {5, 6, 7, 8, 9} if write_mode == "batch" else {7}
    assert set(desk.sent) == set(range(20)) - lost
    assert (result.report.delivered, result.report.unknown) == (20 - len(lost), len(lost))
    (line,) = [line for line in desk.log if "at_most_once now" in line]
    assert f"up to {len(lost)} records" in line


def test_an_answer_after_the_silence_does_not_end_the_doubt(desk):
    answers = iter([AmbiguousError("silence"), None])

    def silent_then_ill(request, ids):
        if ids != [7]:
            return Answer(request, 200)
        error = next(answers)
        return Answer(request, error=error) if error else Answer(request, 503)

    desk.attempt("at_least_once", silent_then_ill, write_mode="record", max_retries=1, concurrency=1)
    report = desk.attempt("at_most_once", taking, write_mode="record").report
    assert (desk.sent, report.delivered, report.unknown) == ([], 19, 1)


def test_nothing_is_said_where_the_guarantee_stays(desk):
    def ill(request, ids):
        return Answer(request, 503 if 7 in ids else 200)

    for guarantee in ("at_least_once", "at_most_once"):
        desk.store = MemoryLedgerStore()
        desk.attempt(guarantee, ill, write_mode="record", max_retries=0)
        assert desk.attempt(guarantee, taking, write_mode="record").report.delivered == 20
    assert not any("at_most_once now" in line for line in desk.log)


def test_a_batch_costs_no_write_of_its_own(desk):
    saves = []
    save = desk.store.save
    desk.store.save = lambda document, **more: (saves.append(document), save(document, **more))
    desk.attempt("at_least_once", taking, batch_size=1)
    # Before the first send, ahead of the first batch, after each, and at the end.
    assert len(saves) == len(RECORDS) + 3


def test_doubt_stays_until_somebody_must_not_send_again():
    entry = Entry("d", settled=RangeSet([(2, 4)]), reach=6, doubtful=RangeSet([(9, 10)]))
    said = []
    assert len(recall(entry, said.append, once=False)) == 0
    assert (entry.reach, list(entry.doubtful), said) == (0, [(0, 2), (4, 6), (9, 10)], [])
    assert list(recall(entry, said.append, once=True)) == [(0, 2), (4, 6), (9, 10)]
    assert "up to 5 records" in said[0]
