"""The Customer.io example, against a server that checks what the App API's documentation says of its requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer
from tests.airflow_fixtures import EXAMPLES, WARNINGS_OF_AIRFLOW

if TYPE_CHECKING:
    from airflow_provider_osmosdest.testing.servers import Conversation

pytestmark = WARNINGS_OF_AIRFLOW

KEY = b"Bearer app-key-4711"


def is_email(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[^@ ]+@[^@ ]+", value) is not None


def transactional_problem(body: dict[str, Any]) -> str | None:
    """Say what POST /v1/send/email would not take: a template's message."""
    if not isinstance(body.get("transactional_message_id"), int | str):
        return "transactional_message_id"
    if not is_email(body.get("to")):
        return "to"
    identifiers = body.get("identifiers")
    if (
        not isinstance(identifiers, dict)
        or len(identifiers) != 1
        or not identifiers.keys() <= {"id", "email", "cio_id"}
    ):
        return "identifiers"
    return None if isinstance(body.get("message_data", {}), dict) else "message_data"


def broadcast_problem(body: dict[str, Any]) -> str | None:
    """Say what POST /v1/campaigns/{campaign_id}/triggers would not take: people with data of their own."""
    people = body.get("per_user_data")
    if not isinstance(people, list) or not 0 < len(people) <= 10_000:
        return "per_user_data"
    if not all(len(person.keys() & {"id", "email"}) == 1 and isinstance(person.get("data"), dict) for person in people):
        return "per_user_data"
    known = {"per_user_data", "data", "id_ignore_missing", "email_ignore_missing", "email_add_duplicates"}
    return next(iter(body.keys() - known), None)


def action_problem(body: dict[str, Any]) -> str | None:
    """Say what PUT /v1/campaigns/{campaign_id}/actions/{action_id} would not take."""
    known = {"body", "subject", "preheader_text", "from_id", "reply_to_id", "recipient", "headers", "sending_state"}
    return next(iter(body.keys() - known), None) if body else "body"


ROUTES = (
    ("POST", r"/v1/send/email", transactional_problem, {"delivery_id": "d-1", "queued_at": 1500111111}),
    ("POST", r"/v1/campaigns/\d+/triggers", broadcast_problem, {"id": 1}),
    ("PUT", r"/v1/campaigns/\d+/actions/\d+", action_problem, {"action": {"id": 96}}),
)


def app_api(talk: Conversation) -> None:
    """Answer as the App API does."""
    body = json.loads(talk.read_body())
    if talk.request.headers.get("authorization") != KEY:
        talk.reply(401, b'{"errors": [{"detail": "unauthorized", "status": "401"}]}')
        return
    for method, path, problem_of, document in ROUTES:
        if talk.request.method == method and re.fullmatch(path, talk.request.target):
            if talk.request.headers.get("content-type") != b"application/json":
                talk.reply(415)
            elif not isinstance(body, dict) or (problem := problem_of(body)):
                talk.reply(400, json.dumps({"meta": {"error": f"invalid {problem}"}}).encode())
            else:
                talk.reply(200, json.dumps(document).encode())
            return
    talk.reply(404)


@pytest.fixture
def dag(airflow_db) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(EXAMPLES, bundle_path=EXAMPLES, bundle_name="examples").dags["customerio_messages"]


def test_wording_campaign_and_receipts(dag, run_dag, set_connection):
    with ScriptedServer(app_api) as server:
        set_connection("customerio", host=server.url, extra={"headers": {"Authorization": KEY.decode()}})
        run = run_dag(dag, {"campaign_id": 12, "action_id": 96})
    for task_id, delivered in (("set_wording", 1), ("trigger_campaign", 2), ("send_receipts", 2)):
        assert run.state(task_id) == "success"
        assert run.xcom(task_id)["delivered"] == delivered
    sent = {(each.method, each.target): json.loads(each.body) for each in server.received}
    assert sent["PUT", "/v1/campaigns/12/actions/96"] == {
        "subject": "A voucher for you",
        "body": "<p>Your code is {{trigger.voucher}}.</p>",
    }
    assert sent["POST", "/v1/campaigns/12/triggers"] == {
        "per_user_data": [
            {"email": "ada@example.org", "data": {"voucher": "A-1815"}},
            {"email": "grace@example.org", "data": {"voucher": "G-1906"}},
        ],
        "email_ignore_missing": True,
    }
    assert sum(target == "/v1/send/email" for _, target in sent) == 1
    assert len(server.received) == 4


def test_without_the_key_nothing_is_sent_twice(dag, run_dag, set_connection):
    with ScriptedServer(app_api) as server:
        set_connection("customerio", host=server.url, extra={"headers": {"Authorization": "Bearer another"}})
        run = run_dag(dag)
    assert run.state("send_receipts") == "failed"
    assert run.xcom("send_receipts")["unsent"] + run.xcom("send_receipts")["rejected"] == 2
    assert run.state("trigger_campaign") == "upstream_failed"
