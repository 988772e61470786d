"""One dataset, delivered by several tasks; its conf takes the write options."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.parts import deliver_in_parts

OPTIONS = (
    "batch_size",
    "concurrency",
    "deduplicate",
    "max_failures",
    "record_key",
    "requests_per_second",
    "write_mode",
)
SCHEMA: Any = {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "text", "type": "string"}]}

with DAG("in_parts", schedule=None, render_template_as_native_obj=True):
    deliver_in_parts(
        "send",
        parts="{{ dag_run.conf['parts'] }}",
        records="{{ dag_run.conf['records'] }}",
        http_conn_id="counting",
        endpoint="{{ dag_run.conf['book'] }}",
        destination_schema=SCHEMA,
        retries=20,
        retry_delay=timedelta(seconds=1),
        **{name: f"{{{{ dag_run.conf.get('{name}') }}}}" for name in OPTIONS},
    )
