"""
An API that keeps a book of what it has committed, and a helper that lays our report beside it.

A *story* is what the API does with a request: it takes the records or not, and answers the truth, or something else, or
not at all. Whatever it says, the book is right.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.testing.servers import Conversation, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Story = Callable[[Conversation, "BookApi"], None]
    When = Callable[[str], bool]

__all__ = [
    "IN_PROGRESS",
    "PROBLEM",
    "BookApi",
    "Said",
    "agree",
    "answers",
    "commits_and_closes",
    "commits_and_fails",
    "commits_and_garbles",
    "commits_and_halves",
    "every_first",
    "failing_gateway",
    "fails_over_poison",
    "in_progress_for_ever",
    "late",
    "of_each",
    "refuses_unread",
    "refuses_unread_after_a_loss",
    "sometimes",
    "when",
]

IN_PROGRESS = json.dumps({"title": "A request is outstanding for this Idempotency-Key", "status": 409}).encode()
EXISTS = b'{"error": "exists already"}'
PROBLEM = {"Content-Type": "application/problem+json"}
GARBLED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-size\r\n{}\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"


@dataclass(frozen=True, slots=True)
class Said:
    """A whole answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class BookApi(ScriptedServer):
    """
    Take records that have an ``id``, as one object or an array, and write down each commit.

    :param story: what to do with each request; it may be changed between two attempts
    :param honours: a key that was committed is answered as it was, and commits nothing again
    :param unique: an id that was committed is not committed again: the request is refused with 409, all of it
    :param had: ids that were committed before the delivery
    :param poison: ids that make the API refuse a request, or fail at it, where the story says so
    :param envelope: the member that a body must have its records in; any other body is refused
    """

    def __init__(
        self,
        story: Story | None = None,
        *,
        honours: bool = True,
        unique: bool = False,
        had: Iterable[int] = (),
        poison: Iterable[int] = (),
        envelope: str | None = None,
    ) -> None:
        super().__init__(self._tell)
        self.story = story or answers
        self.honours = honours
        self.unique = unique
        self.had = frozenset(had)
        self.poison = frozenset(poison)
        self.envelope = envelope
        self.lock = threading.RLock()
        self.commits: Counter[int] = Counter()
        self.keys: defaultdict[int, set[str]] = defaultdict(set)
        self.answered: dict[str, Said] = {}
        self.working: set[str] = set()

    def _tell(self, talk: Conversation) -> None:
        self.story(talk, self)

    def key_of(self, talk: Conversation) -> str:
        """Return a request's idempotency key."""
        return talk.request.headers.get("idempotency-key", b"").decode()

    def take(self, talk: Conversation) -> Said:
        """Read a body, commit its records unless something forbids it, and return what an honest API would answer."""
        talk.read_body()
        if not talk.request.whole:
            raise ConnectionAbortedError("the client went away in the middle of its body")
        return self.commit(self.key_of(talk), talk.request.body)

    def commit(self, key: str, body: bytes) -> Said:
        """Commit the records of a body, unless something forbids it."""
        document = json.loads(body)
        if self.envelope is not None:
            if not isinstance(document, dict) or self.envelope not in document:
                return Said(400, json.dumps({"error": f"expected an object with {self.envelope!r}"}).encode())
            document = document[self.envelope]
        ids = [record["id"] for record in (document if isinstance(document, list) else [document])]
        with self.lock:
            if self.honours and key in self.answered:
                return self.answered[key]
            if self.poison.intersection(ids):
                return Said(422, b'{"error": "poison"}')
            if self.unique and any(id_ in self.had or self.commits[id_] for id_ in ids):
                return Said(409, EXISTS)
            self.commits.update(ids)
            for id_ in ids:
                self.keys[id_].add(key)
            said = self.answered[key] = Said()
            return said


# -- stories ----------------------------------------------------------------------------------------------------------


def answers(talk: Conversation, api: BookApi) -> None:
    """Commit, and say so."""
    reply(talk, api.take(talk))


def reply(talk: Conversation, said: Said) -> None:
    """Answer."""
    talk.reply(said.status, said.body, said.headers)


def commits_and_closes(talk: Conversation, api: BookApi) -> None:
    """Commit, and close the connection without a word."""
    api.take(talk)
    talk.close()


def commits_and_garbles(talk: Conversation, api: BookApi) -> None:
    """Commit, and answer 200 with a chunk whose size is none."""
    api.take(talk)
    talk.send(GARBLED)
    talk.close()


def commits_and_halves(talk: Conversation, api: BookApi) -> None:
    """Commit, and answer half a 200."""
    api.take(talk)
    talk.send(HALF)
    talk.close()


def commits_and_fails(talk: Conversation, api: BookApi) -> None:
    """Commit, and answer 500 nevertheless."""
    api.take(talk)
    talk.reply(500, b'{"error": "could not write the answer"}')


def fails_over_poison(talk: Conversation, api: BookApi) -> None:
    """Answer 500 where there is poison in it; commit and say so where there is none."""
    said = api.take(talk)
    reply(talk, said if said.status == 200 else Said(500, b"Traceback"))


def failing_gateway(status: int) -> Story:
    """Return a gateway that passes a request on, does not wait for the API's answer, and makes one of its own."""

    def story(talk: Conversation, api: BookApi) -> None:
        api.take(talk)
        talk.reply(status, b"<html>the upstream did not answer</html>", {"Content-Type": "text/html"})

    return story


def refuses_unread(size: int) -> Story:
    """Return an API that answers 413 to a body over ``size`` bytes before it has read it, and closes."""

    def story(talk: Conversation, api: BookApi) -> None:
        if talk.request.length <= size:
            answers(talk, api)
            return
        talk.read_body(size)
        talk.reply(413, b"too large", {"Connection": "close"})
        talk.close()

    return story


def refuses_unread_after_a_loss(size: int) -> Story:
    """Return an API that commits a large body and closes without a word, and then answers 413 to the same."""
    large = refuses_unread(size)
    return when(every_first(), commits_and_closes, large)


def late(seconds: float, headers: Mapping[str, str], body: bytes = IN_PROGRESS, *, dies: bool = False) -> Story:
    """
    Return an API that is at work on a key for a while, and answers 409 to the same until it is done.

    :param dies: what was at work on the first send dies over it: the key is free again, and nothing was committed
    """

    def story(talk: Conversation, api: BookApi) -> None:
        key = api.key_of(talk)
        talk.read_body()
        with api.lock:
            working = key in api.working
            early = key not in api.answered and key not in seen
            seen.add(key)
            if early:
                api.working.add(key)
        if working:
            talk.reply(409, body, {**(PROBLEM if body else {}), **headers})
            return
        if early:
            time.sleep(seconds)
            with api.lock:
                api.working.discard(key)
                if dies:
                    talk.close()
                    return
                said = api.commit(key, talk.request.body)
        else:
            said = api.commit(key, talk.request.body)
        reply(talk, said)

    seen: set[str] = set()
    return story


def in_progress_for_ever(headers: Mapping[str, str], body: bytes = IN_PROGRESS) -> Story:
    """Return an API that commits and closes, and then answers 409 to the same key, whenever asked."""

    def busy(talk: Conversation, api: BookApi) -> None:
        talk.read_body()
        talk.reply(409, body, {**(PROBLEM if body else {}), **headers})

    return when(every_first(), commits_and_closes, busy)


# -- when a story is told ----------------------------------------------------------------------------------------------


def when(chosen: When, story: Story, otherwise: Story = answers) -> Story:
    """Return one story for the sends that are chosen by their key, and another for the rest."""

    def either(talk: Conversation, api: BookApi) -> None:
        (story if chosen(api.key_of(talk)) else otherwise)(talk, api)

    return either


def every_first(nth: int = 1) -> When:
    """Choose the first send of each key, or of each ``nth`` key."""
    lock, seen = threading.Lock(), set()

    def chosen(key: str) -> bool:
        with lock:
            if key in seen:
                return False
            seen.add(key)
            return len(seen) % nth == 0

    return chosen


def of_each(nth: int) -> When:
    """Choose every send of each ``nth`` key."""
    lock, seen = threading.Lock(), {}

    def chosen(key: str) -> bool:
        with lock:
            return seen.setdefault(key, len(seen)) % nth == 0

    return chosen


def sometimes(share: float, seed: int = 9) -> When:
    """Choose a share of all sends at random."""
    draw, lock = random.Random(seed), threading.Lock()

    def chosen(key: str) -> bool:
        with lock:
            return draw.random() < share

    return chosen


# -- the report beside the book ----------------------------------------------------------------------------------------

FAILED = ("invalid", "rejected", "unknown", "unsent")


def agree(report: Any, lines: list[dict[str, Any]], api: BookApi, count: int, *, twice: bool = False) -> None:
    """
    Assert that each record's outcome claims what the book says; an id is an index.

    :param report: the attempt's
    :param lines: its failures file
    :param api: with the book
    :param count: how many records there are
    :param twice: the story is one after which a record may be committed twice
    """
    outcomes = {line["index"]: line["outcome"] for line in lines}
    assert len(outcomes) == len(lines), "a record is in the failures file once"
    beside = Counter((outcomes.get(id_, "taken"), api.commits[id_] + (id_ in api.had)) for id_ in range(count))
    shown = {name: getattr(report, name) for name in ("delivered", "duplicate", *FAILED)}
    table = ", ".join(f"{outcome} x{times}: {number:,}" for (outcome, times), number in sorted(beside.items()))
    print(f"\nreport {shown}; outcome x commits: {table}")  # noqa: T201 - the two side by side
    assert report.read == count == sum(shown.values()), "the outcomes add up"
    assert {name: shown[name] for name in FAILED} == {
        name: sum(outcome == name for outcome in outcomes.values()) for name in FAILED
    }, "the failures file says what the report says"
    contradicted = {}
    for (outcome, times), number in beside.items():
        if outcome == "taken" and times == 0:
            contradicted["called delivered or duplicate, and the API has it not"] = number
        if outcome in ("rejected", "invalid", "unsent") and times:
            contradicted[f"called {outcome}, and the API has it"] = number
        if times > 1 and not twice:
            contradicted[f"committed {times} times"] = number
    assert not contradicted
