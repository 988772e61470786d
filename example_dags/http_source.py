"""
Pull the orders that are new since the last run, page by page.

The Airflow Connection ``shop_api`` (type Osmos HTTP API) says where the API is.

The API says how many orders there are (``total``), so pages are asked for by offset until that many have come. The
highest ``updated_at`` is kept from run to run; an hour before it is asked for again, for orders that were written late,
and what was taken from it before is left out. The next task is told where the records are.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_osmosdest.operators.http_source import HttpSourceOperator

ORDER = {
    "fields": [
        {"name": "id", "type": "integer", "nullable": False},
        {"name": "updated_at", "type": "datetime", "nullable": False},
        {"name": "amount", "type": "number"},
    ],
}

with DAG("http_source", schedule=None, max_active_runs=1, tags=["osmosdest"], doc_md=__doc__):

    @task
    def look(report: dict[str, Any]) -> str:
        """Say what came; a real DAG would load the file, or deliver it."""
        return f"{report['delivered']:,} records in {report['records_path']}"

    orders = HttpSourceOperator(
        task_id="pull_orders",
        http_conn_id="shop_api",
        endpoint="/orders",
        query={"status": "paid"},
        data_selector="result.orders",
        paginator={"type": "offset", "limit": 100, "total_path": "result.total"},
        incremental={
            "cursor_path": "updated_at",
            "param": "updated_since",
            "initial_value": "2026-01-01T00:00:00Z",
            "overlap": 3600,
            "record_key": "id",
        },
        destination_schema=ORDER,
    )
    look(orders.output)
