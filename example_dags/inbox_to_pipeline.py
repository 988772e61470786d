"""
Start a pipeline when a partner sends orders.

The partner POSTs orders such as ``{"item": "tea", "quantity": 2}`` to the mailbox behind the Airflow Connection
``orders_inbox`` of type Osmos Mailbox, which ``airflow osmosdest mailbox create`` makes. An asset watches it; its
event only rings, and the DAG then takes all that is new for its own consumer, however often it rang.
"""

from __future__ import annotations

import json
from collections import Counter

from airflow.sdk import DAG, Asset, AssetWatcher, ObjectStoragePath, task

from airflow_provider_osmosdest.operators.mailbox import MailboxReadOperator
from airflow_provider_osmosdest.triggers.mailbox import MailboxEventTrigger

CONSUMER = "order-totals"

orders = Asset(
    "orders_inbox",
    watchers=[AssetWatcher(name="orders_inbox", trigger=MailboxEventTrigger("orders_inbox", consumer=CONSUMER))],
)

with DAG(
    "inbox_to_pipeline",
    schedule=[orders],
    max_active_runs=1,  # one reader at a time for this consumer
    tags=["osmosdest"],
    doc_md=__doc__,
):
    # A file of NDJSON, committed once it is written; nothing new skips the rest.
    read = MailboxReadOperator(
        task_id="read",
        mailbox_conn_id="orders_inbox",
        consumer=CONSUMER,
        skip_when_empty=True,
    )

    @task
    def total(path: str) -> dict[str, float]:
        """Return what was ordered of each item."""
        totals: Counter[str] = Counter()
        with ObjectStoragePath(path).open("rb") as lines:
            for line in lines:
                order = json.loads(line)
                totals[order["item"]] += order["quantity"]
        return dict(totals)

    total(read.output["path"])
