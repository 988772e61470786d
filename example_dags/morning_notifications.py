"""
Every weekday morning, notify the users who are new in a Google Sheet, or whose row was edited, one by one.

The sheet's first row names its columns. Which rows were delivered on earlier mornings is remembered, so that only the
others are sent; a row whose notification failed is tried again the next morning.

It takes two Airflow Connections: ``google_sheets`` (type Google Cloud, a service account that may read the sheet) and
``notifications_api`` (type Osmos HTTP API, with the API's URL and the header
``{"Authorization": "Bearer ..."}``), and ``pip install apache-airflow-providers-google``. The report is logged; with
the param ``mail_to`` it is mailed, too, through the connection ``smtp_default``.
"""

from __future__ import annotations

import json
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task, teardown

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

# The days and hours below are those of this place, summer time included.
ZONE = "Europe/Berlin"

# What the API wants of a user. Anything else in the sheet stays in the sheet.
USER = {
    "fields": [
        {"name": "email", "type": "string", "nullable": False, "constraints": {"pattern": "[^@ ]+@[^@ ]+"}},
        {"name": "name", "type": "string", "nullable": False},
        {"name": "plan", "type": "string", "constraints": {"enum": ["free", "team", "enterprise"]}},
        {"name": "seats", "type": "integer"},
        {"name": "joined", "type": "date"},
    ],
}

with DAG(
    "morning_notifications",
    schedule="0 7 * * 1-5",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,  # a morning that was missed is in the next one's sheet
    max_active_runs=1,
    params={
        "spreadsheet_id": Param("the-long-id-in-the-sheet's-URL", type="string"),
        "range": Param("Users!A:E", type="string", description="the columns to read, in A1 notation"),
        "mail_to": Param(None, type=["null", "string"], description="whom to mail the report"),
    },
    tags=["osmosdest"],
    doc_md=__doc__,
):

    @task(retries=2)
    def read_sheet(params: dict[str, Any]) -> list[list[Any]]:
        """Return the sheet's rows. Numbers come as numbers this way, whatever they are shown as."""
        from airflow.providers.google.suite.hooks.sheets import GSheetsHook

        rows: list[list[Any]] = GSheetsHook(gcp_conn_id="google_sheets").get_values(
            params["spreadsheet_id"],
            params["range"],
            value_render_option="UNFORMATTED_VALUE",
            date_time_render_option="FORMATTED_STRING",
        )
        return rows

    notify = HttpDestinationOperator(
        task_id="notify",
        http_conn_id="notifications_api",
        endpoint="/notifications",
        records=read_sheet(),
        records_format="sheet",
        destination_schema=USER,
        mapping={"email": "E-Mail", "name": "Name", "plan": "Plan", "seats": "Seats", "joined": "Joined"},
        write_mode="record",
        deduplicate="records",
        retries=2,
    )

    @teardown
    def tell(params: dict[str, Any], ti: Any = None) -> None:
        """Log the report, and mail it to the people on its list: of a failed delivery, too."""
        report = ti.xcom_pull(task_ids="notify")
        text = "Nothing was delivered." if report is None else json.dumps(report, indent=2)
        print(text)
        if params["mail_to"]:
            from airflow.providers.smtp.hooks.smtp import SmtpHook

            with SmtpHook(smtp_conn_id="smtp_default") as mailer:
                subject = f"Morning notifications of {pendulum.now(ZONE):%d %B %Y}"
                mailer.send_email_smtp(to=params["mail_to"], subject=subject, html_content=f"<pre>{text}</pre>")

    # A teardown runs whatever became of the delivery, and leaves the run's colour to it.
    notify >> tell()
