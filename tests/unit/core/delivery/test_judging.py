from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.judging import Judge
from airflow_provider_osmosdest.core.delivery.transport import ANSWER_BYTES, Answer, Request
from airflow_provider_osmosdest.core.delivery.verdict import Verdict
from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError

REQUEST = Request(b"[]")


def answered(status, document=None, **more):
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    return Answer(REQUEST, status, body, **more)


class TestWithoutExpressions:
    judge = Judge()

    def test_a_success_is_not_looked_into(self):
        judgement = self.judge(answered(200, b"<html>"), 5)
        assert judgement.verdict is Verdict.ACCEPTED
        assert judgement.items == {}
        assert not self.judge.reads_bodies

    def test_an_error_quotes_status_reason_and_the_start_of_the_answer_on_one_line(self):
        judgement = self.judge(answered(422, b'{"detail":\n  "bad\tdate"}'), 5)
        assert judgement.verdict is Verdict.REFUSED
        assert judgement.status == 422
        assert judgement.error.startswith("422 Unprocessable")
        assert judgement.error.endswith('{"detail": "bad date"}')

    def test_a_long_answer_is_cut(self):
        error = self.judge(answered(400, b"x" * 100_000), 5).error
        assert error == f"400 Bad Request: {'x' * 300}…"

    def test_bytes_that_are_no_text_and_a_status_nobody_knows(self):
        assert self.judge(answered(499, b"\xff\xfe!"), 1).error == "499: \ufffd\ufffd!"
        assert self.judge(answered(500), 1).error == "500 Internal Server Error"

    def test_a_redirect_is_told_with_its_address_but_not_its_query(self):
        judgement = self.judge(answered(302, b"moved", location="https://other/login?token=secret"), 1)
        assert judgement.verdict is Verdict.MISCONFIGURED
        assert judgement.error == "302 Found (to https://other/login)"

    @pytest.mark.parametrize(
        ("error", "verdict"),
        [
            (NotSentError("no route"), Verdict.UNREACHABLE),
            (AmbiguousError("silence"), Verdict.AMBIGUOUS),
            (TlsError("wrong name"), Verdict.MISCONFIGURED),
        ],
    )
    def test_without_an_answer_the_error_speaks(self, error, verdict):
        judgement = self.judge(Answer(REQUEST, error=error), 1)
        assert (judgement.verdict, judgement.status, judgement.error) == (verdict, None, str(error))

    def test_retry_after_is_passed_on(self):
        assert self.judge(answered(429, retry_after=12.0), 1).retry_after == 12.0

    def test_a_url_of_the_record_makes_404_a_refusal(self):
        assert Judge(url_of_record=True)(answered(404), 1).verdict is Verdict.REFUSED


class TestSuccessWhen:
    judge = Judge(success_when="status == 'ok'")

    def test_reads_bodies(self):
        assert self.judge.reads_bodies

    def test_true_is_a_success(self):
        assert self.judge(answered(200, {"status": "ok"}), 1).verdict is Verdict.ACCEPTED

    @pytest.mark.parametrize("document", [{"status": "failed"}, {}, [], None, 3, "ok"])
    def test_anything_else_is_a_refusal_that_names_the_expression(self, document):
        judgement = self.judge(answered(200, json.dumps(document).encode()), 1)
        assert judgement.verdict is Verdict.REFUSED
        assert judgement.status == 200
        assert judgement.error.startswith("success_when (status == 'ok') is not true: 200 OK")

    @pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b'{"status": "ok"', b"\xff", b"[" * 100_000])
    def test_an_answer_that_is_not_json_is_a_refusal(self, body):
        judgement = self.judge(answered(200, body), 1)
        assert judgement.verdict is Verdict.REFUSED
        assert judgement.error.startswith("the answer is not JSON: 200 OK")

    def test_it_is_not_asked_of_a_refusal_or_an_error(self):
        assert self.judge(answered(500, {"status": "ok"}), 1).verdict is Verdict.TRANSIENT
        assert self.judge(answered(400, {"status": "ok"}), 1).error.startswith("400 Bad Request")
        assert self.judge(Answer(REQUEST, error=NotSentError("x")), 1).verdict is Verdict.UNREACHABLE

    def test_a_function_given_another_type_is_not_true(self):
        judge = Judge(success_when="length(errors) == `0`")
        assert judge(answered(200, {"errors": []}), 1).verdict is Verdict.ACCEPTED
        assert judge(answered(200, {"errors": 3}), 1).verdict is Verdict.REFUSED
        assert judge(answered(200, {}), 1).verdict is Verdict.REFUSED


class TestItemErrors:
    judge = Judge(item_errors="errors")

    @pytest.mark.parametrize("status", [200, 207, 400, 422])
    def test_objects_with_index_and_error(self, status):
        answer = answered(status, {"errors": [{"index": 2, "error": "bad\n date"}, {"index": 0, "error": {"code": 7}}]})
        judgement = self.judge(answer, 3)
        assert judgement.verdict is (Verdict.ACCEPTED if status < 300 else Verdict.REFUSED)
        assert judgement.items == {2: "bad date", 0: '{"code": 7}'}

    def test_bare_positions_and_positions_as_text(self):
        items = self.judge(answered(400, {"errors": [1, "0"]}), 2).items
        assert items == {1: "listed by the API as refused", 0: "listed by the API as refused"}

    @pytest.mark.parametrize("errors", [None, []])
    def test_nothing_listed_is_nothing_refused(self, errors):
        judgement = self.judge(answered(200, {"errors": errors}), 2)
        assert judgement.verdict is Verdict.ACCEPTED
        assert judgement.items == {}

    @pytest.mark.parametrize(
        ("errors", "found"),
        [
            ([5], "'5'"),
            ([-1], "'-1'"),
            ([True], "'True'"),
            ([1.0], "'1.0'"),
            ([None], "'None'"),
            (["x"], "'x'"),
            (["²"], "'²'"),
            ([{"error": "no index"}], "'None'"),
            ([[1]], r"'\[1\]'"),
            ("all of them", "'all of them'"),
            ({"index": 1}, "expected a list"),
            (3, "expected a list"),
        ],
    )
    def test_what_does_not_fit_the_chunk_stops_the_delivery(self, errors, found):
        judgement = self.judge(answered(200, {"errors": errors}), 5)
        assert judgement.verdict is Verdict.UNREADABLE
        assert judgement.error.startswith("item_errors (errors) does not fit the answer: ")
        assert re.search(found, judgement.error)

    def test_a_2xx_that_is_not_json_is_a_refusal_and_a_refusal_that_is_not_json_stays_one(self):
        assert self.judge(answered(200, b"ok"), 1).verdict is Verdict.REFUSED
        judgement = self.judge(answered(400, b"no"), 1)
        assert judgement.verdict is Verdict.REFUSED
        assert judgement.error == "400 Bad Request: no"

    def test_transient_and_misconfigured_answers_are_not_read(self):
        for status in (500, 429, 401, 404):
            assert self.judge(answered(status, {"errors": [0]}), 1).items == {}

    @given(st.sets(st.integers(0, 99)), st.integers(100, 1000))
    def test_every_position_inside_the_chunk_is_taken(self, positions, size):
        judgement = self.judge(answered(200, {"errors": sorted(positions)}), size)
        assert set(judgement.items) == positions

    def test_both_expressions_are_read_from_one_answer(self):
        judge = Judge(success_when="done", item_errors="errors")
        judgement = judge(answered(200, {"done": False, "errors": [1]}), 2)
        assert judgement.verdict is Verdict.REFUSED
        assert set(judgement.items) == {1}


class TestSecrets:
    def test_are_taken_out_of_what_a_server_echoes(self):
        judge = Judge(item_errors="errors", redact=lambda text: text.replace("s3cret", "***"))
        judgement = judge(answered(400, {"you_sent": "s3cret", "errors": [{"index": 0, "error": "s3cret no"}]}), 1)
        assert "s3cret" not in judgement.error + judgement.items[0]
        assert judgement.items[0] == "*** no"

    def test_are_taken_out_of_transport_errors(self):
        judge = Judge(redact=lambda text: text.replace("s3cret", "***"))
        assert judge(Answer(REQUEST, error=NotSentError("proxy s3cret@x")), 1).error == "proxy ***@x"

    def test_are_taken_out_before_an_excerpt_is_cut(self):
        judge = Judge(item_errors="e", redact=lambda text: text.replace("s3cret", "***"))
        for status in (400, 500):
            for at in range(290, 301):
                assert "s3c" not in judge(answered(status, b"x" * at + b"s3cret"), 1).error
        for at in range(290, 301):
            judgement = judge(answered(400, {"e": [{"index": 0, "error": "x" * at + "s3cret"}]}), 1)
            assert "s3c" not in judgement.items[0]
        for at in range(85, 101):
            for found in ("x" * at + "s3cret", ["x" * at + "s3cret"]):
                assert "s3c" not in judge(answered(400, {"e": found}), 1).error.split(": 400 ")[0]


def test_what_no_encoding_can_write_is_replaced():
    judged = Judge(item_errors="errors")(answered(200, b'{"errors":[{"index":0,"error":"\\ud800 x"}]}'), 1)
    assert judged.items == {0: "? x"}


def test_a_long_location_is_cut():
    answer = Answer(REQUEST, 302, location="https://other/" + "a" * 90_000)
    assert len(Judge()(answer, 1).error) < 400


def test_a_secret_that_the_end_of_what_is_kept_cuts_in_two_is_not_shown():
    secret = "s3cret-" * 10
    body = (b" " * (ANSWER_BYTES - 30)) + secret.encode()
    judged = Judge(redact=lambda text: text.replace(secret, "***"))(Answer(REQUEST, 422, body), 1)
    assert "s3cret" not in judged.error
