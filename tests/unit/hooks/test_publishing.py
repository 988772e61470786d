"""Deliveries into a mailbox: what stands in its log after stores fail, tasks are stopped and processes die."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import replace
from itertools import chain

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.errors import (
    AmbiguousError,
    GivenUpError,
    OptionsError,
    StoppedError,
    StorageError,
)
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.hooks.publishing import (
    MailboxDestination,
    MailboxTransport,
    make_publishing,
    publishing_transport,
)

SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer", "nullable": False}])
INSTANCE = ("dag", "run", "task", "-1")
QUICK = {"max_retries": 2}


class Killed(BaseException):
    """Nothing in the package catches it: whatever was not written down is gone, as with ``kill -9``."""


class Unwell:
    """A mailbox whose store fails, before or after the batch is in the log; or the process dies there."""

    def __init__(self, mailbox, events):
        self._mailbox, self._events = mailbox, events
        self.settings, self.store = mailbox.settings, mailbox.store

    def publish(self, lines, **more):
        before, after = next(self._events, (None, None))
        if before:
            raise before
        published = self._mailbox.publish(lines, **more)
        if after:
            raise after
        return published


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(Store(tmp_path / "mailbox"), MailboxSettings("orders", schema=SCHEMA))


@pytest.fixture
def publish(osmos_home, mailbox):
    """Return a function that publishes records to the mailbox, as one attempt of one task."""

    def run(records, into=None, run_context=None, **options):
        said = []
        into = into or mailbox
        delivery = make_publishing(INSTANCE, "orders", into, options={**QUICK, **options})
        delivery = fast(delivery)
        transport = publishing_transport(into, "/".join(INSTANCE))
        run_context = run_context or RunContext(run_key="retries")
        return deliver(delivery, open_source(records), transport, said.append, run_context), said

    return run


def fast(delivery):
    """Return the delivery with waits of no length."""
    return replace(delivery, options=replace(delivery.options, backoff=1e-9, max_backoff=1e-9))


def logged(mailbox):
    """Return the ids in the log, batch by batch."""
    batches, seq = [], 1
    while (entry := mailbox.log.entry(seq)) is not None:
        page = mailbox.read(Position(seq), limit=entry.records, max_bytes=2**30)
        batches.append([json.loads(line)["id"] for line in page.lines.splitlines()])
        seq += 1
    return batches


def ids(count):
    return [{"id": number} for number in range(count)]


def test_batches_go_into_the_log_in_order(publish, mailbox):
    result, said = publish(ids(25), batch_size=10)
    assert result.error is None
    assert logged(mailbox) == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    entry = mailbox.log.entry(1)
    assert entry.batch_id.startswith(result.report.delivery_id)
    assert entry.producer == "dag/run/task/-1"
    assert (result.report.delivered, result.report.requests) == (25, 3)
    assert said[0] == (
        f"Delivering 25 values to connection 'orders' (mailbox in {mailbox.store.root}): up to 10 records a batch."
    )
    assert "3 batches" in said[-2]
    assert not [line for line in said if "POST" in line or "request" in line or "API" in line]


def test_the_mailboxs_schema_holds_unless_the_task_has_one(publish, mailbox):
    result, _ = publish([{"id": 1}, {"id": "x"}, {"id": 3, "more": 1}])
    assert (result.report.delivered, result.report.invalid) == (2, 1)
    result, _ = publish([])
    assert result.report.read == 0
    assert logged(mailbox) == [[1, 3]]


def test_a_task_may_bring_its_own_schema_and_mapping(osmos_home, mailbox):
    schema = {"fields": [{"name": "name", "type": "string", "nullable": False}]}
    delivery = make_publishing(
        INSTANCE, "orders", mailbox, destination_schema=schema, mapping='{"name": "Name"}', options={"batch_size": None}
    )
    assert [field.name for field in delivery.schema.fields] == ["name"]
    assert delivery.mapping == {"name": "Name"}
    assert delivery.options.batch_size == 250_000
    assert (delivery.options.write_mode, delivery.options.batch_format) == ("batch", "ndjson")


def test_without_any_schema_every_object_is_valid(osmos_home, tmp_path):
    mailbox = Mailbox(Store(tmp_path / "mailbox"), MailboxSettings("orders"))
    assert make_publishing(INSTANCE, "orders", mailbox).schema == DestinationSchema.any_object()


def test_a_wrong_option_is_named(osmos_home, mailbox):
    with pytest.raises(OptionsError, match="batch_size"):
        make_publishing(INSTANCE, "orders", mailbox, options={"batch_size": 0})


def test_a_store_that_fails_for_a_while_costs_retries_and_nothing_else(publish, mailbox):
    events = iter([(StorageError("down"), None), (None, OSError("reset")), (None, None)])
    result, _ = publish(ids(10), Unwell(mailbox, events), batch_size=5)
    assert result.error is None
    assert logged(mailbox) == [list(range(5)), list(range(5, 10))]
    assert (result.report.requests, result.report.retries) == (4, 2)


def test_a_store_that_stays_down_ends_the_attempt_and_says_what_to_look_at(publish, mailbox):
    down = iter([(StorageError("the disk is full"), None)] * 3)
    result, said = publish(ids(10), Unwell(mailbox, down), batch_size=5)
    assert isinstance(result.error, GivenUpError)
    assert result.mendable
    assert (result.report.unknown, result.report.unsent) == (5, 5)
    assert str(result.error) == (
        f"connection 'orders' (mailbox in {mailbox.store.root}) cannot be reached: StorageError: the disk is full. "
        "It may have taken 5 records, which are 'unknown'; the rest is 'unsent'. Another attempt goes on with them, "
        "and none is taken twice; check the mailbox's path, its storage connection and the network, or try again "
        "when it is back."
    )
    assert not [line for line in said if "POST" in line]
    result, _ = publish(ids(10), batch_size=5)
    assert result.error is None
    assert logged(mailbox) == [list(range(5)), list(range(5, 10))]


def test_a_crash_between_publish_and_ledger_doubles_nothing(publish, mailbox):
    with pytest.raises(Killed):
        publish(ids(30), Unwell(mailbox, iter([(None, None), (None, Killed())])), batch_size=10)
    before = [mailbox.log.entry(seq).batch_id for seq in (1, 2)]
    result, _ = publish(ids(30), batch_size=10)
    assert result.error is None
    assert logged(mailbox) == [list(range(start, start + 10)) for start in (0, 10, 20)]
    assert [mailbox.log.entry(seq).batch_id for seq in (1, 2)] == before


@pytest.mark.parametrize("seed", range(15))
def test_nothing_is_lost_or_doubled_whatever_happens(publish, mailbox, seed):
    draw = random.Random(seed)
    count = draw.choice([1, 7, 40])
    invalid = {index for index in range(count) if draw.random() < 0.1}
    records = [{"id": "x" if index in invalid else index} for index in range(count)]
    size = draw.choice([1, 3, 10])

    def events():
        for _ in range(200):
            kind = draw.random()
            fault = Killed() if kind < 0.2 else StorageError("down") if kind < 0.4 else None
            yield (fault, None) if draw.random() < 0.5 else (None, fault)
        while True:
            yield None, None

    happening = events()
    for _ in range(300):
        try:
            result, _ = publish(records, Unwell(mailbox, happening), batch_size=size, max_failures="100%")
        except Killed:
            continue
        if result.error is None and not result.mendable:
            break
    assert result.report.delivered == count - len(invalid)
    batches = logged(mailbox)
    assert list(chain.from_iterable(batches)) == [index for index in range(count) if index not in invalid]
    assert all(len(batch) <= size for batch in batches)


def test_clearing_a_complete_delivery_publishes_again(publish, mailbox):
    first, _ = publish(ids(3), run_context=RunContext(run_key="0"))
    again, _ = publish(ids(3), run_context=RunContext(run_key="0"))
    assert again.report.delivery_id == first.report.delivery_id
    assert len(logged(mailbox)) == 1
    cleared, _ = publish(ids(3), run_context=RunContext(run_key="1"))
    assert cleared.report.delivery_id != first.report.delivery_id
    assert logged(mailbox) == [[0, 1, 2], [0, 1, 2]]


def test_a_task_is_stopped_while_the_store_hangs(publish, mailbox):
    hangs, goes_on = threading.Event(), threading.Event()

    class Hanging(Unwell):
        def publish(self, lines, **more):
            hangs.set()
            assert goes_on.wait(10)
            return super().publish(lines, **more)

    def stopping():
        return "The task was told to stop" if hangs.is_set() else None

    try:
        result, _ = publish(ids(3), Hanging(mailbox, iter(())), RunContext(run_key="0", stopping=stopping))
    finally:
        goes_on.set()
    assert isinstance(result.error, StoppedError)
    assert result.report.unknown == 3
    # What it sent then is in the log, or not; the retry sends it under the same batch_id.
    result, _ = publish(ids(3), run_context=RunContext(run_key="0"))
    assert result.report.delivered == 3
    assert logged(mailbox) == [[0, 1, 2]]


class TestTransport:
    def test_answers_with_200(self, mailbox):
        transport = MailboxTransport(mailbox, "me")
        request = Request(Body([b"", memoryview(b'{"id":1}\n'), b'{"id":2}\n', b""], 18), message_id="a-b_c.1")
        (answer,) = transport.exchange([request], 5)
        assert (answer.status, answer.request) == (200, request)
        assert transport.exchange([], 0) == []
        transport.close()
        assert logged(mailbox) == [[1, 2]]

    def test_answers_with_why_it_could_not(self, mailbox):
        transport = MailboxTransport(Unwell(mailbox, iter([(OSError("no"), None)])), "me")
        (answer,) = transport.exchange([Request(b'{"id":1}\n', message_id="x")], 5)
        assert answer.status is None
        assert isinstance(answer.error, AmbiguousError)
        assert str(answer.error) == "OSError: no"
        transport.close()

    def test_raises_what_no_store_raises(self, mailbox):
        transport = MailboxTransport(Unwell(mailbox, iter([(ZeroDivisionError(), None)])), "me")
        with pytest.raises(ZeroDivisionError):
            transport.exchange([Request(b'{"id":1}\n', message_id="x")], 5)
        transport.close()


class TestPlace:
    def test_shows_no_secrets_and_has_no_templates(self):
        destination = MailboxDestination("s3://user:hush@bucket/{team}/orders?key=hush")
        assert destination.described == "mailbox in s3://bucket/{team}/orders?***"
        assert destination.url == "s3://bucket/%7Bteam%7D/orders?***"
        assert destination.redact("x") == "x"
        assert not destination.refuses
