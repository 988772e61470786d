"""
Be a worker without Airflow's task state, so that ledgers are in the deliveries' folders.

Each line of standard input is a task as JSON, ``{"environment", "instance", "parameters"}``, for a process of its own.
To the file descriptor that the argument names go a line with its process id, and one with how it ended.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from types import SimpleNamespace
from typing import Any

from airflow.sdk.io import has_fs

from airflow_provider_osmosdest.core.http.transports import curl  # noqa: F401 - once, and not in each task
from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator


def run_task(environment: dict[str, str], instance: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Be the process of a task."""
    os.environ.update(environment)
    context: Any = {"ti": SimpleNamespace(**instance, xcom_push=lambda **_: None)}
    HttpDestinationOperator(task_id=instance["task_id"], **parameters).execute(context)


def main() -> None:
    """Run tasks until the input ends."""
    answers = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    # Airflow looks for the providers' file systems.
    has_fs("s3")
    fork = multiprocessing.get_context("fork")
    for line in sys.stdin:
        task = fork.Process(target=run_task, kwargs=json.loads(line))
        task.start()
        answers.write(f"{task.pid}\n")
        task.join()
        answers.write(f"{task.exitcode}\n")


if __name__ == "__main__":
    main()
