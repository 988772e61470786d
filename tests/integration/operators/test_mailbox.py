"""The mailbox's operators in Airflow's own task runner."""

from __future__ import annotations

import json
import logging
from dataclasses import fields
from pathlib import Path

import pytest
from airflow.sdk import DAG, task

from airflow_provider_osmosdest.core.delivery.report import DeliveryReport
from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.operators.mailbox import MailboxPublishOperator, MailboxReadOperator
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "name", "type": "string"}]}
ITEMS = [{"id": number, "name": f"item {number}"} for number in range(10)]


@pytest.fixture
def mailbox(set_connection, tmp_path):
    """A mailbox, with the connection ``orders`` that reaches it."""
    extra = {"path": str(tmp_path / "mailbox"), "destination_schema": ITEM}
    set_connection("orders", conn_type="osmos_mailbox", extra=extra)
    return MailboxHook("orders").mailbox()


@pytest.fixture
def run_task(run_dag, request):
    """Run a DAG of one task, and return how it ended."""

    def run(operator, conf=None, **parameters):
        with DAG(f"dag_{abs(hash(request.node.nodeid))}", schedule=None, params={"size": "3"}) as dag:
            operator(task_id="task", mailbox_conn_id="orders", **parameters)
        return run_dag(dag, conf)

    return run


def records_in(mailbox):
    lines = mailbox.read(None, limit=1_000, max_bytes=2**20).lines
    return [json.loads(line) for line in lines.splitlines()]


class TestPublish:
    def test_only_what_is_new(self, run_task, mailbox):
        run_task(MailboxPublishOperator, records=ITEMS[:2], deduplicate="records", record_key="id")
        edited = {"id": 1, "name": "edited"}
        run = run_task(MailboxPublishOperator, records=[edited, *ITEMS[2:4]], deduplicate="records", record_key="id")
        assert run.xcom("task")["duplicate"] == 1
        assert records_in(mailbox) == ITEMS[:4]

    def test_report_and_folder_are_those_of_a_delivery(self, run_task, mailbox, osmos_home):
        run = run_task(MailboxPublishOperator, records=[*ITEMS, {"id": "x"}], batch_size="{{ params.size }}")
        assert run.state("task") == "failed"
        report = run.xcom("task")
        assert set(report) == {field.name for field in fields(DeliveryReport)} - {"first_failures", "about"}
        assert (report["read"], report["delivered"], report["invalid"], report["requests"]) == (11, 10, 1, 4)
        assert records_in(mailbox) == ITEMS
        assert mailbox.log.entry(1).producer == f"{run.dag_id}/{run.run_id}/task/-1"
        folder = osmos_home / "deliveries" / run.dag_id / run.run_id / "task" / "-1"
        assert report["report_path"] == str(folder / "report.json")
        (failure,) = run.failures("task")
        assert (failure["index"], failure["outcome"]) == (10, "invalid")

    def test_schema_mapping_and_tolerance_of_the_task(self, run_task, mailbox):
        schema = {"fields": [{"name": "who", "type": "string", "nullable": False}]}
        run = run_task(
            MailboxPublishOperator,
            records=[{"Name": "ada"}, {"Name": None}],
            destination_schema=schema,
            mapping={"who": "Name"},
            max_failures="50%",
        )
        assert run.state("task") == "success"
        assert records_in(mailbox) == [{"who": "ada"}]

    def test_a_file(self, run_task, mailbox, tmp_path):
        (tmp_path / "items.txt").write_text("id,name\n1,a\n2,b\n")
        run = run_task(MailboxPublishOperator, records=str(tmp_path / "items.txt"), records_format="csv")
        assert run.state("task") == "success"
        assert records_in(mailbox) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]

    def test_a_wrong_setting_is_not_tried_again(self, run_task, mailbox, caplog):
        caplog.set_level(logging.INFO)
        run = run_task(MailboxPublishOperator, records=ITEMS, batch_size="many", retries=2, retry_delay=0)
        assert (run.state("task"), run.tries["task"]) == ("failed", 1)

    def test_it_speaks_of_the_mailbox(self, run_task, mailbox, capfd, caplog):
        caplog.set_level(logging.INFO)
        run_task(MailboxPublishOperator, records=ITEMS)
        said = "".join(capfd.readouterr()) + caplog.text
        assert "connection 'orders' (mailbox in" in said
        assert "10 of 10 records delivered" in said
        assert "1 batch," in said
        assert "POST" not in said


class TestRead:
    def test_lands_a_file_and_commits(self, run_task, mailbox, osmos_home):
        MailboxHook("orders").publish(ITEMS)
        run = run_task(MailboxReadOperator, consumer="billing")
        result = run.xcom("task")
        path = osmos_home / "landed" / run.dag_id / run.run_id / "task" / "-1" / "records.ndjson"
        committed = mailbox.consumers.committed("billing")
        assert result == {
            "mailbox": "orders",
            "consumer": "billing",
            "path": str(path),
            "records": 10,
            "bytes": path.stat().st_size,
            "cursor": mailbox.cursor_text(Position(1), 0),
            "next_cursor": mailbox.cursor_text(committed.position, committed.generation),
        }
        assert [json.loads(line) for line in path.read_text().splitlines()] == ITEMS
        assert committed.position == Position(2)

    def test_the_path_can_be_handed_on(self, run_dag, mailbox):
        MailboxHook("orders").publish(ITEMS)
        with DAG("handing_on", schedule=None) as dag:
            read = MailboxReadOperator(task_id="read", mailbox_conn_id="orders", consumer="billing")

            @task
            def count(path):
                return len(Path(path).read_text().splitlines())

            count(read.output["path"])
        run = run_dag(dag)
        assert run.xcom("count") == 10

    def test_records_in_xcom(self, run_task, mailbox):
        MailboxHook("orders").publish(ITEMS)
        run = run_task(MailboxReadOperator, consumer="billing", output="xcom", max_records="{{ params.size }}")
        assert run.xcom("task") == ITEMS[:3]
        run = run_task(MailboxReadOperator, consumer="billing", output="xcom")
        assert run.xcom("task") == ITEMS[3:]
        run = run_task(MailboxReadOperator, consumer="billing", output="xcom")
        assert run.xcom("task") == []

    def test_nothing_new_is_an_empty_file_or_skips(self, run_task, mailbox):
        run = run_task(MailboxReadOperator, consumer="billing")
        assert run.state("task") == "success"
        assert run.xcom("task")["records"] == 0
        assert Path(run.xcom("task")["path"]).read_bytes() == b""
        run = run_task(MailboxReadOperator, consumer="billing", skip_when_empty=True)
        assert run.state("task") == "skipped"

    def test_too_much_for_xcom_fails_for_good_and_commits_nothing(self, run_task, mailbox, capfd, caplog):
        MailboxHook("orders").publish([{"id": number, "name": "x" * 100_000} for number in range(12)])
        run = run_task(MailboxReadOperator, consumer="billing", output="xcom", retries=2, retry_delay=0)
        assert (run.state("task"), run.tries["task"]) == ("failed", 1)
        assert "Use output='file', or max_records=" in "".join(capfd.readouterr()) + caplog.text
        assert mailbox.consumers.committed("billing") is None

    @pytest.mark.parametrize("limit", [0, -1, "x", True, 2.5])
    def test_a_limit_that_is_none_is_named(self, run_task, mailbox, capfd, caplog, limit):
        run = run_task(MailboxReadOperator, consumer="billing", max_records=limit)
        assert run.state("task") == "failed"
        assert "max_records: found " in "".join(capfd.readouterr()) + caplog.text

    def test_a_name_that_no_consumer_has_is_named(self, run_task, mailbox, capfd, caplog):
        run = run_task(MailboxReadOperator, consumer="../billing", retries=2, retry_delay=0)
        assert (run.state("task"), run.tries["task"]) == ("failed", 1)
        assert "consumer: found '../billing'" in "".join(capfd.readouterr()) + caplog.text

    def test_an_output_that_is_none_fails_where_the_dag_is_parsed(self):
        with pytest.raises(ValueError, match="output: found 'table', expected 'file' or 'xcom'"):
            MailboxReadOperator(task_id="task", consumer="billing", output="table")

    def test_a_consumer_that_is_moved_meanwhile_is_warned_of(self, run_task, mailbox, capfd, caplog, monkeypatch):
        MailboxHook("orders").publish(ITEMS)
        monkeypatch.setattr("airflow_provider_osmosdest.operators.mailbox_landing.Landing.commit", lambda *_: False)
        run = run_task(MailboxReadOperator, consumer="billing")
        assert run.state("task") == "success"
        assert "Consumer 'billing' was moved while this task read" in "".join(capfd.readouterr()) + caplog.text


def test_configuration_errors_are_what_fails_for_good():
    # The operators rely on it: all that a person must mend is one of these.
    from airflow_provider_osmosdest.core import errors

    assert issubclass(errors.UnsupportedStoreError, ConfigurationError)
    assert issubclass(errors.ConnectorError, ConfigurationError)
