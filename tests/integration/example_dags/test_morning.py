"""The morning run, with the real Google client library and a server that speaks the Sheets API."""

from __future__ import annotations

import gc
import json
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer
from tests.airflow_fixtures import EXAMPLES
from tests.sheets_server import Cell, serving_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_osmosdest.testing.servers import Conversation
    from tests.sheets_server import Sheet

pytestmark = pytest.mark.filterwarnings("ignore")  # of Google's libraries, none of ours

SPREADSHEET = "1aBcD_e-FgH"
HEADER = ["E-Mail", "Name ", "Plan", "Seats", "Joined", "Remarks"]
ADA = ["ada@example.org", "Ada", "team", Cell(1200, "1,200"), "2026-01-05"]
GRACE = ["grace@example.org", "Grace"]
LINUS = ["linus@example.org", "Linus", "", 3, "", "no mail on Fridays"]
NAMELESS = ["nobody@example.org", "", "free"]


@pytest.fixture
def hooks(providers) -> Iterator[Any]:
    from airflow.providers.google.suite.hooks import sheets

    yield sheets
    # Google's client leaves its connections to the garbage collector, which says so in whatever test comes next.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def sheet(hooks, monkeypatch, set_connection) -> Iterator[Sheet]:
    from google.api_core.client_options import ClientOptions

    with serving_sheet(SPREADSHEET) as served:
        options = ClientOptions(api_endpoint=served.url)
        monkeypatch.setattr(hooks.GSheetsHook, "get_client_options", lambda *_, **__: options)
        set_connection("google_sheets", conn_type="google_cloud_platform", extra={"is_anonymous": True})
        yield served


@dataclass
class Api:
    """The notification API: it may be down, and it refuses whom it does not know."""

    url: str = ""
    down: bool = False
    unknown: set[str] = field(default_factory=set)
    notified: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, talk: Conversation) -> None:
        body = json.loads(talk.read_body())
        assert (talk.request.method, talk.request.target) == ("POST", "/notifications")
        if talk.request.headers.get("authorization") != b"Bearer tok-morning":
            talk.reply(401)
        elif self.down:
            talk.reply(503)
        elif body["email"] in self.unknown:
            talk.reply(422, b'{"error": "no such user"}')
        else:
            self.notified.append(body)
            talk.reply(202)

    def taken(self) -> list[str]:
        """Return whom it was told of since it was asked last."""
        emails = sorted(body["email"].partition("@")[0] for body in self.notified)
        self.notified.clear()
        return emails


@pytest.fixture
def api(set_connection) -> Iterator[Api]:
    served = Api()
    with ScriptedServer(served.answer) as server:
        extra = {"headers": {"Authorization": "Bearer tok-morning"}, "max_retries": 0, "backoff": 0.01}
        set_connection("notifications_api", host=server.url, extra=extra)
        yield served


@pytest.fixture
def morning(airflow_db, run_dag, sheet, api) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(EXAMPLES, bundle_path=EXAMPLES, bundle_name="examples").dags["morning_notifications"]
    # The attempts of one morning are not what is tested here.
    dag.get_task("notify").retries = 0

    def run(*rows: list[Any], **conf: str) -> Any:
        sheet.rows = [HEADER, *rows]
        return run_dag(dag, {"spreadsheet_id": SPREADSHEET, "range": "Users!A:F", **conf})

    return run


def counts(run: Any) -> dict[str, int]:
    report = run.xcom("notify")
    return {name: report[name] for name in ("read", "delivered", "duplicate", "invalid", "rejected", "unsent")}


def test_a_sheet_that_grows_and_is_edited(morning, api, sheet):
    first = morning(ADA, GRACE)
    assert first.state("notify") == "success"
    assert {
        "email": "ada@example.org",
        "name": "Ada",
        "plan": "team",
        "seats": 1200,
        "joined": "2026-01-05",
    } in api.notified
    assert api.taken() == ["ada", "grace"]

    # A row more, in between, and a column nobody asked for.
    second = morning(ADA, LINUS, [], GRACE)
    assert api.taken() == ["linus"]
    assert counts(second) == {"read": 3, "delivered": 1, "duplicate": 2, "invalid": 0, "rejected": 0, "unsent": 0}

    third = morning([*ADA[:2], "enterprise", *ADA[3:]], LINUS, GRACE, ["new@example.org", "New"])
    assert api.taken() == ["ada", "new"]
    assert counts(third) == {"read": 4, "delivered": 2, "duplicate": 2, "invalid": 0, "rejected": 0, "unsent": 0}
    assert all(request["valueRenderOption"] == "UNFORMATTED_VALUE" for request in sheet.requests)


def test_a_morning_without_anything_new_sends_nothing(morning, api):
    morning(ADA)
    api.notified.clear()
    again = morning(ADA)
    assert api.taken() == []
    assert counts(again) == {"read": 1, "delivered": 0, "duplicate": 1, "invalid": 0, "rejected": 0, "unsent": 0}
    assert again.xcom("notify")["requests"] == 0


def test_what_an_api_that_was_down_did_not_get_goes_out_on_the_next_morning(morning, api):
    morning(ADA)
    api.notified.clear()
    api.down = True
    missed = morning(ADA, GRACE, LINUS)
    assert missed.state("notify") == "failed"
    assert missed.state("tell") == "success"
    assert api.taken() == []
    api.down = False
    morning(ADA, GRACE, LINUS)
    assert api.taken() == ["grace", "linus"]


def test_whom_the_api_refuses_or_the_schema_does_is_tried_again(morning, api):
    api.unknown = {"grace@example.org"}
    refused = morning(ADA, GRACE, NAMELESS)
    assert refused.state("notify") == "failed"
    assert counts(refused) == {"read": 3, "delivered": 1, "duplicate": 0, "invalid": 1, "rejected": 1, "unsent": 0}
    assert api.taken() == ["ada"]
    api.unknown = set()
    mended = morning(ADA, GRACE, [NAMELESS[0], "Nobody"])
    assert mended.state("notify") == "success"
    assert api.taken() == ["grace", "nobody"]


def test_a_bad_row_makes_the_run_red_once_and_is_named(morning, api, capsys):
    api.unknown = {"grace@example.org"}
    assert morning(ADA, [], GRACE, NAMELESS).state("notify") == "failed"
    said = capsys.readouterr().out
    assert "1 notified, 2 failed, 0 notified before." in said
    assert 'row 4, Grace: 422 Unprocessable Entity: {"error": "no such user"}' in said
    assert "row 5, nobody@example.org: name" in said

    again = morning(LINUS, ADA, [], GRACE, NAMELESS)
    assert again.state("notify") == "success"
    assert again.xcom("notify")["known_failures"] == 2
    assert counts(again) == {"read": 4, "delivered": 1, "duplicate": 1, "invalid": 1, "rejected": 1, "unsent": 0}
    assert "1 notified, 2 failed (2 of them since an earlier morning), 1 notified before." in capsys.readouterr().out

    edited = morning(ADA, GRACE, [*NAMELESS[:2], "team"])
    assert edited.state("notify") == "failed"
    assert edited.xcom("notify")["known_failures"] == 1

    api.unknown = set()
    api.taken()
    assert morning(ADA, GRACE, [NAMELESS[0], "Nobody"]).state("notify") == "success"
    assert api.taken() == ["grace", "nobody"]


def test_rows_have_the_numbers_they_have_in_the_sheet(morning):
    failed = morning(ADA, NAMELESS, range="'New users'!$A$12:F")
    assert [failure["row"] for failure in failed.failures("notify")] == [14]


def test_settings_come_from_variables(morning, api, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_MORNING_SPREADSHEET_ID", SPREADSHEET)
    monkeypatch.setenv("AIRFLOW_VAR_MORNING_RANGE", "Users!A3:F")
    done = morning(ADA, spreadsheet_id="", range="")
    assert done.state("notify") == "success"
    assert api.taken() == ["ada"]


def test_a_sheet_that_is_not_named_is_asked_for(morning, capsys):
    assert morning(ADA, spreadsheet_id="").state("read_sheet") == "failed"
    assert "Set the Airflow Variable morning_spreadsheet_id" in capsys.readouterr().out
