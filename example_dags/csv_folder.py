"""
Deliver each CSV file that is dropped in a folder, once.

A file whose content was delivered before is passed over, whatever it is called now, so files may stay where they are.
The folder is a path, or any URL that Airflow's object storage understands; the Connection ``orders_api`` (type Osmos
HTTP API) says where the records go.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

ORDER = {
    "fields": [
        {"name": "id", "type": "integer", "nullable": False, "constraints": {"minimum": 1}},
        {"name": "customer", "type": "string", "nullable": False},
        {"name": "amount", "type": "decimal", "nullable": False},
        {"name": "ordered_on", "type": "date"},
    ],
}

with DAG(
    "csv_folder",
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/data/orders", type="string", description="where the files are dropped")},
    tags=["osmosdest"],
    doc_md=__doc__,
):

    @task.short_circuit
    def any_files(params: dict[str, Any]) -> bool:
        """Go on only where there is a file: an empty folder is no error here."""
        folder = ObjectStoragePath(params["folder"])
        return folder.exists() and any(folder.glob("*.csv"))

    any_files() >> HttpDestinationOperator(
        task_id="deliver",
        http_conn_id="orders_api",
        endpoint="/orders",
        records="{{ params.folder }}/*.csv",
        destination_schema=ORDER,
        deduplicate="files",
    )
