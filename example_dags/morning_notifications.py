"""
Every weekday morning, notify the users who are new in a Google Sheet, or whose row was edited, one by one.

The sheet's first row names its columns. Which rows were delivered on earlier mornings is remembered, so that only the
others are sent. A row that failed is tried again each morning, and makes the run red on the first. The report names the
rows that failed; it is logged, and mailed if there is somewhere to mail it.

What to set up for Google, and the errors one meets on the way: docs/recipes.md. Nothing in this file has to be edited.
Each setting is a param of the run, or else an Airflow Variable, or else has a default:

=======================  ==================================  ====================
param                    Variable                            default
=======================  ==================================  ====================
``spreadsheet_id``       ``morning_spreadsheet_id``          none: it is needed
``range``                ``morning_range``                   ``Users!A:E``
``endpoint``             ``morning_endpoint``                ``/notifications``
``google_conn_id``       ``morning_google_conn_id``          ``google_sheets``
``http_conn_id``         ``morning_http_conn_id``            ``notifications_api``
``mail_to``              ``morning_mail_to``                 none: nothing is mailed
=======================  ==================================  ====================
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task, teardown
from airflow.sdk.exceptions import AirflowFailException

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

DEFAULTS = {
    "spreadsheet_id": "",
    "range": "Users!A:E",
    "endpoint": "/notifications",
    "google_conn_id": "google_sheets",
    "http_conn_id": "notifications_api",
    "mail_to": "",
}
SHOWN = 10


def setting(name: str) -> str:
    """Return the template of a setting."""
    return f"{{{{ params.{name} or var.value.get('morning_{name}', '{DEFAULTS[name]}') }}}}"


def failures(path: str) -> list[str]:
    """Return a line for each of the first failures of a delivery: which row, who, and why."""
    import json
    from itertools import islice

    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.configuration import conf

    folder, _, name = path.rpartition("/")
    parts = ObjectStoragePath(folder, conn_id=conf.get("osmosdest", "storage_conn_id", fallback=None) or None).glob(
        name
    )
    lines = (line for part in sorted(parts, key=str) for line in part.read_text().splitlines())
    found = []
    for failure in map(json.loads, islice(lines, SHOWN)):
        # A row that was never sent has the sheet's columns, any other the API's fields.
        record = failure["record"] if isinstance(failure["record"], dict) else {}
        who = record.get("name") or record.get("Name") or record.get("email") or record.get("E-Mail") or "nameless"
        found.append(f"row {failure['row']}, {who}: {failure['error']}")
    return found


with DAG(
    "morning_notifications",
    schedule="0 7 * * 1-5",
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,  # a morning that was missed is in the next one's sheet
    max_active_runs=1,
    params={name: Param(None, type=["null", "string"], description="see above") for name in DEFAULTS},
    tags=["osmosdest"],
    doc_md=__doc__,
):

    @task(retries=2)
    def read_sheet(spreadsheet_id: str, cells: str, conn_id: str) -> dict[str, Any]:
        """Return the rows and where they are. Numbers come as numbers this way, whatever they are shown as."""
        if not spreadsheet_id:
            raise AirflowFailException(
                "No sheet is named. Set the Airflow Variable morning_spreadsheet_id, or the param spreadsheet_id, to "
                "the long id in the sheet's URL: https://docs.google.com/spreadsheets/d/<id>/edit"
            )
        try:
            from airflow.providers.google.suite.hooks.sheets import GSheetsHook
        except ImportError as error:
            raise AirflowFailException(
                f"Google's provider is not installed here ({error}): pip install apache-airflow-providers-google"
            ) from None
        rows = GSheetsHook(gcp_conn_id=conn_id).get_values(
            spreadsheet_id,
            cells,
            value_render_option="UNFORMATTED_VALUE",
            date_time_render_option="FORMATTED_STRING",
        )
        return {"range": cells, "values": rows}

    notify = HttpDestinationOperator(
        task_id="notify",
        http_conn_id=setting("http_conn_id"),
        endpoint=setting("endpoint"),
        records=read_sheet(setting("spreadsheet_id"), setting("range"), setting("google_conn_id")),
        records_format="sheet",
        destination_schema=USER,
        mapping={"email": "E-Mail", "name": "Name", "plan": "Plan", "seats": "Seats", "joined": "Joined"},
        write_mode="record",
        deduplicate="records",
        # A bad row is tried every morning, and makes the run red on the first.
        remember_failures=True,
        retries=2,
    )

    @teardown
    def tell(mail_to: str, ti: Any = None) -> None:
        """Log what became of the rows, and mail it: of a failed delivery, too."""
        report = ti.xcom_pull(task_ids="notify")
        lines = ["Nothing was delivered; the logs of read_sheet and notify say why."]
        if report is not None:
            failed = report["read"] - report["delivered"] - report["duplicate"]
            known = (
                f" ({report['known_failures']} of them since an earlier morning)" if report["known_failures"] else ""
            )
            lines = [f"{report['delivered']} notified, {failed} failed{known}, {report['duplicate']} notified before."]
            if report["failures_path"]:
                lines += failures(report["failures_path"])
            if failed > SHOWN:
                lines.append(f"and {failed - SHOWN} more")
            lines.append(f"Report: {report['report_path']}")
        print("\n".join(lines))
        if mail_to:
            from html import escape

            try:
                from airflow.providers.smtp.hooks.smtp import SmtpHook
            except ImportError as error:
                raise AirflowFailException(
                    f"The provider for mail is not installed here ({error}): pip install apache-airflow-providers-smtp"
                ) from None

            with SmtpHook(smtp_conn_id="smtp_default") as mailer:
                subject = f"Morning notifications of {pendulum.now(ZONE):%d %B %Y}: {lines[0]}"
                text = escape("\n".join(lines))
                mailer.send_email_smtp(to=mail_to, subject=subject, html_content=f"<pre>{text}</pre>")

    # A teardown runs whatever became of the delivery, and leaves the run's colour to it.
    notify >> tell(setting("mail_to"))
