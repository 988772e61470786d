"""The operator in Airflow's own task runner, against a real server."""

from __future__ import annotations

import base64
import json
import logging
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, ObjectStoragePath, task

import airflow_provider_osmosdest
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "name", "type": "string"}]}
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ITEMS = [{"id": number, "name": f"item {number}"} for number in range(10)]


@pytest.fixture
def server(set_connection):
    """A server that takes everything, with the connection ``api`` that reaches it."""
    with ScriptedServer(answer(200, b"{}")) as running:
        set_connection("api", host=running.url)
        yield running


@pytest.fixture
def deliver(run_dag, request):
    """Run a DAG of one delivery with these parameters, and return how it ended."""

    def run(records: Any = ITEMS, conf: dict[str, Any] | None = None, **parameters: Any):
        with DAG(f"dag_{abs(hash(request.node.nodeid))}", schedule=None, params={"table": "items"}) as dag:
            HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=records, **parameters)
        return run_dag(dag, conf)

    return run


def sent(server: ScriptedServer) -> list[Any]:
    return [record for request in server.received for record in json.loads(request.body)]


class TestReport:
    def test_on_success(self, deliver, server, osmos_home):
        run = deliver(destination_schema=ITEM)
        assert run.state("deliver") == "success"
        report = run.xcom("deliver")
        assert set(report) == {
            "delivery_id", "read", "delivered", "duplicate", "invalid", "rejected", "unknown", "unsent", "requests",
            "retries", "splits", "bytes_sent", "seconds", "failures_path", "report_path", "reasons", "error",
            "known_failures",
        }  # fmt: skip
        assert (report["read"], report["delivered"], report["requests"]) == (10, 10, 1)
        assert report["bytes_sent"] == len(server.received[0].body)
        assert report["failures_path"] is None
        folder = osmos_home / "deliveries" / run.dag_id / run.run_id / "deliver" / "-1"
        assert report["report_path"] == str(folder / "report.json")
        assert json.loads((folder / "report.json").read_text())["delivered"] == 10
        assert [path.name for path in folder.iterdir()] == ["report.json"]
        assert sent(server) == ITEMS

    def test_on_failure(self, deliver, server):
        run = deliver([*ITEMS, {"id": "no number", "name": "{{ 1 + 1 }}"}, {"name": "no id"}], destination_schema=ITEM)
        assert run.state("deliver") == "failed"
        report = run.xcom("deliver")
        assert (report["read"], report["delivered"], report["invalid"]) == (12, 10, 2)
        failures = run.failures("deliver")
        assert [(failure["index"], failure["outcome"]) for failure in failures] == [(10, "invalid"), (11, "invalid")]
        assert failures[0]["error"].startswith("id: ")
        assert failures[1]["record"] == {"name": "no id"}
        assert "TooManyFailuresError" not in Path(report["report_path"]).read_text()
        assert "max_failures allows 0" in json.loads(Path(report["report_path"]).read_text())["error"]

    @pytest.mark.parametrize(
        ("max_failures", "state"),
        [(2, "success"), ("2", "success"), ("17%", "success"), (0.17, "success"), (1, "failed"), ("16%", "failed")],
    )
    def test_max_failures_decides_the_colour(self, deliver, server, max_failures, state):
        run = deliver([*ITEMS, {"id": "a"}, {"id": "b"}], destination_schema=ITEM, max_failures=max_failures)
        assert run.state("deliver") == state
        assert run.xcom("deliver")["delivered"] == 10

    def test_a_second_run_has_a_folder_and_an_id_of_its_own(self, deliver, server):
        first, second = deliver().xcom("deliver"), deliver().xcom("deliver")
        assert first["delivery_id"] != second["delivery_id"]
        assert first["report_path"] != second["report_path"]


class TestWrongToken:
    # Made anew: Airflow keeps the text of a DAG's file, this one's, in its database.
    TOKEN = secrets.token_hex(8)

    @pytest.mark.parametrize(
        "connection",
        [
            {"extra": {"headers": {"Authorization": f"Bearer {TOKEN}"}}},
            {"extra": {"headers": {"X-Api-Key": TOKEN}}},
            {"login": "ada", "password": TOKEN},
            {"password": TOKEN, "extra": {"auth": "bearer"}},
        ],
        ids=["header", "api key", "basic", "bearer"],
    )
    @pytest.mark.parametrize("write_mode", ["batch", "record"])
    def test_one_request_and_no_trace_of_the_token(  # noqa: PLR0917
        self, deliver, set_connection, tmp_path, capfd, caplog, connection, write_mode
    ):
        def echo(talk):
            # A server that says whom it does not know.
            talk.read_body()
            seen = (talk.request.headers.get("authorization") or b"") + (talk.request.headers.get("x-api-key") or b"")
            talk.reply(401, b'{"error": "unknown token ' + seen + b'"}')

        caplog.set_level(logging.DEBUG)
        with ScriptedServer(echo) as server:
            set_connection("api", host=server.url, **connection)
            run = deliver(destination_schema=ITEM, write_mode=write_mode, concurrency=1, retries=3, retry_delay=0)
        assert len(server.received) == 1
        assert run.state("deliver") == "failed"
        # Trying again cannot help.
        assert run.tries == {"deliver": 1}
        report = run.xcom("deliver")
        assert (report["read"], report["delivered"], report["unsent"], report["requests"]) == (10, 0, 10, 1)
        said = "".join(capfd.readouterr()) + caplog.text
        assert "connection 'api'" in said
        assert "401 Unauthorized" in said
        assert "unknown token" in said
        left_behind = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert len(left_behind) == 2
        assert all(self.TOKEN.encode() not in content for content in left_behind)
        assert self.TOKEN not in said
        assert self.TOKEN not in json.dumps(report)

    def test_nor_in_the_database(self, deliver, set_connection, airflow_db):
        from airflow import settings

        with ScriptedServer(answer(401)) as server:
            set_connection("api", host=server.url, password=self.TOKEN, extra={"auth": "bearer"})
            deliver(headers={"X-Copy": "{{ conn.api.password }}"})
        assert server.received[0].headers["x-copy"] == self.TOKEN.encode()
        database = Path(settings.engine.url.database)
        content = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
        assert b"X-Copy" in content
        assert self.TOKEN.encode() not in content


class TestRecords:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "items.ndjson"
        path.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
        return path

    def test_a_path_as_text(self, deliver, server, path):
        assert deliver(str(path)).xcom("deliver")["delivered"] == 10
        assert sent(server) == ITEMS

    def test_a_path_as_text_that_does_not_say_its_format(self, deliver, server, path):
        bare = path.rename(path.with_suffix(""))
        assert deliver(str(bare), records_format="ndjson").xcom("deliver")["delivered"] == 10

    def test_a_path_as_an_object(self, deliver, server, path):
        assert deliver(ObjectStoragePath(f"file://{path}")).xcom("deliver")["delivered"] == 10
        assert sent(server) == ITEMS

    def test_a_template(self, deliver, server, path):
        run = deliver(
            f"{path.parent}/{{{{ params.table }}}}.ndjson", endpoint="/{{ dag_run.conf.where }}", conf={"where": "here"}
        )
        assert run.xcom("deliver")["delivered"] == 10
        assert server.received[0].target == "/here"

    def test_text_that_is_no_path(self, deliver, server, capfd):
        run = deliver('[{"id": 1}]')
        assert run.state("deliver") == "failed"
        assert "render_template_as_native_obj" in "".join(capfd.readouterr())
        assert server.received == []

    @pytest.mark.parametrize("nothing", [None, "", " "])
    def test_none(self, deliver, server, capfd, nothing):
        run = deliver(nothing)
        assert (run.state("deliver"), run.tries["deliver"]) == ("failed", 1)
        assert f"found {nothing!r}" in "".join(capfd.readouterr())
        assert run.xcom("deliver") is None

    def test_no_records_at_all(self, deliver, server):
        run = deliver([])
        assert run.state("deliver") == "success"
        assert run.xcom("deliver")["read"] == 0
        assert server.received == []

    def test_a_file_that_breaks_off(self, deliver, server, path):
        with path.open("a") as file:
            file.write('{"id": 11, "na')
        run = deliver(str(path))
        report = run.xcom("deliver")
        assert report["delivered"] == 10
        assert report["read"] == report["delivered"] + report["invalid"]
        assert run.state("deliver") == "failed"

    def test_a_file_that_is_not_there(self, deliver, server, tmp_path, capfd):
        run = deliver(str(tmp_path / "nowhere.ndjson"))
        assert run.state("deliver") == "failed"
        assert "nowhere.ndjson" in "".join(capfd.readouterr())

    def test_xcom_that_looks_like_a_template_is_data(self, run_dag, server):
        text = "{{ conn.api.host }} {% raw %} {{ 1 / 0 }}"
        with DAG("templates_in_data", schedule=None) as dag:

            @task
            def extract():
                return [{"id": 1, "name": text}, {"id": 2, "name": {"deep": [text]}}]

            HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=extract())
        run = run_dag(dag)
        assert run.state("deliver") == "success"
        assert sent(server) == [{"id": 1, "name": text}, {"id": 2, "name": {"deep": [text]}}]

    def test_mapped(self, run_dag, server, osmos_home):
        text = "{{ 1 / 0 }}"
        with DAG("mapped", schedule=None) as dag:

            @task
            def extract():
                return [[{"id": 1, "name": text}], [{"id": 2, "name": text}, {"id": 3, "name": text}]]

            HttpDestinationOperator.partial(
                task_id="deliver", http_conn_id="api", destination_schema=ITEM, endpoint="/{{ dag.dag_id }}"
            ).expand(records=extract())
        run = run_dag(dag)
        assert [run.xcom("deliver", index)["delivered"] for index in (0, 1)] == [1, 2]
        assert sorted(record["id"] for record in sent(server)) == [1, 2, 3]
        assert {record["name"] for record in sent(server)} == {text}
        assert {request.target for request in server.received} == {"/mapped"}
        reports = sorted(path.parent.name for path in osmos_home.rglob("report.json"))
        assert reports == ["0", "1"]
        assert run.xcom("deliver", 0)["delivery_id"] != run.xcom("deliver", 1)["delivery_id"]

    @pytest.mark.usefixtures("server")
    def test_mapped_tasks_divide_a_rate(self, run_dag, capfd):
        with DAG("mapped_rate", schedule=None) as dag:
            HttpDestinationOperator.partial(
                task_id="deliver", http_conn_id="api", requests_per_second=300, max_active_tis_per_dagrun=3
            ).expand(records=[[{"id": number}] for number in range(4)])
        run = run_dag(dag)
        assert [run.xcom("deliver", index)["delivered"] for index in range(4)] == [1] * 4
        said = "".join(capfd.readouterr())
        assert said.count("300 requests a second, divided by 3 mapped tasks: 100.") == 4

    def test_expand_kwargs(self, run_dag, server, path):
        with DAG("mapped_kwargs", schedule=None) as dag:
            HttpDestinationOperator.partial(task_id="deliver", http_conn_id="api").expand_kwargs(
                [{"records": str(path), "endpoint": "/a"}, {"records": str(path), "endpoint": "/b", "batch_size": "5"}]
            )
        run = run_dag(dag)
        assert [run.xcom("deliver", index)["requests"] for index in (0, 1)] == [1, 2]
        # In which order mapped tasks run is Airflow's affair.
        assert sorted(request.target for request in server.received) == ["/a", "/b", "/b"]

    def test_the_results_of_mapped_tasks(self, run_dag, server):
        with DAG("reduce", schedule=None) as dag:

            @task
            def extract(number):
                return [{"id": number}]

            HttpDestinationOperator(task_id="deliver", http_conn_id="api", records=extract.expand(number=[1, 2, 3]))
        assert run_dag(dag).xcom("deliver")["delivered"] == 3
        assert sorted(record["id"] for record in sent(server)) == [1, 2, 3]


class TestOptions:
    def test_every_parameter_is_a_template_field(self):
        from inspect import signature

        parameters = set(signature(HttpDestinationOperator.__init__.__wrapped__).parameters) - {"self", "kwargs"}
        assert set(HttpDestinationOperator.template_fields) == parameters - {"auth_type", "deferrable"}
        assert set(DeliveryOptions.names()) <= parameters

    def test_the_task_s_word_beats_the_connection_s(self, deliver, server, set_connection):
        set_connection(
            "api",
            host=server.url,
            extra={
                "method": "PUT",
                "batch_size": 4,
                "envelope": "data",
                "destination_schema": ITEM,
                "headers": {"X-A": "1"},
            },
        )
        run = deliver([*ITEMS, {"id": "bad"}], max_failures=1)
        assert run.xcom("deliver")["requests"] == 3
        assert {request.method for request in server.received} == {"PUT"}
        assert json.loads(server.received[0].body) == {"data": ITEMS[:4]}
        server.received.clear()
        run = deliver([{"id": "good"}], batch_size="{{ 2 + 3 }}", method="PATCH", envelope="rows", headers={"x-a": "2"},
                      destination_schema={"fields": [{"name": "id", "type": "string"}]})  # fmt: skip
        assert run.state("deliver") == "success"
        assert server.received[0].method == "PATCH"
        assert server.received[0].headers["x-a"] == b"2"
        assert json.loads(server.received[0].body) == {"rows": [{"id": "good"}]}

    def test_a_schema_in_a_file(self, deliver, server, tmp_path):
        (tmp_path / "schema.json").write_text(json.dumps(ITEM))
        assert deliver([{"id": "x"}], destination_schema=str(tmp_path / "schema.json")).xcom("deliver")["invalid"] == 1

    def test_a_mapping(self, deliver, server):
        deliver([{"Number": "1"}], destination_schema=ITEM, mapping={"id": "Number"})
        assert sent(server) == [{"id": 1, "name": None}]

    def test_an_endpoint_made_of_each_record(self, deliver, server):
        deliver(
            [{"id": 1, "name": "a/b?c"}],
            destination_schema=ITEM, write_mode="record", endpoint="/items/{id}/{name}",
        )  # fmt: skip
        assert server.received[0].target == "/items/1/a%2Fb%3Fc"
        assert json.loads(server.received[0].body) == {"id": 1, "name": "a/b?c"}

    @pytest.mark.parametrize(
        ("parameters", "says"),
        [
            ({"batch_size": 0}, "batch_size"),
            ({"batch_size": "many"}, "batch_size"),
            ({"write_mode": "stream"}, "write_mode"),
            ({"endpoint": "https://evil.example.org/"}, "endpoint"),
            ({"endpoint": "/{id}"}, "write_mode"),
            ({"destination_schema": "/nowhere/schema.json"}, "/nowhere/schema.json"),
            ({"destination_schema": {"fields": [{"name": "id", "type": "integr"}]}}, "integr"),
            ({"mapping": ["id"]}, "mapping"),
            ({"headers": "X-A: hush-hush"}, "headers"),
            ({"max_failures": "some"}, "max_failures"),
        ],
    )
    def test_what_cannot_be_used_fails_at_once_and_is_named(self, deliver, server, capfd, parameters, says):
        run = deliver(**{"retries": 3, "retry_delay": 0, "destination_schema": ITEM, **parameters})
        assert run.state("deliver") == "failed"
        said = "".join(capfd.readouterr())
        assert says in said
        assert "hush-hush" not in said or "headers" not in parameters
        assert server.received == []

    def test_an_auth_class(self, deliver, server):
        from requests.auth import HTTPDigestAuth

        run = deliver(auth_type=HTTPDigestAuth)
        assert run.state("deliver") == "failed"  # a login is needed, which the connection lacks
        assert server.received == []


class TestRetries:
    def test_what_may_pass_is_left_to_airflow(self, deliver, set_connection):
        from airflow_provider_osmosdest.testing.servers import free_port

        set_connection("api", host=f"http://127.0.0.1:{free_port()}")
        run = deliver(max_retries=0, retries=1, retry_delay=0)
        assert run.state("deliver") == "failed"
        assert run.tries == {"deliver": 2}
        assert run.xcom("deliver")["unsent"] == 10


def test_a_run_id_is_no_way_out_of_the_folder(osmos_home):
    from airflow_provider_osmosdest.hooks.delivery import delivery_folder

    folder = delivery_folder(("dag", "manual__2026-01-01T00:00:00+00:00", "group.task", "-1"))
    assert str(folder) == str(osmos_home / "deliveries/dag/manual__2026-01-01T00:00:00+00:00/group.task/-1")
    for run_id in ("..", "../../etc", ".", "a/b", "a\\b"):
        parts = Path(str(delivery_folder(("dag", run_id, "task", "-1")))).relative_to(osmos_home).parts
        assert len(parts) == 5
        assert not {".", ".."} & set(parts)


class TestOnlyWhatIsNew:
    def test_runs_over_a_list_that_grows_and_is_edited(self, deliver, server):
        def run(records):
            before = len(sent(server))
            report = deliver(records=records, deduplicate="{{ 'records' }}").xcom("deliver")
            return sent(server)[before:], (report["delivered"], report["duplicate"])

        assert run(ITEMS[:3]) == (ITEMS[:3], (3, 0))
        edited = {**ITEMS[1], "name": "edited"}
        assert run([ITEMS[0], edited, *ITEMS[2:5]]) == ([edited, *ITEMS[3:5]], (3, 2))
        assert run(ITEMS[:5]) == ([], (0, 5))

    def test_what_the_connection_says(self, set_connection, deliver, server):
        set_connection("api", host=server.url, extra={"deduplicate": "in_file", "record_key": "id"})
        deliver(records=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])
        assert sent(server) == [{"id": 1, "name": "a"}]

    def test_each_endpoint_has_seen_its_own(self, deliver, server):
        for endpoint in ("notify", "archive", "/notify/"):
            deliver(endpoint=endpoint, deduplicate="records")
        assert len(sent(server)) == 2 * len(ITEMS)


class TestWayOfARecord:
    """How many calls of ours there are from the operator to the transport, both counted."""

    PACKAGE = Path(airflow_provider_osmosdest.__file__).parent

    @pytest.fixture
    def ways(self, monkeypatch):
        """The names of our functions from ``execute`` to libcurl's transport, each time it may send something."""
        found: list[list[str]] = []
        exchange = CurlTransport.exchange

        def spy(transport, starting, wait):
            way, frame = ["exchange"], sys._getframe(1)
            while frame is not None:
                code = frame.f_code
                if self.PACKAGE in Path(code.co_filename).parents:
                    way.append(code.co_name)
                frame = frame.f_back
            if starting or transport._busy:
                found.append(way[::-1])
            return exchange(transport, starting, wait)

        monkeypatch.setattr(CurlTransport, "exchange", spy)
        return found

    @pytest.mark.parametrize(
        "options",
        [{"batch_size": 3, "compression": "gzip"}, {"write_mode": "record"}],
        ids=["batch", "record"],
    )
    def test_it_is_short(self, deliver, server, set_connection, ways, options):
        # A signature takes one call more.
        set_connection("api", host=server.url, password=SECRET, extra={"auth": "signature"})
        assert deliver(**options).state("deliver") == "success"
        assert {way[0] for way in ways} == {"execute"}
        assert max(map(len, ways)) <= 10, ways

    def test_it_is_no_longer_where_a_batch_is_split(self, deliver, set_connection, ways):
        def refuse_five(talk):
            talk.reply(422 if 5 in [record["id"] for record in json.loads(talk.read_body())] else 200)

        with ScriptedServer(refuse_five) as server:
            set_connection("api", host=server.url, password=SECRET, extra={"auth": "signature"})
            report = deliver(max_failures=1).xcom("deliver")
        assert (report["delivered"], report["rejected"]) == (9, 1)
        assert max(map(len, ways)) <= 10, ways
