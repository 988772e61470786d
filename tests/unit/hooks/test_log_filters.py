from __future__ import annotations

import pytest
import structlog
from structlog.testing import LogCapture

from airflow_provider_osmosdest.hooks.log_filters import drop_connection_warnings


@pytest.fixture
def processors():
    there = structlog.get_config()["processors"]
    before = list(there)
    yield there
    there[:] = before


def test_the_warning_is_dropped_and_nothing_else(processors):
    capture = LogCapture()
    processors[:] = [capture]
    log = structlog.get_logger("airflow.models.connection.Connection")
    drop_connection_warnings()
    drop_connection_warnings()
    assert len(processors) == 2
    log.warning("Connection schemes (type: osmos_mailbox) shall not contain '_' according to RFC3986.")
    log.warning("Connection schemes (type: my_own) shall not contain '_' according to RFC3986.")
    log.warning("something else")
    assert [each["event"][:28] for each in capture.entries] == ["Connection schemes (type: my", "something else"]
