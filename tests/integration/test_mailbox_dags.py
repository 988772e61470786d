"""The mailbox's example DAGs, run as Airflow runs them, and publishing in processes that are killed."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.hooks.publishing import make_publishing, publishing_transport
from tests.airflow_fixtures import EXAMPLES, WARNINGS_OF_AIRFLOW, load_example

pytestmark = WARNINGS_OF_AIRFLOW

FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z
"""


@pytest.fixture
def connect(set_connection, tmp_path):
    """Return a function that makes the mailbox of a connection."""

    def make(conn_id):
        set_connection(conn_id, conn_type="osmos_mailbox", extra={"path": str(tmp_path / conn_id)})
        return MailboxHook(conn_id)

    return make


def example_dag(dag_id):
    """Load an example as Airflow loads it."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(EXAMPLES / f"{dag_id}.py", bundle_path=EXAMPLES, bundle_name="examples")
    assert bag.import_errors == {}
    return bag.dags[dag_id]


def test_mailbox_publish(run_dag, connect, tmp_path):
    hook = connect("flights_mailbox")
    (tmp_path / "flights.csv").write_text(FLIGHTS)
    run = run_dag(example_dag("mailbox_publish"), {"csv": str(tmp_path / "flights.csv")})
    assert run.state("publish") == "success"
    assert run.xcom("publish")["delivered"] == 2
    records = [json.loads(line) for line in hook.read().lines.splitlines()]
    assert [(record["carrier"], record["flight"], record["dep_delay"]) for record in records] == [
        ("UA", 1545, 2),
        ("EV", 4308, None),
    ]
    assert "tailnum" not in records[0]


def test_inbox_to_pipeline(run_dag, connect):
    hook = connect("orders_inbox")
    consumer = load_example("inbox_to_pipeline").CONSUMER
    dag = example_dag("inbox_to_pipeline")
    hook.publish([{"item": "tea", "quantity": 2}, {"item": "jam", "quantity": 1}])
    hook.publish([{"item": "tea", "quantity": 3}])
    run = run_dag(dag)
    assert run.xcom("total") == {"tea": 5, "jam": 1}
    assert not hook.has_new(consumer=consumer)
    # It rang once more than there was something to take.
    run = run_dag(dag)
    assert (run.state("read"), run.state("total")) == ("skipped", "skipped")
    hook.publish([{"item": "salt", "quantity": 1}])
    assert run_dag(dag).xcom("total") == {"salt": 1}


COUNT = 2_000
BATCH = 20
INSTANCE = ("dag", "run", "task", "-1")


def _publish(folder: str) -> None:
    """Be the process of one attempt; each batch takes about as long as a slow store takes."""
    mailbox = Mailbox(Store(Path(folder) / "mailbox"), MailboxSettings("orders"))
    delivery = make_publishing(INSTANCE, "orders", mailbox, options={"batch_size": BATCH})
    result = deliver(
        delivery,
        open_source(Path(folder) / "records.ndjson"),
        publishing_transport(mailbox, "test"),
        lambda _: None,
        RunContext(run_key="retries"),
    )
    raise SystemExit(0 if result.error is None else 1)


@pytest.mark.parametrize("seed", range(3))
def test_killed_publishers_lose_and_double_nothing(osmos_home, tmp_path, seed):
    draw = random.Random(seed)
    lines = "".join(f'{{"id":{number}}}\n' for number in range(COUNT))
    (tmp_path / "records.ndjson").write_text(lines)
    log = tmp_path / "mailbox" / "log"
    processes = multiprocessing.get_context("fork")
    kills = 0
    for _ in range(200):
        child = processes.Process(target=_publish, args=(str(tmp_path),))
        child.start()
        before = len(list(log.glob("*.json"))) if log.exists() else 0
        if kills < 12:
            wanted = before + draw.randint(1, 6)
            while child.is_alive() and not (log / f"{wanted:020d}.json").exists():
                time.sleep(0.0005)
            # Somewhere between the entry in the log and the one in the ledger, or in the batch after it.
            time.sleep(draw.uniform(0, 0.004))
            if child.is_alive():
                child.kill()
                kills += 1
        child.join(60)
        if child.exitcode == 0:
            break
    assert child.exitcode == 0
    assert kills >= 10
    mailbox = Mailbox(Store(tmp_path / "mailbox"), MailboxSettings("orders"))
    assert mailbox.read(None, limit=COUNT + 1, max_bytes=2**30).lines == lines.encode()
    entries = [mailbox.log.entry(seq) for seq in range(1, mailbox.log.tail().seq + 1)]
    assert [entry.records for entry in entries] == [BATCH] * (COUNT // BATCH)
    assert all(later.first == earlier.first + BATCH for earlier, later in pairwise(entries))
    assert not mailbox.has_new(Position(entries[-1].seq + 1))
