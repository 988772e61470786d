"""
Deliver several files side by side: one mapped task instance for each, with a report of its own.

``export`` writes a file per airport and returns their paths. How many there are is known only when the DAG runs;
``.expand()`` makes as many deliveries. The Airflow Connection ``flights_api`` (type Osmos HTTP API) says where they go;
``receiver.py``, beside this file, is an API to try it with.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from airflow.sdk import DAG, task

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

GATES = {"EWR": 12, "JFK": 20, "LGA": 8}

with DAG("deliver_mapped", schedule=None, tags=["osmosdest"], doc_md=__doc__):

    @task
    def export() -> list[str]:
        """Write NDJSON files, one JSON object a line, and return their paths."""
        # On workers that share no disk, these would be in object storage: ObjectStoragePath("s3://bucket/gates").
        folder = Path(tempfile.mkdtemp(prefix="gates-"))
        paths = []
        for airport, gates in GATES.items():
            path = folder / f"{airport}.ndjson"
            path.write_text("".join(json.dumps({"airport": airport, "gate": n}) + "\n" for n in range(1, gates + 1)))
            paths.append(str(path))
        return paths

    HttpDestinationOperator.partial(
        task_id="deliver",
        http_conn_id="flights_api",
        endpoint="/gates",
        destination_schema={
            "fields": [
                {"name": "airport", "type": "string", "nullable": False},
                {"name": "gate", "type": "integer", "nullable": False},
            ],
        },
    ).expand(records=export())
