"""``airflow osmosdest retry``: what goes out again, with what, what is refused, and that nothing goes out twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.servers import ScriptedServer

SCHEMA = {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "amount", "type": "number"}]}
SECRET = "s3cret-of-the-test"


class Shop:
    """A server that refuses amounts below zero, until it is mended."""

    def __init__(self):
        self.mended = False
        self.status = 422
        self.taken = []
        self.server = ScriptedServer(self)

    def __call__(self, talk):
        body = json.loads(talk.read_body())
        records = body["rows"] if isinstance(body, dict) else body
        if not self.mended and any(each["amount"] < 0 for each in records):
            talk.reply(self.status, b"below zero")
            return
        self.taken += [each["id"] for each in records]
        talk.reply(200, b"{}")

    @property
    def last(self):
        return self.server.received[-1]


@pytest.fixture
def shop(set_connection):
    shop = Shop()
    with shop.server as server:
        extra = {"destination_schema": SCHEMA, "max_retries": 0}
        set_connection("shop", host=f"{server.url}/v1?key={SECRET}", password=SECRET, extra={**extra, "auth": "bearer"})
        yield shop


@pytest.fixture
def airflow(command, monkeypatch, osmos_home):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    load_settings.cache_clear()
    return command


@pytest.fixture
def failed(airflow, shop, tmp_path):
    """A delivery of a CSV file, with one record that is invalid and two that are rejected; its report."""
    (tmp_path / "in.csv").write_text("Number,amount\n1,1\n2,-2\nx,3\n4,4\n5,-5\n")
    words = ["--conn-id", "shop", "--records", str(tmp_path / "in.csv"), "--mapping", '{"id": "Number"}']
    code, report, _ = airflow("deliver", *words, "--endpoint", "/orders", "--envelope", "rows", "--record-key", "id")
    assert (code, report["delivered"], report["invalid"], report["rejected"]) == (1, 2, 1, 2)
    shop.taken.clear()
    return report


def failures_of(report):
    return [json.loads(line) for line in Path(report["failures_path"]).read_text().splitlines()]


class TestRetry:
    def test_with_everything_that_the_first_one_had(self, airflow, shop, failed):
        shop.mended = True
        code, report, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, report["read"], report["delivered"], report["invalid"]) == (1, 3, 2, 1)
        assert shop.taken == [2, 5]
        assert shop.last.target.startswith("/v1/orders?key=")
        assert json.loads(shop.last.body)["rows"] == [{"id": 2, "amount": -2}, {"id": 5, "amount": -5}]
        assert report["about"]["retry_of"] == failed["report_path"]
        # What fails again says where it stood in the source.
        assert [(each["index"], each["first_index"]) for each in failures_of(report)] == [(0, 2)]
        assert report["first_failures"][0]["index"] == 2
        assert "record 2 (row 4, id=x): invalid: " in err
        assert SECRET not in err + json.dumps(report)

    def test_the_plan_comes_before_anything_is_sent(self, airflow, shop, failed):
        requests = len(shop.server.received)
        code, report, err = airflow("retry", failed["report_path"])
        assert (code, report, len(shop.server.received)) == (2, None, requests)
        plan = err.splitlines()
        assert plan[1:] == [
            f"Failures: {failed['failures_path']}: 3 records (1 invalid, 2 rejected)",
            f"To: connection 'shop' (POST {shop.server.url}/v1/orders?***)",
            "With: envelope=rows, record_key=id, its mapping",
            "To be delivered again: 3 records (1 invalid, 2 rejected)",
            "error: there is no terminal to ask whether to go on; say --yes",
        ]

    @pytest.mark.parametrize("answer", ["y\n", "n\n"])
    def test_on_a_terminal_it_asks(self, airflow, shop, failed, monkeypatch, answer):
        class Terminal:
            isatty = staticmethod(lambda: True)
            readline = staticmethod(lambda: answer)

        shop.mended = True
        monkeypatch.setattr("sys.stdin", Terminal)
        code, report, err = airflow("retry", failed["report_path"], "--only", "rejected")
        assert "Deliver 2 records to connection 'shop' (POST " in err
        if answer == "y\n":
            assert (code, report["delivered"], shop.taken) == (0, 2, [2, 5])
        else:
            assert (code, report, shop.taken) == (1, None, [])
            assert "Nothing was sent." in err

    def test_a_dry_run_sends_nothing_and_is_no_retry(self, airflow, shop, failed):
        requests = len(shop.server.received)
        code, report, err = airflow("retry", failed["report_path"], "--dry-run")
        assert (code, report["unsent"], report["invalid"], len(shop.server.received)) == (1, 2, 1, requests)
        assert f"POST {shop.server.url}/v1/orders?key=***" in err
        assert "error: 1 of 3 records do not satisfy the schema, and max_failures allows 0." in err
        shop.mended = True
        assert airflow("retry", failed["report_path"], "--yes")[1]["delivered"] == 2

    def test_what_was_mended_in_the_connection_counts_and_so_does_what_is_given(
        self, airflow, shop, failed, set_connection, tmp_path
    ):
        (tmp_path / "text.json").write_text(
            json.dumps({"fields": [{"name": "id", "type": "string"}, {"name": "amount", "type": "number"}]})
        )
        words = ("--schema", str(tmp_path / "text.json"), "--only", "invalid", "--envelope", "rows", "--yes")
        code, report, err = airflow("retry", failed["report_path"], *words)
        assert (code, report["delivered"], shop.taken) == (0, 1, ["x"])
        assert "The schema is another one than they failed under." in err
        set_connection("shop", host=f"{shop.server.url}/v2", extra={"destination_schema": SCHEMA})
        shop.mended = True
        code, report, err = airflow("retry", failed["report_path"], "--only", "rejected", "--yes")
        assert (code, report["delivered"], shop.last.target) == (0, 2, "/v2/orders")
        assert f"The address is another one; it was {shop.server.url}/v1/orders?***" in err

    def test_a_report_and_its_failures_that_were_moved(self, airflow, shop, failed, tmp_path):
        shop.mended = True
        folder = Path(failed["report_path"]).parent.rename(tmp_path / "moved")
        code, report, _ = airflow("retry", str(folder / "report.json"), "--only", "rejected", "--yes")
        assert (code, report["delivered"], report["about"]["retry_of"]) == (0, 2, failed["report_path"])

    def test_nothing_to_deliver_again(self, airflow, shop, failed):
        shop.mended = True
        _, report, _ = airflow("retry", failed["report_path"], "--only", "rejected", "--yes")
        code, document, err = airflow("retry", report["report_path"], "--yes")
        assert (code, document["delivered"]) == (0, 0)
        assert "every record was delivered" in err
        assert airflow("retry", failed["report_path"], "--only", "unsent", "--yes")[0] == 1


class TestTwice:
    def test_what_was_delivered_again_does_not_go_out_once_more(self, airflow, shop, failed):
        shop.mended = True
        words = ("retry", failed["report_path"], "--only", "rejected", "--yes")
        _, first, _ = airflow(*words)
        code, report, err = airflow(*words)
        assert (code, report, shop.taken) == (2, None, [2, 5])
        assert (
            f"an earlier retry has sent these, or some of them: {first['report_path']}. It has come to its end" in err
        )
        # Nor by way of another choice.
        code, report, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, report, shop.taken) == (2, None, [2, 5])
        assert "for what is left, say --only invalid" in err
        code, report, _ = airflow(*words, "--again")
        assert (code, report["delivered"], shop.taken) == (0, 2, [2, 5, 2, 5])
        assert report["delivery_id"] != first["delivery_id"]

    def test_the_same_retry_goes_on_with_what_is_left(self, airflow, shop, failed):
        # The server takes the 5 alone.
        words = ("retry", failed["report_path"], "--only", "rejected", "--yes")
        _, first, _ = airflow(*words)
        assert (first["delivered"], first["rejected"]) == (0, 2)
        shop.mended = True
        code, second, err = airflow(*words)
        assert (code, second["delivered"], second["delivery_id"]) == (0, 2, first["delivery_id"])
        assert second["about"]["attempts"] == 2
        assert "but for the 2 of them that were rejected or invalid" in err

    def test_a_retry_of_a_retry(self, airflow, shop, failed):
        _, first, _ = airflow("retry", failed["report_path"], "--yes")
        shop.mended = True
        code, second, _ = airflow("retry", first["report_path"], "--only", "rejected", "--yes")
        assert (code, second["delivered"], shop.taken) == (0, 2, [2, 5])
        assert second["about"]["retry_of"] == first["report_path"]
        assert second["about"]["given"]["options"]["envelope"] == "rows"
        # The first retry would take these up again.
        code, report, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, report, shop.taken) == (2, None, [2, 5])
        assert f"What it left was retried since: {second['report_path']}" in err

    def test_a_retry_that_was_stopped_is_given_again_and_not_retried(self, airflow, shop, failed):
        shop.status = 401
        _, first, err = airflow("retry", failed["report_path"], "--only", "rejected", "--yes")
        assert first["unsent"] == 2
        assert "To go on with what is left, once the cause is mended: the same command again." in err
        shop.mended = True
        code, _, err = airflow("retry", first["report_path"], "--only", "unsent", "--yes")
        assert (code, shop.taken) == (2, [])
        assert f"airflow osmosdest retry {failed['report_path']}, with the options it had" in err
        code, second, _ = airflow("retry", failed["report_path"], "--only", "rejected", "--yes")
        assert (code, second["delivered"], shop.taken) == (0, 2, [2, 5])

    def test_failures_that_were_mended_after_some_were_delivered(self, airflow, shop, failed):
        shop.mended = True
        airflow("retry", failed["report_path"], "--yes")
        path = Path(failed["failures_path"])
        path.write_text(path.read_text().replace('"Number":"x"', '"Number":"12345"'))
        code, report, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, report, shop.taken) == (2, None, [2, 5])
        assert "The failures file has changed since" in err

    def test_failures_that_were_mended_before(self, airflow, shop, failed):
        path = Path(failed["failures_path"])
        path.write_text(path.read_text().replace('"Number":"x"', '"Number":"3"'))
        shop.mended = True
        code, report, _ = airflow("retry", failed["report_path"], "--yes")
        assert (code, report["delivered"], sorted(shop.taken)) == (0, 3, [2, 3, 5])


class TestUnknown:
    def test_it_has_to_be_named(self, airflow, shop, tmp_path):
        shop.status = 502
        (tmp_path / "in.ndjson").write_text('{"id": 1, "amount": -1}\n')
        words = ("--conn-id", "shop", "--records", str(tmp_path / "in.ndjson"), "--guarantee", "at_most_once")
        _, failed, _ = airflow("deliver", *words)
        assert failed["unknown"] == 1
        shop.mended = True
        code, document, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, document["delivered"], shop.taken) == (1, 0, [])
        assert "Left out: 1 unknown: the API may have them. Ask it, then name those it has not" in err
        code, report, err = airflow("retry", failed["report_path"], "--only", "unknown", "--yes")
        assert (code, report["delivered"], shop.taken) == (0, 1, [1])
        assert "The API may have the unknown ones already" in err


class TestWithheld:
    def test_what_may_be_secret_is_asked_for(self, airflow, shop, tmp_path, failed):
        (tmp_path / "in.ndjson").write_text('{"id": 1, "amount": -1}\n')
        envelope = json.dumps({"api_key": "kept-by-no-report", "all": True, "rows": "$records"})
        words = ("--endpoint", f"/orders?token={SECRET}2", "--envelope", envelope)
        _, failed, _ = airflow("deliver", "--conn-id", "shop", "--records", str(tmp_path / "in.ndjson"), *words)
        kept = Path(failed["report_path"]).read_text()
        assert SECRET not in kept
        assert "kept-by-no-report" not in kept
        shop.mended = True
        code, _, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, shop.taken) == (2, [])
        assert "Give that again, as it was: --endpoint (/orders?***), --envelope (" in err
        code, report, err = airflow("retry", failed["report_path"], *words, "--yes")
        assert (code, report["delivered"]) == (0, 1)
        assert json.loads(shop.last.body)["api_key"] == "kept-by-no-report"
        assert SECRET not in err + json.dumps(report)
        assert "kept-by-no-report" not in err + json.dumps(report)

    def test_a_report_of_version_0_1_0(self, airflow, shop, failed):
        path = Path(failed["report_path"])
        old = {name: value for name, value in failed.items() if name not in ("about", "first_failures")}
        path.write_text(json.dumps(old))
        shop.mended = True
        code, _, err = airflow("retry", str(path), "--yes")
        assert code == 2
        assert "did not keep how it delivered. Give the connection" in err
        words = ("--conn-id", "shop", "--endpoint", "/orders", "--mapping", '{"id": "Number"}', "--only", "rejected")
        code, report, _ = airflow("retry", str(path), *words, "--yes")
        assert (code, report["delivered"], shop.taken) == (0, 2, [2, 5])


class TestMisuse:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "expected the path of a report.json, or --dag-id"),
            (("--dag-id", "d", "--run-id", "r"), "expected the path of a report.json, or --dag-id"),
            (("--dag-id", "d", "--run-id", "r", "--task-id", "t"), "The task has delivered nothing"),
            (("/nowhere/report.json",), "/nowhere/report.json: the report cannot be read"),
        ],
    )
    def test_what_names_no_report(self, airflow, words, message):
        code, document, err = airflow("retry", *words)
        assert (code, document) == (2, None)
        assert f"error: {message}" in err or message in err

    def test_what_is_no_report_or_no_failures_file(self, airflow, shop, failed, tmp_path):
        code, _, err = airflow("retry", failed["failures_path"])
        assert code == 2
        assert "is no report of a delivery; expected its report.json" in err
        (tmp_path / "report.json").write_text('{"delivery_id": "d", "failures_path": null, "pages": 3}')
        code, _, err = airflow("retry", str(tmp_path / "report.json"))
        assert code == 2
        assert "is the report of a pull" in err
        with Path(failed["failures_path"]).open("a") as file:
            file.write('{"id": 7}\n')
        code, _, err = airflow("retry", failed["report_path"], "--yes")
        assert (code, shop.taken) == (2, [])
        assert "record 4 is no failure record. Was the file edited?" in err


class TestWords:
    """No command speaks of a task where there is none, nor says a sentence twice."""

    def test_what_failed(self, airflow, shop, failed, tmp_path):
        _, _, err = airflow("retry", failed["report_path"], "--yes")
        assert "task" not in err
        sentences = [each for line in err.splitlines() for each in line.split(". ") if len(each) > 40]
        assert len(sentences) == len(set(sentences))

    @pytest.mark.parametrize("status", [401, 404, 502])
    def test_why_it_stopped(self, airflow, shop, tmp_path, status):
        shop.status = status
        (tmp_path / "in.ndjson").write_text('{"id": 1, "amount": -1}\n{"id": 2, "amount": -1}\n')
        code, report, err = airflow("deliver", "--conn-id", "shop", "--records", str(tmp_path / "in.ndjson"))
        assert code == 1
        assert "task" not in err
        assert err.count(report["error"]) == 1
        assert f"error: {report['error']}" in err
