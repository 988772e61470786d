"""
Deliver one large file by several tasks at the same time, as one delivery: one report, one list of failures.

``deliver_in_parts`` is a task group. It cuts the file into ranges, which are not copied, delivers the first 1,000
records alone to see whether the API takes them, and the rest by as many tasks as there are parts. Where tasks run on
several machines, the file (the parameter ``folder``) and ``[osmosdest] storage_path`` are in object storage. The
Airflow Connection ``flights_api`` (type Osmos HTTP API) says where the records go; ``receiver.py``, beside this file,
is an API to try it with.
"""

from __future__ import annotations

import json
import tempfile
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, get_current_context, task

from airflow_provider_osmosdest.operators.parts import deliver_in_parts

GATES = {"EWR": 1_200, "JFK": 2_000, "LGA": 800}

with DAG(
    "deliver_in_parts",
    schedule=None,
    params={
        "folder": Param(
            None, type=["null", "string"], description="where all workers can read, such as s3://bucket/gates"
        )
    },
    tags=["osmosdest"],
    doc_md=__doc__,
):

    @task
    def export() -> str:
        """Write an NDJSON file, one JSON object a line, and return its path."""
        # On workers that share no disk, name a folder in object storage when you trigger this.
        folder = get_current_context()["params"]["folder"] or tempfile.mkdtemp(prefix="gates-")
        path = ObjectStoragePath(folder) / "gates.ndjson"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for airport, gates in GATES.items():
                for number in range(1, gates + 1):
                    file.write(json.dumps({"airport": airport, "gate": number}).encode() + b"\n")
        return str(path)

    notify = deliver_in_parts(
        "notify",
        parts=4,
        records=export(),
        http_conn_id="flights_api",
        endpoint="/gates",
        destination_schema={
            "fields": [
                {"name": "airport", "type": "string", "nullable": False},
                {"name": "gate", "type": "integer", "nullable": False},
            ],
        },
        # Of all parts together.
        max_failures="1%",
    )

    @task
    def tell(report: dict[str, Any]) -> str:
        """Do something with the report of the whole."""
        return f"{report['delivered']:,} of {report['read']:,} gates delivered by {report['parts']} parts"

    tell(notify.get_child_by_label("merge").output)
