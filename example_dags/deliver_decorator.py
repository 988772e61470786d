"""
Deliver what a function returns: ``@task.http_destination`` takes the operator's parameters, but for ``records``.

The function may return a list, the path of a file, or, as here, a generator: then only a block of records is in
memory at a time, however many there are. The Airflow Connection ``flights_api`` (type Osmos HTTP API) says
where they go; ``receiver.py``, beside this file, is an API to try it with.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, task

if TYPE_CHECKING:
    from collections.abc import Iterator

WEATHER = {
    "fields": [
        {"name": "origin", "type": "string", "nullable": False},
        {"name": "time_hour", "type": "datetime", "nullable": False},
        {
            "name": "temp",
            "type": "number",
            "constraints": {"minimum": -130, "maximum": 140},
            "description": "Fahrenheit",
        },
    ],
}

with DAG("deliver_decorator", schedule=None, tags=["osmosdest"], doc_md=__doc__):

    @task.http_destination(
        http_conn_id="flights_api",
        endpoint="/weather",
        destination_schema=WEATHER,
        batch_size=500,
    )
    def deliver_weather(days: int) -> Iterator[dict[str, Any]]:
        """Yield a reading for each hour; its keys are what the schema names."""
        start = datetime(2013, 1, 1, tzinfo=UTC)
        for hour in range(days * 24):
            yield {"origin": "JFK", "time_hour": start + timedelta(hours=hour), "temp": 30 + hour % 24}

    deliver_weather(days=90)
