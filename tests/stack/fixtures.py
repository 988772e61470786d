"""
The distributed Airflow that a run of the tests shares, for tests that need two workers.

::

    def test_something(stack, server, request):
        stack.workers(1)                                     # only worker 1 runs; storage="default" for its own disk
        server.open("book", Rules(honours=True))             # of tests/integration/kills/counting_server.py
        url = stack.put("in.ndjson", b'{"id": 1}\\n')        # s3://..., which every worker reads
        run = stack.api.trigger("counted", {"records": url, "book": "book", "write_mode": "record"})
        stack.worker(1).kill()                               # or freeze(), and later thaw()
        stack.workers(2)                                     # Airflow notices the death after HEARTBEAT_TIMEOUT
        assert stack.api.wait(run) == "success"
        assert stack.worker_of(run, "deliver", number=2) == 2
        report, failures = stack.read_delivery(run, "deliver")
        assert len(server.accepted("book")) == 1

The DAG ``counted`` is that of tests/integration/kills/airflow_kills.py, and its conf takes the write options;
tests/stack/deliveries.py triggers it, and ``in_parts``, and holds what comes out against the server's books. A test
that needs another DAG puts its file into tests/stack/dags, and its id into :data:`DAG_IDS`; more connections go into
the fixture below. A test begins with :meth:`~tests.stack.stack.Stack.workers`, as it does not know what the one before
has left. ``stack.worker(1).home`` is the ``AIRFLOW_HOME`` on a worker's own disk. A task's log is there until it is
uploaded at the task's end; ``stack.said`` waits for that, which never comes for a killed task.

Without Debian's PostgreSQL and Redis, or the environment of ``make stack-env``, the tests are skipped, and fail in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.kills import airflow_kills
from tests.stack.stack import Stack, refusal, running_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.kills.counting_server import CountingServer

__all__ = ["DAG_IDS", "stack"]

DAG_IDS = {airflow_kills.DAG_ID, "in_parts", "refused", "side_by_side"}


@pytest.fixture(scope="session")
def stack(counting_server: CountingServer) -> Iterator[Stack]:
    """Run the stack that this run's tests share."""
    if reason := refusal():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="osmosdest-stack-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        dags = folder / "dags"
        shutil.copytree(Path(__file__).parent / "dags", dags)
        (dags / "counted.py").write_text(airflow_kills.DAG_TEXT)
        receiver = counting_server.url.removeprefix("http://")
        connections = {
            **airflow_kills.connections(counting_server),
            "AIRFLOW_CONN_ORDERS": json.dumps({"conn_type": "osmos_mailbox"}),
        }
        with running_stack(folder, dags, DAG_IDS, receiver=receiver, variables=connections) as stack:
            yield stack
