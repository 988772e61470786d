from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.dry_run import dry_run
from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.known_failures import KnownFailures, failure_key
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import OptionsError, TooManyFailuresError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.seen.store import SeenStore
from airflow_provider_osmosdest.testing.transports import body_of

FIELDS = [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]
GOOD, BAD, REFUSED = {"id": 1, "note": "a"}, {"id": "x", "note": "b"}, {"id": 13, "note": "c"}


class Api:
    """Refuses ids, with a message that is another one each time."""

    def __init__(self):
        self.refuses = {13}
        self.status = 422
        self.requests = 0

    def exchange(self, starting, wait):
        return [self._answer(request) for request in starting]

    def _answer(self, request):
        self.requests += 1
        found = json.loads(body_of(request))
        refused = any(record["id"] in self.refuses for record in (found if isinstance(found, list) else [found]))
        return Response(request, self.status if refused else 200, body=b"request %d" % self.requests)

    def close(self):
        pass


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def run(tmp_path, api):
    numbers = iter(range(1000))

    def go(*records, folder=None, schema=FIELDS, seen=True, act=deliver, **options):
        said = []
        settings = {"remember_failures": True, "max_retries": 0, "write_mode": "record", **options}
        result = act(
            Delivery(
                Target("http://api.test/v1"),
                DeliveryOptions(**settings),
                DestinationSchema.load(schema),
                tmp_path / (folder or f"run {next(numbers)}"),
                seen=tmp_path / "seen" if seen else None,
            ),
            open_source(list(records)),
            *([lambda target, **needs: api] if act is deliver else []),
            said.append,
            *([RunContext(run_key=folder or str(len(said)))] if act is deliver else []),
        )
        return result, "\n".join(said)

    return go


@pytest.mark.parametrize("mode", ["record", "batch"])
@pytest.mark.parametrize("deduplicate", ["none", "records"])
def test_a_bad_record_counts_once(run, mode, deduplicate):
    options = {"write_mode": mode, "deduplicate": deduplicate}
    first, said = run(GOOD, BAD, REFUSED, **options)
    assert isinstance(first.error, TooManyFailuresError)
    assert first.report.known_failures == 0
    assert "known" not in said

    second, said = run({"id": 2, "note": "new"}, REFUSED, GOOD, BAD, **options)
    assert second.error is None
    report = second.report
    assert (report.invalid, report.rejected, report.known_failures) == (1, 1, 2)
    assert (
        "2 records not delivered: 1 invalid, 1 rejected. 2 known failures among them, reported by an earlier delivery, "
        "do not count."
    ) in said
    assert report.failures_path is not None


@pytest.mark.parametrize("another", [{"id": "x", "note": "edited"}, {"id": 13, "note": "edited"}])
def test_an_edited_record_that_is_still_bad_counts(run, another):
    run(BAD, REFUSED)
    result, _ = run(BAD, REFUSED, another)
    assert isinstance(result.error, TooManyFailuresError)
    assert "3 of 3 records were not delivered (2 of them known failures, which do not count)" in str(result.error)
    assert run(BAD, REFUSED, another)[0].error is None


def test_a_bad_record_is_delivered_once_it_can_be(run, api):
    run(BAD, REFUSED)
    api.refuses = set()
    result, _ = run(REFUSED)
    assert (result.report.delivered, result.report.known_failures) == (1, 0)


def test_what_was_invalid_and_is_refused_now_counts(run, api):
    api.refuses = {"x"}
    text = [{"name": "id", "type": "string"}, FIELDS[1]]
    assert run(BAD)[0].report.invalid == 1
    result, _ = run(BAD, schema=text)
    assert (result.report.rejected, result.report.known_failures) == (1, 0)
    assert result.error is not None
    assert run(BAD, schema=text)[0].error is None


def test_the_delivery_that_reported_them_stays_failed_when_it_is_cleared(run):
    first, _ = run(BAD, folder="a")
    again, _ = run(BAD, folder="a")
    assert str(first.error) == str(again.error)
    assert again.report.known_failures == 0
    assert run(BAD, folder="b")[0].report.known_failures == 1


def test_what_is_not_final_always_counts(run, api):
    api.status = 503
    assert run(REFUSED)[0].report.unsent == 1
    result, _ = run(REFUSED)
    assert (result.report.unsent, result.report.known_failures) == (1, 0)
    assert result.error is not None


def test_nothing_is_remembered_without_being_asked(run):
    run(BAD, remember_failures=False)
    assert run(BAD)[0].report.known_failures == 0
    assert run(BAD, remember_failures=False)[0].error is not None


def test_a_dry_run_remembers_nothing(run):
    run(BAD, act=dry_run)
    assert run(BAD)[0].error is not None


def test_more_than_allowed_are_counted_without_the_known(run):
    run(BAD, max_failures=1)
    assert run(BAD, REFUSED, max_failures=1)[0].error is None
    assert run(BAD, REFUSED, {"id": "y", "note": ""}, {"id": "z", "note": ""}, max_failures=1)[0].error is not None


def test_it_needs_a_folder(run):
    with pytest.raises(OptionsError, match="remember_failures: found True, which needs a folder"):
        run(BAD, seen=False)


def test_a_failure_is_written_down_once(tmp_path):
    store = SeenStore(tmp_path)
    line = b'{"index":%d,"outcome":"rejected","status":422,"error":"%d","attempts":1,"record":{"id": 1}}\n'
    assert KnownFailures(store, "a", keeping=True).count([line % (1, 1), line % (2, 2)]) == 0
    assert KnownFailures(store, "b", keeping=True).count([line % (3, 3)]) == 1
    assert store.load().contains([failure_key("rejected", b'{"id": 1}')]) == [True]
    assert sum(segment.keys for segment, _ in store.segments()) == 1
