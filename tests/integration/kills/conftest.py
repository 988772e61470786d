"""The server that counts, under the name it has here."""

from __future__ import annotations

import pytest


@pytest.fixture
def server(counting_server):
    return counting_server
