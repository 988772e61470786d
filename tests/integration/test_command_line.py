"""``airflow osmosdest deliver`` as a process of its own: told to stop in the middle, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_provider_osmosdest.testing.servers import ScriptedServer

COUNT = 20_000


@pytest.mark.parametrize("write_mode", ["batch", "record"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_delivery_with_a_true_report(tmp_path, number, code, write_mode):
    under_way = threading.Event()

    def script(talk):
        talk.read_body()
        if len(server.received) == 5:
            under_way.set()
        talk.reply()

    (tmp_path / "in.ndjson").write_text("".join(f'{{"id": {each}}}\n' for each in range(COUNT)))
    with ScriptedServer(script) as server:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"},
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "AIRFLOW__OSMOSDEST__STORAGE_PATH": str(tmp_path / "storage"),
            "AIRFLOW_CONN_API": json.dumps({"conn_type": "osmos_http", "host": server.url}),
            "NO_PROXY": "127.0.0.1",
        }
        words = ["osmosdest", "deliver", "--conn-id", "api", "--records", str(tmp_path / "in.ndjson")]
        words += ["--write-mode", write_mode, "--batch-size", "10", "--requests-per-second", "20"]
        with subprocess.Popen(
            [sys.executable, "-m", "airflow", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert under_way.wait(60)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    report = json.loads(out)
    assert f"told to stop ({number.name})" in report["error"]
    assert "Stopping in good order" in err
    assert json.loads(Path(report["report_path"]).read_bytes()) == report
    size = 10 if write_mode == "batch" else 1
    assert 5 * size <= report["delivered"] <= len(server.received) * size < COUNT
    assert report["read"] == report["delivered"] + report["unsent"] + report["unknown"]
    ledger = json.loads(Path(report["report_path"]).with_name("ledger.json").read_bytes())
    assert (ledger["complete"], ledger["counts"]["delivered"]) == (False, report["delivered"])
