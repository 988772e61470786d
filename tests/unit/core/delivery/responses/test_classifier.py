from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.responses.classifier import ResponseClassifier
from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError, TlsError
from airflow_provider_osmosdest.core.http.transport import ANSWER_BYTES, Request, Response
from airflow_provider_osmosdest.core.http.verdict import Verdict

REQUEST = Request(b"[]")


def answered(status, document=None, **more):
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    return Response(REQUEST, status, body, **more)


class TestWithoutExpressions:
    classify = ResponseClassifier()

    def test_a_success_is_not_looked_into(self):
        classification = self.classify(answered(200, b"<html>"), 5)
        assert classification.verdict is Verdict.ACCEPTED
        assert classification.items == {}
        assert not self.classify.reads_bodies

    def test_an_error_quotes_status_reason_and_the_start_of_the_answer_on_one_line(self):
        classification = self.classify(answered(422, b'{"detail":\n  "bad\tdate"}'), 5)
        assert classification.verdict is Verdict.REFUSED
        assert classification.status == 422
        assert classification.error.startswith("422 Unprocessable")
        assert classification.error.endswith('{"detail": "bad date"}')

    def test_a_long_answer_is_cut(self):
        error = self.classify(answered(400, b"x" * 100_000), 5).error
        assert error == f"400 Bad Request: {'x' * 300}…"

    def test_bytes_that_are_no_text_and_an_unknown_status(self):
        assert self.classify(answered(499, b"\xff\xfe!"), 1).error == "499: \ufffd\ufffd!"
        assert self.classify(answered(500), 1).error == "500 Internal Server Error"

    def test_a_redirect_is_told_with_its_address_but_not_its_query(self):
        classification = self.classify(answered(302, b"moved", location="https://other/login?token=secret"), 1)
        assert classification.verdict is Verdict.MISCONFIGURED
        assert classification.error == "302 Found (to https://other/login)"

    @pytest.mark.parametrize(
        ("error", "verdict"),
        [
            (NotSentError("no route"), Verdict.UNREACHABLE),
            (AmbiguousError("silence"), Verdict.IN_DOUBT),
            (TlsError("wrong name"), Verdict.MISCONFIGURED),
        ],
    )
    def test_without_an_answer_the_error_speaks(self, error, verdict):
        classification = self.classify(Response(REQUEST, error=error), 1)
        assert (classification.verdict, classification.status, classification.error) == (verdict, None, str(error))

    def test_retry_after_is_passed_on(self):
        assert self.classify(answered(429, retry_after=12.0), 1).retry_after == 12.0

    def test_a_url_of_the_record_makes_404_a_refusal(self):
        assert ResponseClassifier(url_of_record=True)(answered(404), 1).verdict is Verdict.REFUSED
        assert ResponseClassifier()(answered(404), 1).verdict is Verdict.MISCONFIGURED

    def test_an_answer_is_cut_only_where_it_is_longer_than_what_is_quoted(self):
        assert self.classify(answered(400, b"x" * 300), 1).error == f"400 Bad Request: {'x' * 300}"
        assert self.classify(answered(400, b"x" * 301), 1).error == f"400 Bad Request: {'x' * 300}…"

    @pytest.mark.parametrize(
        ("body", "more", "quoted"),
        [
            (b" " * (ANSWER_BYTES - 3) + b"end", {}, "end"),
            # The rest may be the first half of a secret.
            (b" " * (ANSWER_BYTES - 3) + b"end", {"whole": False}, ""),
            (b" " * (ANSWER_BYTES - 8 * 1024 - 3) + b"end" + b"x" * 8 * 1024, {"whole": False}, "end"),
            (b" " * (ANSWER_BYTES - 8 * 1024 - 3) + b"end" + b"x" * 8 * 1024 + b"y", {}, "end"),
            # Of a short answer at least half is quoted, or nothing could be.
            (b"1234567", {"whole": False}, "1234"),
            (b"1234567", {}, "1234567"),
        ],
    )
    def test_where_an_answer_was_cut_off_its_end_is_not_quoted(self, body, more, quoted):
        error = self.classify(answered(400, body, **more), 1).error
        assert error == (f"400 Bad Request: {quoted}" if quoted else "400 Bad Request")


class TestSuccessWhen:
    classify = ResponseClassifier(success_when="status == 'ok'")

    def test_reads_bodies(self):
        assert self.classify.reads_bodies

    def test_true_is_a_success(self):
        assert self.classify(answered(200, {"status": "ok"}), 1).verdict is Verdict.ACCEPTED

    @pytest.mark.parametrize("document", [{"status": "failed"}, {}, [], None, 3, "ok"])
    def test_anything_else_is_a_refusal_that_names_the_expression(self, document):
        classification = self.classify(answered(200, json.dumps(document).encode()), 1)
        assert classification.verdict is Verdict.REFUSED
        assert classification.status == 200
        assert classification.error.startswith("success_when (status == 'ok') is not true: 200 OK")

    @pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b'{"status": "ok"', b"\xff", b"[" * 100_000])
    def test_what_is_not_json_is_no_success(self, body):
        classification = self.classify(answered(200, body), 1)
        assert classification.verdict is Verdict.REFUSED
        assert classification.error.startswith("the answer is not JSON: 200 OK")

    def test_it_is_not_asked_of_a_refusal_or_an_error(self):
        assert self.classify(answered(500, {"status": "ok"}), 1).verdict is Verdict.FAILED
        assert self.classify(answered(503, b"ok"), 1).verdict is Verdict.TRANSIENT
        assert self.classify(answered(504, b"ok"), 1).verdict is Verdict.IN_DOUBT
        assert self.classify(answered(400, {"status": "ok"}), 1).error.startswith("400 Bad Request")
        assert self.classify(Response(REQUEST, error=NotSentError("x")), 1).verdict is Verdict.UNREACHABLE

    def test_the_expression_is_named_as_it_was_written(self):
        classification = ResponseClassifier(success_when="not.there")(answered(200, b"{}"), 1)
        assert classification.error == "success_when (not.there) is not true: 200 OK: {}"

    def test_a_function_given_another_type_is_not_true(self):
        classify = ResponseClassifier(success_when="length(errors) == `0`")
        assert classify(answered(200, {"errors": []}), 1).verdict is Verdict.ACCEPTED
        assert classify(answered(200, {"errors": 3}), 1).verdict is Verdict.REFUSED
        assert classify(answered(200, {}), 1).verdict is Verdict.REFUSED


class TestItemErrors:
    classify = ResponseClassifier(item_errors="errors")

    @pytest.mark.parametrize("status", [200, 207, 400, 422])
    def test_objects_with_index_and_error(self, status):
        answer = answered(status, {"errors": [{"index": 2, "error": "bad\n date"}, {"index": 0, "error": {"code": 7}}]})
        classification = self.classify(answer, 3)
        assert classification.verdict is (Verdict.ACCEPTED if status < 300 else Verdict.REFUSED)
        assert classification.items == {2: "bad date", 0: '{"code": 7}'}

    def test_bare_positions_and_positions_as_text(self):
        items = self.classify(answered(400, {"errors": [1, "0"]}), 2).items
        assert items == {1: "listed by the API as refused", 0: "listed by the API as refused"}

    @pytest.mark.parametrize("errors", [None, []])
    def test_nothing_listed_is_nothing_refused(self, errors):
        classification = self.classify(answered(200, {"errors": errors}), 2)
        assert classification.verdict is Verdict.ACCEPTED
        assert classification.items == {}

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
        classification = self.classify(answered(200, {"errors": errors}), 5)
        assert classification.verdict is Verdict.UNREADABLE
        assert classification.error.startswith("item_errors (errors) does not fit the answer: ")
        assert re.search(found, classification.error)

    @pytest.mark.parametrize(
        ("errors", "said"),
        [
            ([5], "found the position '5', expected a whole number from 0 to 4"),
            (["x" * 101], f"found the position '{'x' * 100}', expected a whole number from 0 to 4"),
            ("y" * 101, f"found '{'y' * 100}', expected a list"),
        ],
    )
    @pytest.mark.parametrize(("status", "verdict"), [(200, Verdict.UNREADABLE), (400, Verdict.REFUSED)])
    def test_what_does_not_fit_is_told_in_full_and_a_refusal_stays_one(self, status, verdict, errors, said):
        classification = ResponseClassifier(item_errors="body.errors")(
            answered(status, {"body": {"errors": errors}}), 5
        )
        assert classification.verdict is verdict
        assert classification.items == {}
        assert classification.error.startswith(f"item_errors (body.errors) does not fit the answer: {said}: {status} ")

    def test_an_items_error_that_is_no_text_is_quoted_in_its_own_letters(self):
        items = self.classify(answered(400, {"errors": [{"index": 0, "error": {"feld": "größer"}}]}), 1).items
        assert items == {0: '{"feld": "größer"}'}

    def test_a_success_that_is_not_json_cannot_be_read_and_a_refusal_that_is_not_json_stays_one(self):
        classification = self.classify(answered(200, b"ok"), 1)
        assert classification.verdict is Verdict.MISCONFIGURED
        assert classification.error == "what is not JSON: 200 OK: ok"
        classification = self.classify(answered(400, b"no"), 1)
        assert classification.verdict is Verdict.REFUSED
        assert classification.error == "400 Bad Request: no"

    def test_transient_and_misconfigured_answers_are_not_read(self):
        for status in (500, 429, 401, 404):
            assert self.classify(answered(status, {"errors": [0]}), 1).items == {}

    def test_both_expressions_are_read_from_one_answer(self):
        classify = ResponseClassifier(success_when="done", item_errors="errors")
        classification = classify(answered(200, {"done": False, "errors": [1]}), 2)
        assert classification.verdict is Verdict.REFUSED
        assert set(classification.items) == {1}
        assert classification.error.startswith("success_when (done) is not true: 200 OK: {")


@given(st.sets(st.integers(0, 99)), st.integers(100, 1000))
def test_every_position_inside_the_chunk_is_taken(positions, size):
    classification = ResponseClassifier(item_errors="errors")(answered(200, {"errors": sorted(positions)}), size)
    assert set(classification.items) == positions


class TestAlreadyExistsWhen:
    classify = ResponseClassifier(already_exists_when="status == `409` || contains(to_string(body), 'duplicate')")

    def test_the_whole_answer_is_needed(self):
        assert self.classify.reads_bodies
        assert not ResponseClassifier().reads_bodies

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (409, b""),
            (409, b"not JSON"),
            (409, b'{"detail": "conflict"}'),
            (422, b'{"code": "duplicate"}'),
            (400, b"duplicate key value"),
            (200, b'{"result": "duplicate"}'),
            (500, b"duplicate entry"),
            (409, b"[" * 100_000),
        ],
    )
    def test_a_single_record_that_it_is_true_for_is_there_already(self, status, body):
        classification = self.classify(answered(status, body), 1)
        assert (classification.verdict, classification.status) == (Verdict.EXISTS, status)
        assert classification.error.startswith(f"{status} ")

    @pytest.mark.parametrize(
        ("status", "body", "verdict"),
        [
            (422, b'{"code": "bad date"}', Verdict.REFUSED),
            (200, b'{"result": "new"}', Verdict.ACCEPTED),
            (413, b"", Verdict.TOO_LARGE),
            (500, b"oops", Verdict.FAILED),
            (503, b"", Verdict.TRANSIENT),
            (401, b"", Verdict.MISCONFIGURED),
        ],
    )
    def test_one_that_it_is_not_true_for_is_judged_as_ever(self, status, body, verdict):
        assert self.classify(answered(status, body), 1).verdict is verdict

    def test_where_there_was_no_answer_there_is_nothing_to_ask_of(self):
        classify = ResponseClassifier(already_exists_when="`true`")
        assert classify(Response(REQUEST, error=AmbiguousError("silence")), 1).verdict is Verdict.IN_DOUBT

    def test_a_batch_refused_with_it_says_so(self):
        classification = self.classify(answered(409), 5)
        assert (classification.verdict, classification.items, classification.existing) == (
            Verdict.EXISTS,
            {},
            frozenset(),
        )

    @pytest.mark.parametrize(
        ("status", "verdict"), [(200, Verdict.ACCEPTED), (413, Verdict.TOO_LARGE), (500, Verdict.FAILED)]
    )
    def test_of_any_other_answer_to_a_batch_it_is_not_asked(self, status, verdict):
        assert ResponseClassifier(already_exists_when="`true`")(answered(status, {}), 5).verdict is verdict

    def test_a_text_is_asked_as_text(self):
        classify = ResponseClassifier(already_exists_when="body == 'E11000 duplicate key'")
        assert classify(answered(400, b"E11000 duplicate key"), 1).verdict is Verdict.EXISTS
        assert classify(answered(400, b"E11000"), 1).verdict is Verdict.REFUSED
        assert (
            ResponseClassifier(already_exists_when="contains(body, 'x')")(answered(400, b"\xff x"), 1).verdict
            is Verdict.EXISTS
        )

    def test_a_function_given_another_type_is_not_true(self):
        classify = ResponseClassifier(already_exists_when="contains(body.message, 'exists')")
        assert classify(answered(400, b"exists"), 1).verdict is Verdict.REFUSED
        assert classify(answered(400, {"message": "exists"}), 1).verdict is Verdict.EXISTS

    def test_it_comes_before_success_when_and_the_words_of_the_key(self):
        classify = ResponseClassifier(already_exists_when="status == `409`", success_when="ok")
        assert classify(answered(409, b"idempotency key in use"), 1).verdict is Verdict.EXISTS
        both = ResponseClassifier(already_exists_when="body.code == 'have it'", success_when="ok")
        assert both(answered(200, {"ok": False, "code": "have it"}), 1).verdict is Verdict.EXISTS
        assert both(answered(200, {"ok": False, "code": "bad"}), 1).verdict is Verdict.REFUSED
        assert both(answered(200, {"ok": True}), 1).verdict is Verdict.ACCEPTED

    @pytest.mark.parametrize("status", [200, 207, 422])
    def test_items_by_their_own_status(self, status):
        classify = ResponseClassifier(item_errors="errors", already_exists_when="status == `409`")
        errors = [
            {"index": 0, "error": "bad", "status": 422},
            {"index": 2, "error": "have it", "status": 409},
            {"index": 3},
            4,
        ]
        classification = classify(answered(status, {"errors": errors}), 5)
        assert classification.verdict is (Verdict.REFUSED if status == 422 else Verdict.ACCEPTED)
        assert classification.existing == {2}
        assert set(classification.items) == {0, 3, 4}

    def test_items_by_their_own_words(self):
        classify = ResponseClassifier(item_errors="errors", already_exists_when="body.error == 'have it'")
        classification = classify(
            answered(200, {"errors": [{"index": 0, "error": "bad"}, {"index": 2, "error": "have it"}]}), 5
        )
        assert (classification.existing, classification.items) == ({2}, {0: "bad"})

    def test_items_without_a_status_have_the_answers(self):
        classify = ResponseClassifier(
            item_errors="errors", already_exists_when="status == `207` && body.error == 'have it'"
        )
        classification = classify(answered(207, {"errors": [{"index": 1, "error": "have it"}]}), 5)
        assert (classification.existing, classification.items) == ({1}, {})

    def test_items_that_lie_outside_the_batch_do_not_fit_even_so(self):
        classify = ResponseClassifier(item_errors="errors", already_exists_when="`true`")
        classification = classify(answered(200, {"errors": [{"index": 9}]}), 5)
        assert classification.verdict is Verdict.UNREADABLE
        assert classification.existing == frozenset()

    def test_without_it_no_item_is_there_already(self):
        classification = ResponseClassifier(item_errors="errors")(
            answered(200, {"errors": [{"index": 1, "status": 409}]}), 5
        )
        assert (classification.existing, set(classification.items)) == (frozenset(), {1})


class TestOfTheKey:
    classify = ResponseClassifier()

    @pytest.mark.parametrize("size", [1, 5])
    def test_a_request_in_progress(self, size):
        classification = self.classify(answered(409, b"idempotency_key_in_use"), size)
        assert (classification.verdict, classification.status) == (Verdict.IN_PROGRESS, 409)
        assert classification.error == "409 Conflict: idempotency_key_in_use"

    @pytest.mark.parametrize("status", [409, 423, 425])
    def test_a_status_that_says_when_to_ask_again(self, status):
        classification = self.classify(answered(status, retry_after=3.0), 1)
        assert (classification.verdict, classification.retry_after) == (Verdict.IN_PROGRESS, 3.0)

    @pytest.mark.parametrize("status", [408, 429, 503])
    def test_what_was_not_taken_stays_that_when_it_says_when(self, status):
        assert self.classify(answered(status, retry_after=3.0), 1).verdict is Verdict.TRANSIENT

    def test_too_early_that_does_not_say_when_was_not_taken(self):
        assert self.classify(answered(425), 1).verdict is Verdict.TRANSIENT

    def test_a_key_used_with_other_bytes(self):
        classification = self.classify(answered(422, b"Idempotency-Key is already used"), 5)
        assert (classification.verdict, classification.status) == (Verdict.MISCONFIGURED, 422)

    def test_a_plain_conflict_is_a_refusal(self):
        assert self.classify(answered(409), 5).verdict is Verdict.REFUSED

    def test_a_success_and_a_failure_are_not_of_the_key(self):
        for status, verdict in ((200, Verdict.ACCEPTED), (500, Verdict.FAILED), (413, Verdict.TOO_LARGE)):
            assert self.classify(answered(status, b"idempotency key in use, already used"), 5).verdict is verdict

    def test_where_no_key_is_sent_nothing_is(self):
        classify = ResponseClassifier(keyed=False)
        assert classify(answered(409, b"idempotency key in use"), 1).verdict is Verdict.REFUSED
        assert classify(answered(409, retry_after=3.0), 1).verdict is Verdict.REFUSED
        assert classify(answered(422, b"Idempotency-Key is already used"), 1).verdict is Verdict.REFUSED

    def test_it_comes_before_the_expressions(self):
        classify = ResponseClassifier(item_errors="errors")
        body = {"errors": [{"index": 0, "error": "idempotency key in use"}]}
        classification = classify(answered(409, body), 5)
        assert (classification.verdict, classification.items) == (Verdict.IN_PROGRESS, {})


class TestSecrets:
    def test_are_taken_out_of_what_a_server_echoes(self):
        classify = ResponseClassifier(item_errors="errors", redact=lambda text: text.replace("s3cret", "***"))
        classification = classify(
            answered(400, {"you_sent": "s3cret", "errors": [{"index": 0, "error": "s3cret no"}]}), 1
        )
        assert "s3cret" not in classification.error + classification.items[0]
        assert classification.items[0] == "*** no"

    def test_are_taken_out_of_transport_errors(self):
        classify = ResponseClassifier(redact=lambda text: text.replace("s3cret", "***"))
        assert classify(Response(REQUEST, error=NotSentError("proxy s3cret@x")), 1).error == "proxy ***@x"

    def test_are_taken_out_before_an_excerpt_is_cut(self):
        classify = ResponseClassifier(item_errors="e", redact=lambda text: text.replace("s3cret", "***"))
        for status in (400, 500):
            for at in range(290, 301):
                assert "s3c" not in classify(answered(status, b"x" * at + b"s3cret"), 1).error
        for at in range(290, 301):
            classification = classify(answered(400, {"e": [{"index": 0, "error": "x" * at + "s3cret"}]}), 1)
            assert "s3c" not in classification.items[0]
        for at in range(85, 101):
            for found in ("x" * at + "s3cret", ["x" * at + "s3cret"]):
                assert "s3c" not in classify(answered(400, {"e": found}), 1).error.split(": 400 ")[0]


def test_what_no_encoding_can_write_is_replaced():
    found = ResponseClassifier(item_errors="errors")(answered(200, b'{"errors":[{"index":0,"error":"\\ud800 x"}]}'), 1)
    assert found.items == {0: "? x"}


def test_a_long_location_is_cut():
    answer = Response(REQUEST, 302, location="https://other/" + "a" * 90_000)
    assert len(ResponseClassifier()(answer, 1).error) < 400


def test_a_secret_that_the_end_of_what_is_kept_cuts_in_two_is_not_shown():
    secret = "s3cret-" * 10
    body = (b" " * (ANSWER_BYTES - 30)) + secret.encode()
    found = ResponseClassifier(redact=lambda text: text.replace(secret, "***"))(Response(REQUEST, 422, body), 1)
    assert "s3cret" not in found.error
