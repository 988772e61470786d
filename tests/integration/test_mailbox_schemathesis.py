"""The mailboxes against what their OpenAPI document allows, and much that it does not: nothing it does not say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.web import rate_limits as throttle
from airflow_provider_osmosdest.web.long_poll import LongPoll
from tests.mailbox_server import serving_mailbox

SCHEMA = DestinationSchema.load(
    {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "name", "type": "string"}]}
)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A mailbox whose server holds nothing back for long: what is answered counts here, not when."""
    until_new = LongPoll.until_new
    monkeypatch.setattr(throttle, "_FIRST_DELAY", 0.0)
    monkeypatch.setattr(
        LongPoll,
        "until_new",
        lambda self, box, at, seconds, **kwargs: until_new(self, box, at, seconds / 1000, **kwargs),
    )
    with serving_mailbox(tmp_path / "box", "box", schema=SCHEMA) as server:
        for batch in range(3):
            server.mailbox.publish([b'{"id":%d,"name":"n"}\n' % n for n in range(10)], batch_id=f"b{batch}")
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    ("direction", "unchecked"),
    [
        # A cursor that was never given out and a range past the end fit the document, and are refused.
        ("reader", "positive_data_acceptance"),
        # Any text is CSV: what is sent to violate the document's string, like null, is the header of no rows.
        ("writer", "positive_data_acceptance,negative_data_rejection"),
    ],
)
def test_every_answer_is_documented_and_none_is_a_server_error(served, tmp_path, direction, unchecked):
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            "run",
            f"{served.url}/openapi.json",
            *("--header", f"Authorization: Bearer {getattr(served, direction)}"),
            *("--checks", "all"),
            *("--exclude-checks", unchecked),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "25", "--seed", "7", "--continue-on-failure", "--no-color", "--warnings", "off"),
        ],
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: +(\d+)", done.stdout)
    assert tested is not None
    # All but the document itself.
    assert int(tested[1]) == 7
    cases = re.search(r"([\d,]+) generated", done.stdout)
    assert cases is not None
    assert int(cases[1].replace(",", "")) > 200
