"""An attempt that was stopped and comes back finds that a later one has begun, wherever it was stopped."""

from __future__ import annotations

from itertools import count

import pytest

from airflow_provider_osmosdest.core.delivery.ledger import journal
from airflow_provider_osmosdest.core.delivery.ledger.ledger import read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import SupersededError
from tests.unit.core.delivery.two_attempts import COUNT, POISON, RECORDS, Server, stopped_at

VALID = {record["id"] for record in RECORDS} - {"none"}


@pytest.fixture(params=["long", "short"])
def stopped_for(request, monkeypatch):
    """How long it was stopped: for more than the second in which nothing is looked up twice, or for less."""
    if request.param == "long":
        monkeypatch.setattr(journal, "PERIOD", 0.0)
    return request.param


def courses(tmp_path, **options):
    """Stop a delivery at each of its steps in turn; yield what came of it, and the server."""
    for at in count(1):
        server = Server(honours=options["guarantee"] == "at_least_once")
        folder = tmp_path / str(at)
        course = stopped_at(at, folder, server, **options)
        if course.reached is None:
            assert at > 10, "it was stopped at more than a few steps"
            return
        yield course, server, folder


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("write_mode", ["batch", "record"])
def test_the_older_one_sends_and_writes_no_more(tmp_path, write_mode, guarantee, stopped_for):
    reached = set()
    for course, server, folder in courses(tmp_path, write_mode=write_mode, guarantee=guarantee):
        reached.add(course.reached)
        assert isinstance(course.error, SupersededError), course
        assert course.changed == [], course
        if stopped_for == "long":
            # It had looked already, and what it was about to send stands in the ledger.
            most = (1 if write_mode == "batch" else 4) if course.reached == "send" else 0
            assert len(course.late) <= most, course
        assert max(server.taken.values()) == 1, course
        entry = read_ledger(FolderLedgerStore(folder).load())
        assert entry.complete
        if guarantee == "at_least_once":
            assert set(server.taken) == VALID - POISON
            assert entry.counts["delivered"] == len(server.taken)
        else:
            assert entry.counts["delivered"] <= len(server.taken) <= entry.counts["delivered"] + entry.counts["unknown"]
        assert sum(entry.counts[name] for name in ("delivered", "invalid", "rejected", "unknown")) == COUNT
    # On a busy machine a wait may be over before it is begun.
    assert reached - {"wait"} == {"claimed", "written", "send", "answer"}
