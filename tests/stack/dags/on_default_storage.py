"""What is tried on workers that have the default settings: what they must refuse, and rates that they cannot share."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.mailbox import MailboxPublishOperator

RECORDS = "{{ dag_run.conf['records'] }}"

with DAG("refused", schedule=None):
    MailboxPublishOperator(task_id="publish", mailbox_conn_id="orders", records=RECORDS)
    HttpDestinationOperator(
        task_id="deduplicate",
        http_conn_id="counting",
        endpoint="{{ dag_run.conf['book'] }}",
        records=RECORDS,
        deduplicate="records",
    )

with DAG("side_by_side", schedule=None):
    HttpDestinationOperator.partial(
        task_id="deliver",
        http_conn_id="counting",
        endpoint="{{ dag_run.conf['book'] }}",
        write_mode="record",
        requests_per_second=100,
    ).expand(records=[RECORDS] * 4)
