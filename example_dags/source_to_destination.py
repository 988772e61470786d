"""
Bring customers from one API to another: pull, rename, deliver.

The Airflow Connections ``shop_api`` and ``crm_api`` (type Osmos HTTP API) say where the two are. The source follows the
link at ``links.next`` in each answer. The destination takes the file the source leaves behind; its schema
says what the other API wants, and ``mapping`` what that is called at the source.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.http_source import HttpSourceOperator

CONTACT = {
    "fields": [
        {"name": "external_id", "type": "string", "nullable": False},
        {"name": "email", "type": "string", "nullable": False},
        {"name": "full_name", "type": "string"},
    ],
}

with DAG("source_to_destination", schedule=None, tags=["osmosdest"], doc_md=__doc__):
    customers = HttpSourceOperator(
        task_id="pull_customers",
        http_conn_id="shop_api",
        endpoint="/customers",
        data_selector="items",
        paginator={"type": "json_link", "next_url_path": "links.next"},
    )
    HttpDestinationOperator(
        task_id="deliver_contacts",
        http_conn_id="crm_api",
        endpoint="/contacts",
        records=customers.output["records_path"],
        destination_schema=CONTACT,
        mapping={"external_id": "customer_no", "full_name": "name"},
        envelope="contacts",
    )
