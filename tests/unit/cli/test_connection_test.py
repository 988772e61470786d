"""``airflow osmosdest test``: what it checks, the one record it sends, its exit codes."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer, free_port

SCHEMA = {"fields": [{"name": "id", "type": "integer", "nullable": False}]}
SECRET = "s3cret-of-the-test"


@pytest.fixture
def airflow(command, monkeypatch, osmos_home):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    load_settings.cache_clear()
    return command


@pytest.fixture
def api(set_connection):
    """Set up a connection to a server that refuses the record with the id 7 and echoes what it is sent."""

    def script(talk):
        body = talk.read_body()
        talk.reply(422 if b'"id":7' in body else 201, talk.request.headers.get("authorization", b"") + body)

    with ScriptedServer(script) as server:
        extra = {"destination_schema": SCHEMA, "envelope": "data", "deduplicate": "records"}
        set_connection("api", host=f"{server.url}/v1?key={SECRET}-in-the-url", password=SECRET, extra=extra)
        yield server


@pytest.fixture
def file(tmp_path):
    def write(*ids):
        path = tmp_path / "in.ndjson"
        path.write_text("".join(json.dumps({"id": each}) + "\n" for each in ids))
        return str(path)

    return write


class TestWithoutRecords:
    def test_a_connection_that_can_be_used_is_0(self, airflow, api):
        code, document, err = airflow("test", "--conn-id", "api")
        assert (code, document["connection"]) == (0, "api")
        assert document["message"] in err
        assert "No data was sent" in document["message"]
        assert [request.method for request in api.received] == ["OPTIONS"]
        assert SECRET not in err + json.dumps(document)

    def test_a_field_that_cannot_be_used_is_2(self, airflow, set_connection):
        set_connection("api", host="https://a.test", extra={"batch_size": 0})
        code, document, err = airflow("test", "--conn-id", "api")
        assert (code, document) == (2, None)
        assert "error: connection 'api': batch_size: found 0, expected a whole number from 1 to 250,000" in err

    def test_an_api_that_is_not_reached_or_refuses_is_1(self, airflow, set_connection):
        set_connection("api", host=f"http://127.0.0.1:{free_port()}")
        code, document, err = airflow("test", "--conn-id", "api")
        assert (code, document, "cannot be used: " in err) == (1, None, True)
        with ScriptedServer(answer(403)) as server:
            set_connection("api", host=server.url, password=SECRET)
            code, document, err = airflow("test", "--conn-id", "api")
        assert (code, document, "answered 403 to OPTIONS: check auth, the password or token" in err) == (1, None, True)

    def test_there_is_no_such_connection(self, airflow):
        code, document, err = airflow("test", "--conn-id", "nobody")
        assert (code, document, "error: --conn-id: " in err) == (2, None, True)

    def test_a_mailbox(self, airflow, set_connection, tmp_path):
        set_connection("box", conn_type="osmos_mailbox", extra={"path": str(tmp_path / "box")})
        code, document, err = airflow("test", "--conn-id", "box")
        assert (code, "can hold a mailbox" in document["message"]) == (0, True)
        assert document["message"] in err
        assert airflow("test", "--conn-id", "box", "--records", "in.csv")[0] == 2
        set_connection("box", conn_type="osmos_mailbox", extra={"path": "relative"})
        code, _, err = airflow("test", "--conn-id", "box")
        assert (code, "error: connection 'box': path is 'relative'" in err) == (2, True)


class TestWithRecords:
    def test_the_first_valid_record_is_sent_and_shown(self, airflow, api, file, osmos_home):
        words = ("test", "--conn-id", "api", "--records", file("x", 1, 2), "--endpoint", "/orders")
        code, document, err = airflow(*words)
        assert code == 0
        assert [request.body for request in api.received] == [b'{"data":[{"id":1}]}']
        assert api.received[0].target.startswith("/v1/orders?")
        assert (document["index"], document["passed_over"], document["outcome"]) == (1, 1, "delivered")
        assert document["request"]["body"] == '{"data":[{"id":1}]}'
        assert document["request"]["headers"]["Authorization"] == "Bearer ***"
        assert (document["response"]["status"], document["response"]["body"]) == (201, 'Bearer ***{"data":[{"id":1}]}')
        lines = err.splitlines()
        assert lines[0].startswith("Sending one record to connection 'api' (POST ")
        assert "index 1 of in.ndjson (ndjson), the first valid one, after 1 that fails the schema." in lines[0]
        for line in (f"POST {api.url}/v1/orders?key=*** HTTP/1.1", '{"data":[{"id":1}]}', "HTTP/1.1 201"):
            assert line in lines
        assert "delivered: the API has taken the record. It was really sent" in err
        assert SECRET not in err + json.dumps(document)
        # Neither a delivery nor seen keys: the next test sends it again.
        assert list(osmos_home.rglob("*")) == []
        assert airflow(*words)[1]["outcome"] == "delivered"

    def test_a_refused_record_is_1_and_says_why(self, airflow, api, file):
        code, document, err = airflow("test", "--conn-id", "api", "--records", file(7), "--write-mode", "record")
        assert (code, document["outcome"], document["response"]["status"]) == (1, "rejected", 422)
        assert "rejected: the API refused the record. The reason: 422" in err
        assert len(api.received) == 1

    def test_a_wrong_token_is_1_and_one_request(self, airflow, set_connection, file):
        with ScriptedServer(answer(401)) as server:
            set_connection("api", host=server.url, password=SECRET)
            code, document, err = airflow("test", "--conn-id", "api", "--records", file(1))
        assert (code, document["outcome"], len(server.received)) == (1, "unsent", 1)
        assert "unsent: the API has not taken the record. The reason: connection 'api'" in err

    def test_an_api_that_is_down_is_not_tried_again(self, airflow, set_connection, file):
        set_connection("api", host=f"http://127.0.0.1:{free_port()}", extra={"max_retries": 50})
        code, document, err = airflow("test", "--conn-id", "api", "--records", file(1))
        assert (code, document["outcome"], document["response"]) == (1, "unsent", None)
        assert "No whole answer came." in err

    def test_without_a_valid_record_nothing_is_sent(self, airflow, api, file):
        code, document, err = airflow("test", "--conn-id", "api", "--records", file("x", "y"))
        assert (code, document["index"], document["outcome"], document["passed_over"]) == (1, None, None, 2)
        assert "error: no record of the file is valid, so nothing was sent." in err
        assert api.received == []

    def test_a_file_without_records_says_so(self, airflow, api, file):
        code, document, err = airflow("test", "--conn-id", "api", "--records", file())
        assert (code, document["passed_over"]) == (1, 0)
        assert "error: the file has no records, so nothing was sent." in err
        assert api.received == []

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--records", "/nowhere.csv"], "error: /nowhere.csv"),
            (["--endpoint", "/../x"], "error: connection 'api': endpoint: found '/../x'"),
            (["--endpoint", "/{id}"], "endpoint: {id} takes its value from a record"),
            (["--batch-format", "ndjson"], "envelope: NDJSON has no place for one"),
        ],
    )
    def test_misuse_is_2_and_sends_nothing(self, airflow, api, file, more, message):
        code, document, err = airflow("test", "--conn-id", "api", "--records", file(1), *more)
        assert (code, document) == (2, None)
        assert message in err
        assert api.received == []
