"""
Write what version 0.1.0 leaves behind: deliveries that were killed, a mailbox, and what was seen.

To be run once, at the commit that is version 0.1.0 (753d9e4), with its package and not with today's::

    git worktree add --detach OLD 753d9e4
    PYTHONPATH=OLD python tests/unit/compatibility/make_state.py tests/unit/compatibility/state_0_1_0

What it writes must never be written anew by a later version: ``test_version_0_1_0.py`` is about these very bytes.

A delivery writes its ledger once a second, and a part of its failures file once ten seconds; these deliveries are over
in no time. So both are set to 0, which makes of each turn what a turn of a slow delivery is.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_osmosdest.core.delivery import journal
from airflow_provider_osmosdest.core.delivery.engine import Delivery, Surroundings, deliver
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.target import Target
from airflow_provider_osmosdest.core.delivery.transport import Answer
from airflow_provider_osmosdest.core.errors import AmbiguousError
from airflow_provider_osmosdest.core.mailbox.consumers import Consumers
from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.inbox import Inbox
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.retention import purge
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store import Store
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

FIELDS = [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]
SCHEMA = DestinationSchema.load(FIELDS)
POISON = 13
INVALID = 5
RECORDS = [{"id": "five" if each == INVALID else each, "note": f"Straße {each}"} for each in range(60)]

START = 1_780_000_000.0
DAY = 86_400.0


class Killed(BaseException):
    """Nothing in the package catches it: whatever was not written down is gone, as with ``kill -9``."""


class Server:
    """
    Take records, and keep every answer by its key; poison is refused, and bodies may have a fate of their own.

    :param fates: by the number of a request: a status, or what is done after the records are taken
    :param killed_over: the record over which its sender is killed, once it is taken
    :param names_items: a refusal says which of the records it is about
    """

    def __init__(self, fates=None, *, killed_over=None, names_items=False):
        self.answers = {}
        self.taken = []
        self._number = 0
        self._fates = fates or {}
        self._killed_over = killed_over
        self._names_items = names_items

    def __call__(self, request):
        self._number += 1
        fate = self._fates.get(self._number)
        if isinstance(fate, int):
            return Answer(request, fate, b"come later", retry_after=3600.0)
        body = json.loads(body_of(request))
        ids = [record["id"] for record in (body if isinstance(body, list) else [body])]
        key = request.headers["Idempotency-Key"]
        status = self.answers.setdefault(key, 422 if POISON in ids else 200)
        if status == 200:
            self.taken += ids
        if fate == "killed" or (status == 200 and self._killed_over in ids):
            raise Killed
        if fate == "silent":
            return Answer(request, error=AmbiguousError("the connection was reset"))
        items = [{"index": ids.index(POISON), "message": "unlucky"}] if status == 422 and self._names_items else []
        return Answer(request, status, json.dumps({"errors": items, "message": "no"}).encode())


def _delivery(folder, server, *, records=RECORDS, stopping=lambda: None, seen=None, deferrable=False, **options):
    options = {"backoff": 0.0001, "max_backoff": 0.0001, "max_failures": "100%", "systemic_after": 1000, **options}
    delivery = Delivery(Target("http://api.test/v1"), DeliveryOptions(**options), SCHEMA, folder, seen=seen)
    surroundings = Surroundings(stopping=stopping, deferrable=deferrable, occasion="run 1")
    with suppress(Killed):
        deliver(delivery, open_source(records), HandlerTransport(server).factory, lambda _: None, surroundings)
    (folder / "server.json").write_text(json.dumps({"answers": server.answers, "taken": server.taken}))


def _make_deliveries(root):
    (root / "records.json").write_text(json.dumps(RECORDS, ensure_ascii=False))
    in_tens = {"batch_size": 10}
    # Records 0 to 9 are one request, 10 to 19 are split around the poison, 20 to 29 are taken and never answered.
    _delivery(root / "batch_whole", Server(killed_over=20), **in_tens)
    # Killed over a part of the batch that is split.
    _delivery(root / "batch_part", Server(killed_over=40), batch_size=60)
    # The batch but for the item that the API has named, so with a hole.
    _delivery(
        root / "batch_hole",
        Server({3: "killed"}, names_items=True),
        item_errors="errors[].{index: index, error: message}",
        **in_tens,
    )
    # With a bound in bytes, what is cut depends on what is settled: every chunk is noted.
    _delivery(root / "batch_bytes", Server(killed_over=17), max_batch_bytes=300, **in_tens)
    _delivery(root / "batch_once", Server(killed_over=20), guarantee="at_most_once", **in_tens)
    _delivery(root / "batch_deferred", Server({2: 503}), deferrable=True, **in_tens)
    in_singles = {"write_mode": "record", "concurrency": 4}
    _delivery(root / "record", Server({24: "killed"}), **in_singles)
    _delivery(root / "record_once", Server({24: "killed"}), guarantee="at_most_once", **in_singles)
    stopped = Server({8: "silent"})
    _delivery(
        root / "record_stopped",
        stopped,
        stopping=lambda: "The task was asked to stop." if len(stopped.taken) > 20 else None,
        max_retries=0,
        **in_singles,
    )
    _delivery(root / "complete", Server(), **in_tens)


def _make_seen(root):
    seen = root / "seen"
    by_id = {"deduplicate": "records", "record_key": "id", "batch_size": 10, "seen": seen}
    _delivery(
        root / "seen_first", Server(), records=[{"id": each, "note": "first"} for each in range(100, 120)], **by_id
    )
    _delivery(root / "seen_killed", Server(killed_over=17), **by_id)
    _delivery(
        root / "seen_whole",
        Server(),
        records=[{"id": each, "note": "whole"} for each in range(200, 210)],
        seen=seen,
        deduplicate="records",
    )
    file = root / "orders.ndjson"
    file.write_text("".join(f'{{"id":{each},"note":"of a file"}}\n' for each in range(300, 315)))
    # A file is told by its path, size and time.
    os.utime(file, (START, START))
    _delivery(root / "file_killed", Server(killed_over=307), records=file, batch_size=5)
    _delivery(root / "seen_files", Server(), records=file, deduplicate="files", seen=seen)


class KillingStore(Store):
    """A store whose user is killed before it creates, or writes anew, what has a name that begins like this."""

    creating = writing = None

    def create_or_read(self, name, data):
        if self.creating is not None and name.startswith(self.creating):
            raise Killed
        return super().create_or_read(name, data)

    def put(self, name, data):
        if self.writing is not None and name.startswith(self.writing):
            raise Killed
        super().put(name, data)


class Clock:
    now = START

    def __call__(self):
        self.now += 1.0
        return self.now


def _lines(batch, count):
    return [b'{"id":%d,"note":"batch %d"}\n' % (each, batch) for each in range(count)]


def _make_mailbox(root):
    clock, store = Clock(), KillingStore(root / "mailbox")
    settings = MailboxSettings("box", schema=SCHEMA, max_age=5 * DAY, on_invalid="quarantine")
    box = Mailbox(store, settings, clock=clock)
    consumers = Consumers(store, now=lambda: datetime.fromtimestamp(clock(), UTC))
    given = {"purged": box.cursor_text(Position(1))}
    box.publish(_lines(1, 3), batch_id="b1", producer="tests")
    clock.now += 10 * DAY
    box.publish(_lines(2, 4), batch_id="b2", producer="tests")
    for _ in range(2):
        purge(box, now=datetime.fromtimestamp(clock(), UTC))
        clock.now += 3600.0
    # More than a page's worth of points.
    box.publish(_lines(3, 2500), batch_id="b3", producer="tests")
    given["in batch 3"] = box.cursor_text(Position(3, 1200))
    reader = box.standing("reader")
    box.commit("reader", box.cursor_text(Position(2, 2), reader.generation))
    given["of reader"] = box.cursor_text(Position(2, 2), reader.generation)
    consumers.note_poll("reader")
    box.commit("moved", box.cursor_text(Position(3, 1000), 0))
    given["before the seek"] = box.cursor_text(Position(3, 1700), 0)
    consumers.seek("moved", Position(2, 1))
    given["after the seek"] = box.cursor_text(Position(3, 5), 1)
    box.commit("done", box.cursor_text(Position(3, 2500), 0))
    inbox = Inbox(box, clock=clock)
    valid = b'[{"id":1,"note":"posted"},{"id":2,"note":"posted"}]'
    given["receipt of k1"] = inbox.take("application/json", valid, sender="token:a", key="k1")
    mixed = b'[{"id":3,"note":"posted"},{"id":"x","note":"posted"}]'
    given["receipt of k2"] = inbox.take("application/json", mixed, sender="token:a", key="k2")
    # Killed before its claim is settled: the batch is in the log. Killed before the entry: it is not.
    store.writing = "claims/"
    with suppress(Killed):
        box.publish(_lines(6, 5), batch_id="b6", producer="tests")
    store.writing, store.creating = None, "log/"
    with suppress(Killed):
        box.publish(_lines(7, 5), batch_id="b7", producer="tests")
    with suppress(Killed):
        inbox.take("application/json", b'{"id":4,"note":"cut off"}', sender="token:a", key="k3")
    store.creating = None
    given["end"] = box.cursor_text(Position(box.log.tail().seq + 1))
    (root / "given_out.json").write_text(json.dumps(given, indent=1))


def main(root):
    drawn = random.Random(753)
    uuid.uuid4 = lambda: uuid.UUID(int=drawn.getrandbits(128), version=4)
    journal.PERIOD = journal._WAITING_SECONDS = 0.0
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    # So that no path of this machine gets into it.
    os.chdir(root)
    _make_deliveries(Path())
    _make_seen(Path())
    _make_mailbox(Path())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
