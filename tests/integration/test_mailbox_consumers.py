"""The consumers that docs/mailbox.md shows, taken from the page and run against a live server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.mailbox_server import serving_mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "mailbox.md"
RECORDS = [{"id": number, "customer": f"Zoë {number}"} for number in range(12_000)]


def example(heading: str) -> str:
    """Return the code block under a heading of the page."""
    found = re.search(rf"^### {heading}\n.*?^```\w+\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def served(tmp_path) -> Iterator[Any]:
    with serving_mailbox(tmp_path / "mailbox", "orders") as served:
        yield served


@pytest.fixture
def run(served, tmp_path):
    """Run a program as the partner would, in a folder of its own."""
    folder = tmp_path / "partner"
    folder.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "MAILBOX": served.url,
        "TOKEN": served.reader,
        "NO_PROXY": "*",
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DESTINATION": "filesystem",
        "DESTINATION__FILESYSTEM__BUCKET_URL": str(folder / "loaded"),
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    }

    def run(*command: str) -> Path:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return run


def publish(served: Any, start: int, stop: int) -> None:
    lines = [json.dumps(record).encode() + b"\n" for record in RECORDS[start:stop]]
    served.mailbox.publish(lines, batch_id=f"b-{start}")


def fetched(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "orders.ndjson").read_text("utf-8").splitlines()]


NO_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("sh", "-c", example("With curl")), marks=NO_CURL),
        (sys.executable, "-c", example("With Python")),
    ],
)
def test_a_consumer_fetches_everything_once_and_goes_on(served, run, command):
    publish(served, 0, 9_000)
    publish(served, 9_000, 11_000)
    assert fetched(run(*command)) == RECORDS[:11_000]
    publish(served, 11_000, 12_000)
    assert fetched(run(*command)) == RECORDS


def test_dlt_loads_everything_once_and_goes_on(served, run):
    pytest.importorskip("dlt", reason="dlt comes with the extra [source]")

    def loaded(folder: Path) -> list[int]:
        files = sorted((folder / "loaded").glob("orders_dataset/orders/*"))
        rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
        return sorted(row["id"] for row in rows)

    publish(served, 0, 11_000)
    assert loaded(run(sys.executable, "-c", example("With dlt"))) == list(range(11_000))
    publish(served, 11_000, 12_000)
    assert loaded(run(sys.executable, "-c", example("With dlt"))) == list(range(12_000))
