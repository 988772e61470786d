from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError, TransportError
from airflow_provider_osmosdest.core.http.verdict import Verdict, verdict_of

# The table "What a response means" of docs/destination.md, written the other way round: what is said of each status.
TABLE = {
    Verdict.ACCEPTED: range(200, 300),
    Verdict.TOO_LARGE: [413],
    Verdict.REFUSED: [400, 402, 406, 409, 411, 412, 414, 415, 416, 417, 418, 421, 422, 423, 424, 426, 428, 431, 451],
    Verdict.TRANSIENT: [408, 425, 429, 503],
    Verdict.IN_DOUBT: [502, 504, 520, 522, 524],
    Verdict.FAILED: [500, 506, 507, 508, 511, 519, 521, 523, 525, 529, 599],
    Verdict.MISCONFIGURED: [301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 410, 501, 505],
}


@pytest.mark.parametrize(
    ("verdict", "status"), [(verdict, status) for verdict, all_ in TABLE.items() for status in all_]
)
def test_the_table(verdict, status):
    assert verdict_of(status, None) is verdict


def test_every_status_has_a_verdict_and_only_answers_to_errors_mean_more_than_the_status():
    named = {status: verdict for verdict, statuses in TABLE.items() for status in statuses}
    for status in range(100, 600):
        verdict = verdict_of(status, None)
        if status in named:
            continue
        if status < 400:
            assert verdict is Verdict.MISCONFIGURED, status
        elif status < 500:
            assert verdict is Verdict.REFUSED, status
        else:
            assert verdict is Verdict.FAILED, status


@pytest.mark.parametrize("status", [404, 410])
def test_where_the_url_is_the_records_own_its_absence_is_about_the_record(status):
    assert verdict_of(status, None, url_of_record=True) is Verdict.REFUSED


def test_a_url_of_the_record_changes_nothing_else():
    changed = [
        status for status in range(100, 600) if verdict_of(status, None, url_of_record=True) != verdict_of(status, None)
    ]
    assert changed == [404, 410]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (TlsError("wrong name"), Verdict.MISCONFIGURED),
        (NotSentError("refused"), Verdict.UNREACHABLE),
        (AmbiguousError("timed out"), Verdict.IN_DOUBT),
    ],
)
def test_without_an_answer_the_error_decides(error, verdict):
    assert verdict_of(None, error) is verdict


def test_every_transport_error_has_a_verdict():
    for kind in TransportError.__subclasses__():
        assert isinstance(verdict_of(None, kind("x")), Verdict)


@pytest.mark.parametrize("error", [None, TransportError("x")])
def test_an_exchange_must_end_in_something(error):
    with pytest.raises(TypeError, match="neither a status nor a known error"):
        verdict_of(None, error)
