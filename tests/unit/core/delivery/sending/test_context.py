from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.responses.classifier import Classification
from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
from airflow_provider_osmosdest.core.errors import StoppedError, WaitError
from airflow_provider_osmosdest.core.http.verdict import Verdict


def context(*, stopping=lambda: None, deferrable=False, **options):
    ticks = []
    made = SendContext(
        options=DeliveryOptions(**options),
        run_context=RunContext(stopping=stopping, deferrable=deferrable),
        transport=None,
        classify=None,
        backoff=None,
        pacer=None,
        stop_policy=None,
        outcomes=None,
        progress=SimpleNamespace(tick=lambda: ticks.append(1)),
    )
    return made, ticks


@pytest.mark.parametrize("verdict", Verdict)
def test_what_says_that_the_api_is_unavailable(verdict):
    twice, _ = context()
    once, _ = context(guarantee="at_most_once")
    classification = Classification(verdict)
    passing = verdict in (Verdict.TRANSIENT, Verdict.UNREACHABLE)
    assert once.passing(classification) is passing
    assert twice.passing(classification) is (passing or verdict in (Verdict.IN_DOUBT, Verdict.FAILED))


def test_check_in_logs_progress_and_then_stops_where_it_is_asked_to():
    stopped, ticks = context(stopping=lambda: "The task was marked failed. It is over.")
    with pytest.raises(StoppedError, match=r"^The task was marked failed\. It is over\.$"):
        stopped.check_in()
    assert ticks == [1]
    free, ticks = context()
    free.check_in()
    assert ticks == [1]


def test_only_long_waits_are_left_to_others_and_only_where_there_are_any():
    alone, _ = context(defer_after=5.0)
    alone.check_wait(1e6)
    helped, _ = context(defer_after=5.0, deferrable=True)
    helped.check_wait(5.0)
    with pytest.raises(WaitError) as caught:
        helped.check_wait(5.1)
    assert caught.value.seconds == 5.1


def test_the_header_of_a_key():
    assert context()[0].key_name == "Idempotency-Key"
    assert context(idempotency_header="X-Id")[0].key_name == "X-Id"
    assert context(idempotency_header="none")[0].key_name is None
