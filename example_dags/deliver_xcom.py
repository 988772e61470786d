"""
Deliver what another task returns, one record per request.

``extract`` returns a list of objects, which reaches the operator as XCom. Each object becomes a ``PUT`` to a URL of
its own, ``/airports/JFK`` and so on, with up to four requests in flight. The Airflow Connection ``flights_api`` (type
Osmos HTTP API) says where the API is; ``receiver.py``, beside this file, is one to try it with.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

AIRPORT = {
    "fields": [
        {"name": "code", "type": "string", "nullable": False, "constraints": {"pattern": "[A-Z]{3}"}},
        {"name": "name", "type": "string", "nullable": False},
        {"name": "altitude", "type": "number", "description": "feet"},
    ],
}

with DAG("deliver_xcom", schedule=None, tags=["osmosdest"], doc_md=__doc__):

    @task
    def extract() -> list[dict[str, Any]]:
        """Return the records; a real DAG would query a database here."""
        return [
            {"code": "EWR", "name": "Newark Liberty Intl", "altitude": 18},
            {"code": "JFK", "name": "John F Kennedy Intl", "altitude": 13},
            {"code": "LGA", "name": "La Guardia", "altitude": 22},
        ]

    HttpDestinationOperator(
        task_id="deliver",
        http_conn_id="flights_api",
        records=extract(),
        destination_schema=AIRPORT,
        write_mode="record",
        method="PUT",
        # {code} is taken from each record, and percent-encoded.
        endpoint="/airports/{code}",
        concurrency=4,
    )
