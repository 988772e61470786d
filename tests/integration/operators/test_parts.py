"""One dataset delivered by several tasks, in Airflow's own task runner, against a real server."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.parts import deliver_in_parts
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW, Run

pytestmark = WARNINGS_OF_AIRFLOW

ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}]}


@pytest.fixture
def serve(set_connection):
    """Return a function that starts a server with a script, reached by the connection ``api``."""
    servers = []

    def start(script) -> ScriptedServer:
        server = ScriptedServer(script)
        servers.append(server.__enter__())
        set_connection("api", host=server.url)
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def dag_of(request):
    """Return a function that makes a DAG of one group."""

    def make(records: Any, **options: Any) -> DAG:
        with DAG(f"dag_{abs(hash(request.node.nodeid))}", schedule=None) as dag:
            deliver_in_parts("send", records=records, http_conn_id="api", **{"parts": 4, **options})
        return dag

    return make


@pytest.fixture
def deliver(run_dag, dag_of):
    """Deliver a file in parts, and return how that ended."""
    return lambda records, **options: run_dag(dag_of(records, **options))


def clear(dag: DAG, run: Run, *, only_failed: bool = False) -> Run:
    """Clear the tasks of a run as its page does, and run them again."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from sqlalchemy import select

    with create_session() as session:
        ended = session.scalars(select(DagRun).where(DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id)).one()
        ended.dag = DBDagBag().get_latest_version_of_dag(run.dag_id, session=session)
        chosen = [ti for ti in ended.get_task_instances(session=session) if ti.state != "success" or not only_failed]
        clear_task_instances(chosen, session, dag_run_state=DagRunState.RUNNING)
        session.commit()
        while ended.state == DagRunState.RUNNING:
            due, _ = ended.update_state(session=session)
            for ti in due:
                ti.state = TaskInstanceState.SCHEDULED
                ti.try_number += 1
            session.commit()
            for ti in due:
                _run_task(ti=ti, task=dag.task_dict[ti.task_id], run_triggerer=True)
            session.expire_all()
        instances = ended.get_task_instances(session=session)
        states = {(ti.task_id, ti.map_index): str(ti.state) for ti in instances}
        return Run(run.dag_id, run.run_id, states, {ti.task_id: ti.try_number for ti in instances})


def items(path: Path, count: int, line=lambda number: b'{"id": %d}\n' % number) -> str:
    path.write_bytes(b"".join(map(line, range(count))))
    return str(path)


def ids(server: ScriptedServer) -> list[int]:
    return [record["id"] for request in server.received for record in json.loads(request.body)]


def failures(report: dict[str, Any]) -> list[tuple[int, str]]:
    lines = Path(report["failures_path"]).read_text("utf-8").splitlines()
    return [(failure["index"], failure["outcome"]) for failure in map(json.loads, lines)]


def test_an_api_that_refuses_everything_is_asked_by_the_first_part_alone(deliver, serve, tmp_path):
    server = serve(answer(422, b'{"error": "no"}'))
    run = deliver(items(tmp_path / "a.ndjson", 20_000), parts=8)
    assert len(server.received) <= 150
    assert run.state("send.probe") == "failed"
    assert run.state("send.merge") == "failed"
    report = run.xcom("send.merge")
    assert (report["read"], report["delivered"], report["parts"]) == (20_000, 0, 9)
    assert report["unsent"] + report["rejected"] == 20_000
    said = json.loads(Path(report["report_path"]).read_text())["error"]
    assert "9 of 9 parts did not come to their end. Part 0: " in said
    assert "part 1, 2, 3, 4, 5, 6, 7, 8; see their logs" in said


@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_a_wrong_token_is_tried_twice_at_most(deliver, serve, tmp_path, write_mode):
    server = serve(answer(401))
    run = deliver(items(tmp_path / "a.ndjson", 20_000), parts=8, write_mode=write_mode)
    assert len(server.received) <= 2
    assert run.state("send.merge") == "failed"
    assert run.xcom("send.merge")["unsent"] == 20_000


def refusing(talk) -> None:
    """Refuse requests with an id that 997 divides, and take the others."""
    body = json.loads(talk.read_body())
    talk.reply(422 if any(record["id"] % 997 == 0 for record in body) else 200, b"{}")


def line(number: int) -> bytes:
    return b'{"id": "none"}\n' if number % 1_500 == 7 else b'{"id": %d}\n' % number


@pytest.mark.parametrize("max_failures", [10, 11])
def test_the_report_and_the_failures_are_those_of_one_delivery(deliver, serve, run_dag, tmp_path, max_failures):
    serve(refusing)
    path = items(tmp_path / "a.ndjson", 6_000, line)
    run = deliver(path, destination_schema=ITEM, max_failures=max_failures)
    with DAG("in_one", schedule=None) as dag:
        HttpDestinationOperator(task_id="one", http_conn_id="api", records=path, destination_schema=ITEM)
    one = run_dag(dag).xcom("one")
    report = run.xcom("send.merge")
    assert {run.state("send.deliver", number) for number in range(4)} == {"success"}
    assert run.state("send.merge") == ("failed" if max_failures < 11 else "success")
    assert set(report) == {*one, "parts"}
    counts = ("read", "delivered", "duplicate", "invalid", "rejected", "unknown", "unsent")
    assert {name: report[name] for name in counts} == {name: one[name] for name in counts}
    assert failures(report) == sorted(failures(one))
    assert (report["invalid"], report["rejected"]) == (4, 7)


@pytest.mark.parametrize("only_failed", [False, True])
def test_what_one_part_finds_stops_the_others_and_clearing_goes_on(dag_of, run_dag, serve, osmos_home, only_failed):
    down = True

    def script(talk) -> None:
        body = json.loads(talk.read_body())
        talk.reply(401 if down and body[0]["id"] >= 1_500 else 200, b"{}")

    server = serve(script)
    dag = dag_of(items(osmos_home.parent / "a.ndjson", 8_000), batch_size=100)
    run = run_dag(dag)
    assert [run.state("send.deliver", number) for number in range(4)] == ["failed"] * 4
    first = run.xcom("send.merge")
    refused = [record["id"] for request in server.received for record in json.loads(request.body)][10 * 100 :]
    refused = [number for number in refused if number >= 1_500]
    # One request: no part that began after it asked again.
    assert 0 < len(refused) <= 100
    assert first["delivered"] + first["unsent"] == 8_000
    reports = [json.loads(path.read_text()) for path in osmos_home.rglob("send.deliver/*/report.json")]
    assert sum("and with it all others" in report["error"] for report in reports) >= 2
    down = False
    again = clear(dag, run, only_failed=only_failed)
    report = again.xcom("send.merge")
    assert again.state("send.merge") == "success"
    assert (report["delivered"], report["delivery_id"]) == (8_000, first["delivery_id"])
    times = Counter(ids(server))
    assert sorted(times) == list(range(8_000))
    # Only what was refused came twice, under the key that it had.
    assert {number for number, count in times.items() if count > 1} == set(refused)
    keys = [request.headers["idempotency-key"] for request in server.received]
    assert len(set(keys)) == len(keys) - 1
    assert all(key.startswith(first["delivery_id"].encode()) for key in keys)


def test_a_complete_delivery_that_is_cleared_begins_anew(dag_of, run_dag, serve, tmp_path):
    server = serve(answer(200))
    dag = dag_of(items(tmp_path / "a.ndjson", 2_000))
    run = run_dag(dag)
    first = run.xcom("send.merge")
    second = clear(dag, run).xcom("send.merge")
    assert first["delivery_id"] != second["delivery_id"]
    assert Counter(ids(server)) == Counter([*range(2_000)] * 2)


def test_what_was_rejected_is_taken_up_by_clearing_the_group(dag_of, run_dag, serve, tmp_path):
    mended = False

    def script(talk) -> None:
        body = json.loads(talk.read_body())
        talk.reply(422 if not mended and any(each["id"] % 997 == 0 for each in body) else 200, b"{}")

    server = serve(script)
    dag = dag_of(items(tmp_path / "a.ndjson", 6_000), retry_rejected=True)
    run = run_dag(dag)
    assert run.xcom("send.merge")["rejected"] == 7
    mended = True
    before = len(server.received)
    run = clear(dag, run)
    assert run.state("send.merge") == "success"
    assert run.xcom("send.merge")["delivered"] == 6_000
    assert sorted(record["id"] for each in server.received[before:] for record in json.loads(each.body)) == [
        number for number in range(6_000) if number % 997 == 0
    ]


@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_a_key_in_two_parts_goes_out_once(deliver, serve, tmp_path, write_mode):
    server = serve(answer(200))
    count = 3_000 if write_mode == "batch" else 1_600
    path = items(tmp_path / "a.ndjson", count, lambda number: b'{"id": %d, "n": %d}\n' % (number % 700, number % 3))
    options = {"deduplicate": "records", "record_key": "id", "write_mode": write_mode, "parts": 3}
    run = deliver(path, **options)
    assert run.state("send.merge") == "success"
    report = run.xcom("send.merge")
    assert (report["read"], report["delivered"], report["duplicate"]) == (count, 700, count - 700)
    bodies = [json.loads(request.body) for request in server.received]
    sent = [record["id"] for body in bodies for record in (body if isinstance(body, list) else [body])]
    assert sorted(sent) == list(range(700))
    more = items(tmp_path / "b.ndjson", count, lambda number: b'{"id": %d}\n' % (number % 1_400))
    report = deliver(more, **options).xcom("send.merge")
    assert (report["read"], report["delivered"]) == (count, 700)


def test_a_file_that_cannot_be_cut_is_one_part_behind_the_first(deliver, serve, tmp_path):
    server = serve(answer(200))
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"id": %d}\n' % number for number in range(3_000))))
    run = deliver(str(path))
    assert run.xcom("send.merge")["parts"] == 2
    assert ids(server) == list(range(3_000))


@pytest.mark.parametrize("count", [0, 3])
def test_a_small_file_is_all_in_the_first_part(deliver, serve, tmp_path, count):
    server = serve(answer(200))
    run = deliver(items(tmp_path / "a.ndjson", count))
    assert run.state("send.deliver") == "skipped"
    assert run.state("send.merge") == "success"
    assert run.xcom("send.merge")["delivered"] == count == len(ids(server))


@pytest.mark.parametrize(
    ("records", "options"),
    [([{"id": 1}], {}), ("a.ndjson", {"deduplicate": "files"}), ("a.ndjson", {"parts": "many"})],
)
def test_what_cannot_be_cut_is_refused_before_anything_is_sent(deliver, serve, tmp_path, records, options):
    server = serve(answer(200))
    items(tmp_path / "a.ndjson", 3)
    run = deliver(records if isinstance(records, list) else str(tmp_path / records), **options)
    assert run.state("send.plan") == run.state("send.merge") == "failed"
    assert run.state("send.probe") == "upstream_failed"
    assert not server.received


def test_a_mapped_operator_that_would_not_see_what_the_others_send_is_refused(run_dag, serve, tmp_path):
    server = serve(answer(200))
    paths = [items(tmp_path / f"{name}.ndjson", 3) for name in "ab"]

    def run(**options):
        with DAG(f"mapped_{len(options)}", schedule=None) as dag:
            HttpDestinationOperator.partial(
                task_id="send", http_conn_id="api", deduplicate="records", **options
            ).expand(records=paths)
        return run_dag(dag)

    assert run().state("send", 0) == "failed"
    assert not server.received
    assert run(max_active_tis_per_dagrun=1).state("send", 1) == "success"
    assert ids(server) == [0, 1, 2]


def test_storage_that_one_machine_alone_has_is_refused(deliver, serve, tmp_path, monkeypatch):
    server = serve(answer(200))
    monkeypatch.setenv("AIRFLOW_IS_EXECUTOR_CONTAINER", "True")
    run = deliver(items(tmp_path / "a.ndjson", 3))
    assert run.state("send.plan") == "failed"
    assert not server.received
