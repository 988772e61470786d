"""Requests that interleave at every operation on the store, and die before or after any of them."""

from __future__ import annotations

import json
import threading

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.mailbox.cursor import Position
from airflow_provider_osmosdest.core.mailbox.inbox.inbox import Inbox
from airflow_provider_osmosdest.core.mailbox.inbox.receipts import TAKEN_OVER_AFTER
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import (
    InboxRejection,
    KeyInProgressRejection,
    KeyReusedRejection,
)
from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.core.mailbox.store.store import Store
from airflow_provider_osmosdest.core.schema import DestinationSchema
from tests.thoroughness import examples

SETTINGS = MailboxSettings(
    "box", schema=DestinationSchema.load([{"name": "id", "type": "integer"}]), on_invalid="quarantine"
)
BODIES = {"A": b'[{"id":1},{"id":2},{"id":"x"}]', "B": b'[{"id":3}]'}
RECORDS = {"A": [1, 2], "B": [3]}


class Killed(BaseException):
    """The process has died here."""


class Memory:
    """A store in memory; what happens at each operation is the schedule's to say."""

    parallel = 1
    identity = "memory"

    def __init__(self):
        self.objects = {}
        self.at = lambda operation: operation()

    def unsuitable(self):
        return None

    def tidy(self):
        pass

    def create(self, name, data):
        return self.at(lambda: self.objects.setdefault(name, data) is data)

    def put(self, name, data):
        self.at(lambda: self.objects.update({name: data}))

    def get(self, name, start=None, stop=None):
        found = self.at(lambda: self.objects.get(name))
        return None if found is None else found[start:stop]

    def size(self, name):
        found = self.at(lambda: self.objects.get(name))
        return None if found is None else len(found)

    def modified(self, name):
        return None

    def delete(self, names):
        for name in names:
            self.at(lambda name=name: self.objects.pop(name, None))

    def names(self, folder):
        return self.at(lambda: sorted(n.removeprefix(f"{folder}/") for n in self.objects if n.startswith(f"{folder}/")))

    def sign(self, name, seconds):
        return None

    def local_path(self, name):
        return None


class Request(threading.Thread):
    """A request in a process of its own, that stops before each operation until it is its turn."""

    def __init__(self, memory, clock, body, key):
        super().__init__(daemon=True)
        self.store = Memory()
        self.store.objects = memory.objects
        self.store.at = self._wait_for_turn
        self.clock = clock
        self.body = body
        self.key = key
        self.fate = ""
        self.answer = None
        self.over = False
        self._turn = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)

    def run(self):
        try:
            self.answer = post(self.store, self.clock, self.body, self.key)
        except Killed:
            self.answer = "killed"
        finally:
            self.over = True
            self._waits.release()

    def begin(self):
        self.start()
        self._waits.acquire()

    def step(self, fate):
        self.fate = fate
        self._turn.release()
        self._waits.acquire()

    def _wait_for_turn(self, operation):
        self._waits.release()
        self._turn.acquire()
        if self.fate == "before":
            raise Killed
        done = operation()
        if self.fate == "after":
            raise Killed
        return done


requests = st.lists(
    st.tuples(st.sampled_from(["A", "A", "A", "B"]), st.sampled_from(["k", "k", "k", None])), min_size=1, max_size=4
)
steps = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["go"] * 12 + ["before", "after", "wait"])), max_size=80)


@given(requests, steps)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_never_doubled_under_a_key_and_never_lost_after_a_202(wanted, schedule):
    memory, clock = Memory(), [1_800_000_000.0]
    running = [Request(memory, clock, body, key) for body, key in wanted]
    for request in running:
        request.begin()
    for number, fate in schedule:
        request = running[number % len(running)]
        if fate == "wait":
            clock[0] += TAKEN_OVER_AFTER + 1
        elif not request.over:
            request.step(fate)
    for request in running:
        while not request.over:
            request.step("go")
        request.join()
    clock[0] += TAKEN_OVER_AFTER + 1
    final = {body: post(memory, clock, body, "k") for body in sorted({body for body, key in wanted if key})}
    found = published(memory)

    taken = {body: answer for body, answer in final.items() if isinstance(answer, dict)}
    if final:
        # The key belongs to one body, and sending that again gets its answer.
        [(body, answer)] = taken.items()
        assert found[answer["receipt_id"]] == [RECORDS[body]]
        assert (answer["accepted"], answer["quarantined"]) == (len(RECORDS[body]), 1 if body == "A" else 0)
    for request in running:
        if not isinstance(request.answer, dict):
            assert request.answer in {"killed", KeyInProgressRejection, KeyReusedRejection}
        else:
            assert found[request.answer["receipt_id"]] == [RECORDS[request.body]]
            assert request.key is None or request.answer == taken[request.body]
    assert all(len(batches) == 1 for batches in found.values())
    assert len(found) <= sum(key is None for _, key in wanted) + bool(final)


def post(backend, clock, body, key):
    """Return what is answered, or the class of a rejection."""
    mailbox = Mailbox(Store("memory", backend=backend), SETTINGS)
    try:
        inbox = Inbox(mailbox, clock=lambda: clock[0])
        return inbox.take("application/json", BODIES[body], sender="token:a", key=key)
    except InboxRejection as rejected:
        return type(rejected)


def published(memory):
    """Return the ids in each batch of the log, by receipt."""
    mailbox = Mailbox(Store("memory", backend=memory), SETTINGS)
    found, seq = {}, 1
    while (entry := mailbox.log.entry(seq)) is not None:
        page = mailbox.read(mailbox.cursor_text(Position(seq, 0)), limit=entry.records, max_bytes=10**9)
        ids = [json.loads(line)["id"] for line in page.lines.splitlines()]
        found.setdefault(entry.batch_id.removeprefix("inbox-"), []).append(ids)
        seq += 1
    return found
