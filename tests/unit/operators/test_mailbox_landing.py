"""Landing records of a mailbox, killed between any two steps."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.errors import ConfigurationError, StorageError
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.storage import private
from airflow_provider_osmosdest.operators.airflow_limits import XCOM_BYTES
from airflow_provider_osmosdest.operators.mailbox_landing import Landing
from tests.modes import modes_below, umask

CONSUMER = "billing"


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(Store(tmp_path / "mailbox"), MailboxSettings("orders", page_limit=4))


@pytest.fixture
def publish(mailbox):
    """Return a function that publishes the next so many ids as a batch."""
    last = 0

    def run(count=3):
        nonlocal last
        lines = [b'{"id":%d}\n' % number for number in range(last, last + count)]
        mailbox.publish(lines, batch_id=f"batch-{last}")
        last += count

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "landed"


@pytest.fixture
def landing(mailbox, folder):
    return Landing(mailbox, CONSUMER, folder)


def land(landing, limit=None):
    """Do what the operator does."""
    earlier = landing.earlier()
    landed = landing.to_file(limit, earlier)
    if earlier is None and landed.records:
        assert landing.commit(landed)
    return landed


def ids(folder):
    return [json.loads(line)["id"] for line in (folder / "records.ndjson").read_bytes().splitlines()]


def test_takes_what_is_new_and_commits_it(landing, mailbox, publish, folder):
    for _ in range(3):
        publish(3)
    landed = land(landing)
    assert ids(folder) == list(range(9))
    assert (landed.records, landed.bytes) == (9, (folder / "records.ndjson").stat().st_size)
    assert landing.path == str(folder / "records.ndjson")
    committed = mailbox.consumers.committed(CONSUMER)
    assert committed.position == Position(4)
    assert mailbox.position(landed.next_cursor) == committed
    assert mailbox.consumers.polled(CONSUMER) is not None


def test_the_next_run_goes_on_from_there(landing, mailbox, publish, tmp_path):
    publish(3)
    land(landing)
    publish(2)
    landed = land(Landing(mailbox, CONSUMER, tmp_path / "second"))
    assert ids(tmp_path / "second") == [3, 4]
    assert landed.records == 2


def test_a_limit_leaves_the_rest_for_the_next_time(mailbox, publish, tmp_path):
    publish(3)
    publish(7)
    taken = []
    for number in range(4):
        landed = land(Landing(mailbox, CONSUMER, tmp_path / str(number)), limit=4)
        taken.append(landed.records)
    assert taken == [4, 4, 2, 0]
    assert [each for number in range(4) for each in ids(tmp_path / str(number))] == list(range(10))


def test_nothing_new_is_a_file_of_no_records(landing, folder, mailbox):
    landed = land(landing)
    assert (landed.records, landed.bytes, landed.cursor) == (0, 0, landed.next_cursor)
    assert ids(folder) == []
    assert mailbox.consumers.committed(CONSUMER) is None


def test_what_is_published_meanwhile_is_left_alone(mailbox, publish, folder):
    publish(4)

    class Busy(Mailbox):
        def read(self, *args, **more):
            publish(4)
            return super().read(*args, **more)

    busy = Busy(mailbox.store, mailbox.settings)
    landed = land(Landing(busy, CONSUMER, folder))
    assert landed.records == 4


class TestKilled:
    def test_before_the_commit_lands_again_over_its_own_file(self, landing, publish, folder, mailbox):
        publish(3)
        landing.to_file(None, landing.earlier())
        publish(2)
        landed = land(landing)
        assert ids(folder) == [0, 1, 2, 3, 4]
        assert landed.records == 5

    def test_after_the_note_and_before_the_commit(self, landing, publish, folder, monkeypatch):
        publish(3)

        def die(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(type(landing._mailbox.consumers), "commit", die)
            with pytest.raises(KeyboardInterrupt):
                land(landing)
        publish(2)
        assert land(landing).records == 5
        assert ids(folder) == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("noted", [True, False], ids=["and noted", "and not noted"])
    def test_after_the_commit_lands_the_same_again(self, landing, publish, folder, mailbox, noted):
        publish(3)
        first = landing.to_file(None, None)
        if noted:
            landing.commit(first)
        else:
            landing._note(first)
            mailbox.consumers.commit(CONSUMER, mailbox.position(first.next_cursor))
        publish(2)
        # No task has read these three; those behind them are for the next run.
        again = land(Landing(mailbox, CONSUMER, folder))
        assert (again.records, again.next_cursor) == (3, first.next_cursor)
        assert ids(folder) == [0, 1, 2]
        assert mailbox.consumers.committed(CONSUMER).position == Position(2)

    def test_and_the_file_is_gone(self, landing, publish, folder):
        publish(3)
        publish(3)
        first = land(landing, limit=5)
        (folder / "records.ndjson").unlink()
        publish(2)
        assert landing.earlier() == first.__class__(**{**_fields(first), "committed": True})
        assert land(landing).records == 5
        assert ids(folder) == [0, 1, 2, 3, 4]

    def test_as_values(self, landing, publish):
        publish(3)
        landed, values = landing.to_values(None, None)
        assert landing.commit(landed)
        publish(2)
        again, same = landing.to_values(None, landing.earlier())
        assert same == values == [{"id": 0}, {"id": 1}, {"id": 2}]
        assert again.next_cursor == landed.next_cursor


def test_a_note_of_another_consumer_is_none_of_ours(landing, publish, mailbox, folder):
    publish(3)
    land(landing)
    assert Landing(mailbox, "other", folder).earlier() is None


def test_a_consumer_that_was_moved_back_reads_again(landing, publish, folder, mailbox, tmp_path):
    publish(3)
    land(landing)
    mailbox.consumers.seek(CONSUMER, Position(1, 1))
    land(Landing(mailbox, CONSUMER, tmp_path / "second"))
    assert ids(tmp_path / "second") == [1, 2]


def test_a_move_while_it_reads_is_not_undone(landing, publish, mailbox):
    publish(3)
    landed = landing.to_file(None, None)
    mailbox.consumers.seek(CONSUMER, Position(1, 2))
    assert not landing.commit(landed)
    assert mailbox.consumers.committed(CONSUMER).position == Position(1, 2)
    assert landing.earlier() is None


def test_what_is_too_large_for_xcom_is_refused(landing, mailbox):
    line = json.dumps({"text": "x" * 10_000}).encode() + b"\n"
    mailbox.publish([line] * (XCOM_BYTES // len(line) + 2), batch_id="large")
    with pytest.raises(ConfigurationError, match=r"1,048,576 bytes are new for consumer 'billing'.*max_records=5\d"):
        landing.to_values(None, None)
    assert mailbox.consumers.committed(CONSUMER) is None
    landed, values = landing.to_values(50, None)
    assert landed.records == len(values) == 50


def test_a_folder_that_cannot_be_written_is_named(mailbox, publish, tmp_path):
    publish(3)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/records\.ndjson cannot be written.*storage_path"):
        Landing(mailbox, CONSUMER, tmp_path / "file").to_file(None, None)


def _fields(landed):
    return {name: getattr(landed, name) for name in landed.__dataclass_fields__}


@pytest.mark.parametrize(("access", "modes"), [("none", ("0600", "0700")), ("read", ("0640", "0750"))])
def test_what_is_landed_is_as_private_as_its_folder(mailbox, publish, tmp_path, access, modes):
    with umask(0):
        publish()
        land(Landing(mailbox, CONSUMER, private(tmp_path / "disk", access) / "landed"))
    assert modes_below(tmp_path / "disk") == {"files": {modes[0]}, "folders": {modes[1]}}
