"""One record is sent as a delivery sends it, once, and nothing is left of it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.model import Delivery
from airflow_provider_osmosdest.core.delivery.one_record import Recorder, send_one
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError
from airflow_provider_osmosdest.core.http.auth import AuthorizingTransport
from airflow_provider_osmosdest.core.http.signing import Signer
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of
from tests.unit.core.delivery.conftest import SCHEMA, MemoryFolder

BAD, GOOD = {"id": "x", "note": "bad"}, {"id": 7, "note": "good"}


class Tokens:
    def token(self):
        return "made-for-this"

    def forget(self, token):
        pass


@pytest.fixture
def send():
    def run(records, answer=200, *, schema=SCHEMA, mapping=None, signed=False, oauth2=False, **options):
        requests, folder, said = [], MemoryFolder(), []

        def handle(request):
            requests.append(request)
            if isinstance(answer, Exception):
                return Response(request, error=answer)
            head = (b"HTTP/1.1 200 OK\r\n", b"Set-Cookie: sid=1\r\n", b"X-Echo: hush-hush made-for-this\r\n", b"\r\n")
            return Response(request, answer, b'{"saw": "hush-hush made-for-this"}', head=head)

        recorder = Recorder()

        def transport(target, **needs):
            inner = recorder.around(HandlerTransport(handle), target, needs["headers"])
            if not signed and not oauth2:
                return inner
            signer = Signer("whsec_c2VjcmV0") if signed else None
            return AuthorizingTransport(inner, tokens=Tokens() if oauth2 else None, signer=signer)

        target = Target(options.pop("url", "http://a.test"), headers={"X-Key": "hush-hush"}, secrets=("hush-hush",))
        delivery = Delivery(
            target,
            DeliveryOptions(**options),
            schema,
            folder,
            mapping=mapping,
            name="connection 'a'",
            seen=MemoryFolder(),
        )
        source = records if hasattr(records, "blocks") else open_source(records)
        one = send_one(delivery, source, transport, recorder, said.append)
        assert folder.files == {}
        assert delivery.seen.files == {}
        return one, [body_of(request) for request in requests], said

    return run


@pytest.mark.parametrize(("mode", "body"), [("batch", b'{"data":[%s]}'), ("record", b'{"data":%s}')])
def test_the_first_valid_record_goes_out_in_its_envelope(send, mode, body):
    records = [BAD, BAD, GOOD, {"id": 8}]
    one, bodies, said = send(records, write_mode=mode, envelope="data", deduplicate="records", batch_size=100)
    assert bodies == [body % b'{"id":7,"note":"good"}']
    assert (one.index, one.passed_over, one.outcome, one.reason) == (2, 2, "delivered", None)
    assert [reason.partition(":")[0] for reason in one.invalid] == ["id", "id"]
    (line,) = said
    assert line.startswith(
        "Sending one record to connection 'a' (POST http://a.test), really, as a delivery sends it: "
    )
    assert line.endswith("index 2 of 4 values, the first valid one, after 2 that fail the schema.")
    assert one.request.body.encode() == bodies[0]
    assert one.response.status == 200


@pytest.mark.parametrize("name", ["in.ndjson", "in.json", "in.csv"])
def test_it_is_found_in_every_kind_of_block(send, tmp_path, name):
    path = tmp_path / name
    texts = {
        "in.ndjson": "\n".join(map(json.dumps, (BAD, GOOD, GOOD))),
        "in.json": json.dumps([BAD, GOOD, GOOD], indent=2),
        "in.csv": "id,note\nx,bad\n7,good\n8,good\n",
    }
    path.write_text(texts[name])
    one, bodies, _ = send(open_source(path))
    assert (one.index, one.outcome) == (1, "delivered")
    assert bodies == [b'[{"id":7,"note":"good"}]']


def test_it_may_be_far_behind_the_first_block(send):
    one, bodies, _ = send([BAD] * 2_500 + [GOOD])
    assert (one.index, one.passed_over, len(one.invalid), len(bodies)) == (2_500, 2_500, 3, 1)


def test_a_failures_file_gives_the_record_in_it(send, tmp_path):
    path = tmp_path / "failures.ndjson"
    failure = {"index": 3, "outcome": "rejected", "status": 400, "error": "no", "attempts": 1, "record": GOOD}
    path.write_text(json.dumps(failure) + "\n")
    _, bodies, _ = send(open_source(path), schema=SCHEMA, mapping={"id": "ID"})
    assert bodies == [b'[{"id":7,"note":"good"}]']


def test_without_a_valid_record_nothing_is_sent(send):
    one, bodies, said = send([BAD, BAD])
    assert (one.index, one.outcome, one.passed_over, one.request) == (None, None, 2, None)
    assert bodies == said == []


@pytest.mark.parametrize("mode", ["batch", "record"])
@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (400, "rejected", "400 Bad Request"),
        (401, "unsent", "401 Unauthorized"),
        (429, "unsent", "429 Too Many Requests"),
        (500, "unknown", "500 Internal Server Error"),
        (503, "unsent", "503 Service Unavailable"),
        (NotSentError("no way"), "unsent", "no way"),
        (AmbiguousError("reset"), "unknown", "reset"),
    ],
)
def test_it_is_sent_once_and_the_outcome_is_a_delivery_s(send, mode, answer, outcome, reason):
    one, bodies, _ = send([GOOD], answer, write_mode=mode, max_retries=8)
    assert len(bodies) == 1
    assert one.outcome == outcome
    assert reason in one.reason
    assert "hush-hush" not in one.reason
    assert (one.response is None) is isinstance(answer, Exception)


def test_no_url_can_be_made_of_it(send):
    one, bodies, _ = send([{"id": 1, "note": None}], url="http://a.test/{note}", write_mode="record")
    assert (one.outcome, one.request, bodies) == ("invalid", None, [])


def test_secrets_are_masked_those_made_for_the_request_too(send):
    one, _, _ = send([GOOD], signed=True, oauth2=True, schema=DestinationSchema.any_object())
    shown = f"{one.request}\n{one.response}"
    assert "hush-hush" not in shown
    assert "made-for-this" not in shown
    assert "v1," not in shown
    assert one.request.headers["X-Key"] == one.request.headers["Authorization"] == "***"
    assert one.request.headers["webhook-signature"] == "***"
    assert one.request.headers["webhook-id"]
    assert one.response.headers == (("Set-Cookie", "***"), ("X-Echo", "*** ***"))
    assert one.response.body == '{"saw": "*** ***"}'


def test_long_bodies_are_cut(send):
    one, bodies, _ = send([{"id": 1, "note": "n" * 5_000}])
    assert one.request.body.endswith(f"… ({len(bodies[0]) - 2_000:,} more bytes)")
