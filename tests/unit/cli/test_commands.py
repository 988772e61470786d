"""``airflow osmosdest deliver`` and ``schema infer``: exit codes, one JSON document on stdout, misuse, signals."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer

SCHEMA = {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]}
SECRET = "s3cret-of-the-test"


@pytest.fixture
def airflow(command, monkeypatch, osmos_home):
    """Run a command, with a storage of this test's own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    load_settings.cache_clear()
    return command


@pytest.fixture
def api(set_connection):
    """Set up a connection to a server that refuses the record with the id 7."""

    def script(talk):
        refused = b'"id":7,' in talk.read_body() or b'"id":7}' in talk.request.body
        talk.reply(422 if refused else 200, b"seven" if refused else b"{}")

    with ScriptedServer(script) as server:
        headers = {"Authorization": f"Bearer {SECRET}"}
        extra = {"headers": headers, "destination_schema": SCHEMA}
        set_connection("api", host=f"{server.url}/v1?key={SECRET}-in-the-url", extra=extra)
        yield server


@pytest.fixture
def file(tmp_path):
    def write(*ids, name="in.ndjson"):
        path = tmp_path / name
        path.write_text("".join(json.dumps({"id": each, "note": "n"}) + "\n" for each in ids))
        return str(path)

    return write


class TestDeliver:
    def test_all_delivered_is_0_and_the_report(self, airflow, api, file):
        code, report, err = airflow("deliver", "--conn-id", "api", "--records", file(1, 2, 3), "--endpoint", "/orders")
        assert (code, report["delivered"], report["read"], report["error"]) == (0, 3, 3, None)
        assert json.loads(Path(report["report_path"]).read_bytes()) == report
        assert api.received[0].target.startswith("/v1/orders?")
        assert "error:" not in err
        assert SECRET not in err + json.dumps(report)

    def test_records_that_failed_are_1_and_the_report(self, airflow, api, file):
        code, report, err = airflow("deliver", "--conn-id", "api", "--records", file("x", 7, 8))
        assert (code, report["delivered"], report["invalid"], report["rejected"]) == (1, 1, 1, 1)
        assert "error: 2 of 3 records were not delivered" in err

    def test_failures_that_are_allowed_are_1_all_the_same(self, airflow, api, file):
        code, report, err = airflow("deliver", "--conn-id", "api", "--records", file(7, 8), "--max-failures", "1")
        assert (code, report["rejected"], report["error"]) == (1, 1, None)
        assert "error:" not in err

    def test_what_may_have_been_taken_is_not_to_be_delivered_again_unasked(self, airflow, file, set_connection):
        with ScriptedServer(answer(502)) as server:
            set_connection("api", host=server.url, extra={"max_retries": 0})
            code, report, err = airflow("deliver", "--conn-id", "api", "--records", file(1, 2))
        assert (code, report["unknown"]) == (1, 2)
        assert "2 records are 'unknown', and this command begins a new delivery, under new keys, each time" in err

    def test_an_api_that_stops_the_delivery_is_1(self, airflow, file, set_connection):
        with ScriptedServer(answer(401, f"no {SECRET}".encode())) as server:
            set_connection("api", host=server.url, extra={"headers": {"Authorization": f"Bearer {SECRET}"}})
            code, report, err = airflow("deliver", "--conn-id", "api", "--records", file(1))
        assert (code, report["unsent"]) == (1, 1)
        assert "error: connection 'api'" in err
        assert SECRET not in err + json.dumps(report)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--conn-id", "nobody"], "error: --conn-id: "),
            (["--conn-id", "api", "--batch-size", "0"], "error: batch_size: "),
            (
                ["--conn-id", "api", "--schema", "/nowhere.json"],
                "error: destination_schema: '/nowhere.json' is neither",
            ),
            (["--conn-id", "api", "--mapping", "[1]"], "error: mapping: found "),
            (["--conn-id", "api", "--endpoint", "/../x"], "error: endpoint: found '/../x'"),
            (["--conn-id", "api", "--endpoint", "/{id}"], "error: endpoint: {id} takes its value from a record"),
            (["--conn-id", "api", "--records", "/nowhere.csv"], "error: /nowhere.csv"),
            (["--conn-id", "api", "--records", "/etc/hostname"], "Set records_format to one of"),
        ],
    )
    def test_misuse_is_2_and_says_what_to_change(self, airflow, api, file, more, message):
        code, report, err = airflow("deliver", "--records", file(1), *more)
        assert (code, report) == (2, None)
        assert message in err
        assert api.received == []

    @pytest.mark.parametrize("words", [[], ["--conn-id", "api"], ["--write-mode", "other"]])
    def test_options_that_are_missing_or_unknown_are_2(self, airflow, words):
        assert airflow("deliver", *words)[:2] == (2, None)


class TestDryRun:
    def test_it_shows_the_first_request_without_secrets_and_sends_nothing(self, airflow, api, file):
        words = ("deliver", "--conn-id", "api", "--records", file(1, 7), "--endpoint", "/orders", "--dry-run")
        code, report, err = airflow(*words)
        assert (code, report["unsent"], report["delivered"], report["requests"]) == (0, 2, 0, 0)
        assert api.received == []
        assert f"POST {api.url}/v1/orders?key=***" in err
        assert "Authorization: ***" in err or "Authorization: Bearer ***" in err
        assert '[{"id":1,"note":"n"}' in err
        assert SECRET not in err + json.dumps(report)

    def test_invalid_records_are_1(self, airflow, api, file):
        code, report, _ = airflow("deliver", "--conn-id", "api", "--records", file("x", 1), "--dry-run")
        assert (code, report["invalid"], report["unsent"]) == (1, 1, 1)

    def test_without_a_valid_record_it_says_so(self, airflow, api, file):
        code, _, err = airflow("deliver", "--conn-id", "api", "--records", file("x"), "--dry-run")
        assert code == 1
        assert "No request would go out" in err


class TestSignals:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_the_delivery_ends_in_good_order(self, airflow, file, set_connection, number, code):
        def script(talk):
            talk.read_body()
            if len(server.received) == 3:
                os.kill(os.getpid(), number)
            talk.reply()

        before = signal.getsignal(number)
        with ScriptedServer(script) as server:
            set_connection("api", host=server.url, extra={})
            path = file(*range(2_000))
            found, report, err = airflow(
                "deliver",
                "--conn-id",
                "api",
                "--records",
                path,
                "--write-mode",
                "record",
                "--requests-per-second",
                "100",
            )
        assert found == code
        assert f"told to stop ({number.name})" in report["error"]
        assert 3 <= report["delivered"] == len(server.received) < 2_000
        assert report["read"] == report["delivered"] + report["unsent"] + report["unknown"]
        assert "Stopping in good order" in err
        assert signal.getsignal(number) is before

    def test_ctrl_c_before_anything_is_sent_has_no_traceback(self, airflow, monkeypatch, file, api):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("airflow_provider_osmosdest.cli.commands.source_of", interrupted)
        code, report, err = airflow("deliver", "--conn-id", "api", "--records", file(1))
        assert (code, report) == (130, None)
        assert err.splitlines()[-1] == "error: interrupted"


class TestInfer:
    def test_a_sample_gives_its_schema(self, airflow, file):
        code, schema, _ = airflow("schema", "infer", file(1, 2))
        assert code == 0
        assert [field["name"] for field in schema["fields"]] == ["id", "note"]

    def test_a_messy_sample_gives_a_draft_and_says_what_it_guessed(self, airflow, tmp_path):
        films = [{"Title": "Alien", "US_Gross": 1}, {"Title": 1776, "US_Gross": None}, {"Title": "300", "US_Gross": 3}]
        (tmp_path / "films.json").write_text(json.dumps(films))
        code, schema, err = airflow(
            "schema", "infer", str(tmp_path / "films.json"), "--sample", "2", "--mapping", str(tmp_path / "m.json")
        )
        assert code == 0
        assert schema["fields"] == [
            {"name": "title", "type": "string", "nullable": False, "coerce": ["to_string"]},
            {"name": "us_gross", "type": "integer", "nullable": True},
        ]
        assert json.loads((tmp_path / "m.json").read_text()) == {"title": "Title", "us_gross": "US_Gross"}
        assert "warning: field 'Title': it has string (1, such as 'Alien') and integer (1, such as 1776)" in err
        assert "warning: field 'us_gross': renamed, its column is 'US_Gross'" in err
        assert "warning: the first 2 records were looked at, and there are more: see --sample all" in err
        code, _, err = airflow("schema", "infer", str(tmp_path / "films.json"), "--sample", "all")
        assert code == 0
        assert "there are more" not in err

    def test_what_no_schema_can_be_made_of_is_2(self, airflow, tmp_path):
        for name, text, message in [
            ("a.json", "[]", "expected at least one sample record, found none"),
            ("a.ndjson", "5\n", "the record should be a JSON object (found 5)"),
            ("a.csv", "a,a\n1,2\n", "more than one column named 'a'"),
        ]:
            (tmp_path / name).write_text(text)
            code, schema, err = airflow("schema", "infer", str(tmp_path / name))
            assert (code, schema) == (2, None)
            assert message in err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "expected one of FILE, --json-schema FILE and --openapi FILE"),
            (["a.csv", "--openapi", "b.yaml"], "expected one of FILE"),
            (["--openapi", "b.yaml"], '--openapi needs --operation "POST /path"'),
            (["--openapi", "/nowhere.yaml", "--operation", "POST /x"], "/nowhere.yaml cannot be read"),
            (["--json-schema", "/etc/hostname"], "/etc/hostname is not JSON"),
            (["/nowhere.csv"], "/nowhere.csv"),
            (["a.csv", "--sample", "0"], "--sample: found '0', expected a number of records from 1 up, or all"),
            (["a.csv", "--sample", "most"], "--sample: found 'most'"),
            (["--json-schema", "a.json", "--mapping", "b"], "--mapping renames the columns of a sample FILE"),
        ],
    )
    def test_misuse_is_2_and_says_what_to_change(self, airflow, words, message):
        code, schema, err = airflow("schema", "infer", *words)
        assert (code, schema) == (2, None)
        assert f"error: {message}" in err
