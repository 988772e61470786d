"""The sensor in Airflow's own task runner, and its wait in a triggerer of one."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.sensors.mailbox import MailboxSensor
from airflow_provider_osmosdest.triggers.mailbox import MailboxTrigger
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW


@pytest.fixture
def hook(set_connection, tmp_path, osmos_home):
    set_connection("orders", conn_type="osmos_mailbox", extra={"path": str(tmp_path / "mailbox")})
    return MailboxHook("orders")


@pytest.fixture
def run_sensor(run_dag, request):
    def run(**parameters):
        with DAG(f"dag_{abs(hash(request.node.nodeid))}", schedule=None) as dag:
            MailboxSensor(task_id="wait", mailbox_conn_id="orders", consumer="billing", **parameters)
        return run_dag(dag)

    return run


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_is_there_already_ends_the_wait(hook, run_sensor, deferrable):
    hook.publish([{"id": 1}, {"id": 2}])
    run = run_sensor(deferrable=deferrable, min_records="{{ 1 + 1 }}")
    assert run.state("wait") == "success"
    assert run.xcom("wait") == {"mailbox": "orders", "consumer": "billing", "records": 2}
    assert hook.mailbox().consumers.committed("billing") is None


@pytest.mark.parametrize("parameters", [{"poll_interval": 0.05}, {"deferrable": False, "poke_interval": 0.05}])
def test_it_waits_for_a_publish(hook, run_sensor, parameters, monkeypatch):
    hook.publish([{"id": 1}])
    looked = threading.Event()
    records_waiting = "airflow_provider_osmosdest.sensors.mailbox.records_waiting"

    def look_and_tell(*args):
        from airflow_provider_osmosdest.triggers.polling import records_waiting

        found = records_waiting(*args)
        looked.set()
        return found

    monkeypatch.setattr(records_waiting, look_and_tell)

    def publish():
        assert looked.wait(30)
        hook.publish([{"id": 2}, {"id": 3}])

    publisher = threading.Thread(target=publish)
    publisher.start()
    run = run_sensor(min_records=3, timeout=30, **parameters)
    publisher.join()
    assert run.state("wait") == "success"
    assert run.xcom("wait")["records"] == 3


def test_what_it_leaves_to_the_triggerer(hook):
    sensor = MailboxSensor(
        task_id="wait", mailbox_conn_id="orders", consumer="billing", min_records=5, poll_interval=7, timeout=60
    )
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    trigger = deferred.value.trigger
    assert isinstance(trigger, MailboxTrigger)
    assert trigger.serialize()[1] == {
        "mailbox_conn_id": "orders",
        "consumer": "billing",
        "min_records": 5,
        "poll_interval": 7,
    }
    assert (deferred.value.method_name, deferred.value.timeout) == ("take_event", timedelta(seconds=60))


def test_only_what_is_not_committed_counts(hook, run_sensor):
    hook.publish([{"id": 1}, {"id": 2}])
    hook.commit("billing", hook.read(consumer="billing").next)
    run = run_sensor(deferrable=False, timeout=0, poke_interval=0, soft_fail=True)
    assert run.state("wait") == "skipped"
    hook.mailbox().consumers.seek("billing", Position(1, 1))
    assert run_sensor(deferrable=False).xcom("wait")["records"] == 1


@pytest.mark.parametrize(("least", "deferrable"), [(0, True), ("x", False), (2.5, True), (True, True)])
@pytest.mark.usefixtures("hook")
def test_a_wrong_number_fails_for_good(run_sensor, least, deferrable, capfd, caplog):
    run = run_sensor(min_records=least, deferrable=deferrable, retries=2, retry_delay=0)
    assert (run.state("wait"), run.tries["wait"]) == ("failed", 1)
    assert "min_records: found" in "".join(capfd.readouterr()) + caplog.text


def test_a_connection_of_another_type_fails_for_good(set_connection, run_sensor, osmos_home, capfd, caplog):
    set_connection("orders", host="http://api.test")
    run = run_sensor(retries=2, retry_delay=0)
    assert (run.state("wait"), run.tries["wait"]) == ("failed", 1)
    assert "osmos_mailbox" in "".join(capfd.readouterr()) + caplog.text
