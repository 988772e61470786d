"""
Send a campaign and transactional messages through Customer.io's App API.

First the wording of one of the campaign's actions is set, then the campaign is triggered for many people at once, and
receipts go to one person each. The Connection ``customerio`` (type Osmos HTTP API) has the URL of the account's region,
``https://api.customer.io`` or ``https://api-eu.customer.io``, and the header
``{"Authorization": "Bearer <App API key>"}``.

The limits kept below are those of https://docs.customer.io/integrations/api/app/.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

CAMPAIGN = "/v1/campaigns/{{ params.campaign_id }}"
PERSON = {
    "fields": [
        {"name": "email", "type": "string", "nullable": False, "constraints": {"pattern": "[^@ ]+@[^@ ]+"}},
        {"name": "data", "type": "object", "nullable": False, "description": "what the wording refers to"},
    ],
}
MESSAGE = {
    "fields": [
        {"name": "transactional_message_id", "type": "integer", "nullable": False},
        {"name": "to", "type": "string", "nullable": False},
        {"name": "identifiers", "type": "object", "nullable": False, "description": "an id, email or cio_id"},
        {"name": "message_data", "type": "object", "nullable": False},
    ],
}

with DAG(
    "customerio_messages",
    schedule=None,
    params={"campaign_id": Param(3, type="integer"), "action_id": Param(96, type="integer")},
    tags=["osmosdest"],
    doc_md=__doc__,
):

    @task
    def subscribers() -> list[dict[str, Any]]:
        """Return who gets the campaign; a real DAG would query a database here, and below."""
        return [
            {"email": "ada@example.org", "data": {"voucher": "A-1815"}},
            {"email": "grace@example.org", "data": {"voucher": "G-1906"}},
        ]

    @task
    def receipts() -> list[dict[str, Any]]:
        """Return the messages to send."""
        orders = [("ada@example.org", 17, "12.50"), ("linus@example.org", 18, "8.00")]
        return [
            {
                "transactional_message_id": 7,
                "to": email,
                "identifiers": {"email": email},
                "message_data": {"order": order, "total": total},
            }
            for email, order, total in orders
        ]

    # Airflow's Jinja and Customer.io's Liquid both write {{ }}: the inner ones are text to Jinja, and left for Liquid.
    set_wording = HttpDestinationOperator(
        task_id="set_wording",
        http_conn_id="customerio",
        method="PUT",
        endpoint=CAMPAIGN + "/actions/{{ params.action_id }}",
        records=[{"subject": "A voucher for you", "body": "<p>Your code is {{ '{{trigger.voucher}}' }}.</p>"}],
        write_mode="record",
    )

    trigger_campaign = HttpDestinationOperator(
        task_id="trigger_campaign",
        http_conn_id="customerio",
        endpoint=CAMPAIGN + "/triggers",
        records=subscribers(),
        destination_schema=PERSON,
        batch_size=10_000,
        envelope={"per_user_data": "$records", "email_ignore_missing": True},
        # A campaign must not be sent twice: what may have arrived is not sent again, and is reported as unknown.
        guarantee="at_most_once",
        requests_per_second=0.1,
    )

    HttpDestinationOperator(
        task_id="send_receipts",
        http_conn_id="customerio",
        endpoint="/v1/send/email",
        records=receipts(),
        destination_schema=MESSAGE,
        write_mode="record",
        requests_per_second=100,
    )

    set_wording >> trigger_campaign
