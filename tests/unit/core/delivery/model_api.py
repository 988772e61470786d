"""
A model of an API, of the network before it and of the machine we run on: what is drawn happens, and all of it is noted.

:class:`ModelApi` decides what becomes of a request that arrives, and keeps the book that a delivery's report is held
against. :class:`World` decides what happens on the way, and when our process dies; it is the transport, the ledger's
store and the clock of every attempt at one delivery.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from airflow_provider_osmosdest.core.errors import AmbiguousError, NotSentError
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.testing.transports import body_of

__all__ = ["EXISTS", "IN_PROGRESS", "STEPS", "Clock", "Happens", "Killed", "ModelApi", "Rules", "Send", "Step", "World"]

EXISTS = "body.exists"
"""The ``already_exists_when`` that fits a model API with unique ids."""

_MOST_EXCHANGES = 20_000
"""Exchanges in one attempt after which a delivery counts as one that never ends."""

_UNTIL_CALM = 10**9
"""Requests that no attempt makes: what takes as long comes to its end when the network is calm at last."""


class Killed(BaseException):
    """Nothing in the package catches it: whatever was not written down is gone, as with ``kill -9``."""


class Clock:
    """
    Seconds that go by when a request is sent, or waited for, and at no other time.

    It is a delivery's source of jitter, too, and has none: the same draws take the same course.
    """

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    @staticmethod
    def uniform(_low, high):
        """Return the longest wait there may be."""
        return high


class Happens(Enum):
    """What may become of one request."""

    ANSWERED = "it is answered"
    LOST = "it is processed, and the connection closes without an answer"
    HALF = "it is processed, and half of an answer comes"
    GARBLED = "it is processed, and answered 200 with a body that says nothing"
    SWALLOWED = "it goes out, is not processed, and no answer comes"
    LATE = "no answer comes in time; the API is still working on it"
    QUEUED = "no answer comes in time; it waits in front of the API, which has not seen its key yet"
    GATEWAY_AFTER = "it is processed, and a gateway answers for the API"
    GATEWAY_BEFORE = "a gateway answers for the API, which never sees it"
    FAILED_AFTER = "it is processed, and answered 500"
    FAILED_BEFORE = "it is answered 500, and nothing of it is kept"
    BUSY = "it is answered by a status that says it was not taken"
    NOT_SENT = "no byte of it leaves"
    KILLED_BEFORE = "our process dies before it is sent"
    KILLED_DURING = "our process dies once it is sent; it is processed"
    KILLED_LATE = "our process dies once it is sent; the API is still working on it"
    KILLED_AFTER = "it is answered, and our process dies before it asks for more"
    KILLED_SAVING = "it is answered, and our process dies as it writes the next ledger, which is not written"
    KILLED_SAVED = "it is answered, and our process dies once the next ledger is written"
    STOPPED = "our process is asked to stop before the answer is in"
    SLOW = "it is answered, after a while"


_ARRIVES = frozenset({Happens.LOST, Happens.HALF, Happens.GATEWAY_AFTER, Happens.FAILED_AFTER, Happens.KILLED_DURING})
_KEEPS_WORKING = frozenset({Happens.LATE, Happens.QUEUED, Happens.KILLED_LATE})
_DIES = frozenset({Happens.KILLED_BEFORE, Happens.KILLED_DURING, Happens.KILLED_LATE})
_DIES_LATER = frozenset({Happens.KILLED_AFTER, Happens.KILLED_SAVING, Happens.KILLED_SAVED})
_SILENCE = {
    Happens.NOT_SENT: NotSentError("connection refused"),
    Happens.LOST: AmbiguousError("the connection closed without an answer"),
    Happens.SWALLOWED: AmbiguousError("the connection closed without an answer"),
    Happens.HALF: AmbiguousError("the answer broke off"),
    Happens.LATE: AmbiguousError("no answer came in time"),
    Happens.QUEUED: AmbiguousError("no answer came in time"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """
    What happens to one request.

    :param happens: what
    :param status: that it is answered with, where that is open
    :param retry_after: seconds that the answer asks to wait
    :param requests: how many later ones arrive before the API is done with it
    """

    happens: Happens = Happens.ANSWERED
    status: int | None = None
    retry_after: float | None = None
    requests: int = 0

    def __repr__(self):
        more = [str(value) for value in (self.status, self.retry_after, self.requests) if value]
        return f"<{' '.join([self.happens.name, *more])}>"


def _steps():
    yield Step()
    for happens in Happens:
        match happens:
            case Happens.GATEWAY_AFTER | Happens.GATEWAY_BEFORE:
                yield from (Step(happens, status) for status in (502, 504, 524))
            case Happens.FAILED_AFTER | Happens.FAILED_BEFORE:
                yield from (Step(happens, 500) for _ in range(3))
            case Happens.BUSY:
                yield from (Step(happens, 503), Step(happens, 429), Step(happens, 429, 90.0), Step(happens, 408))
            case Happens.LATE | Happens.QUEUED | Happens.KILLED_LATE:
                yield from (Step(happens, requests=requests) for requests in (1, 2, 4, _UNTIL_CALM))
            case Happens.LOST | Happens.SWALLOWED:
                yield from (Step(happens) for _ in range(4))
            case _:
                yield Step(happens)


STEPS = tuple(_steps())
"""What may be drawn for a request, the harmless first; what matters more stands there more than once."""

# The example of draft-ietf-httpapi-idempotency-key-header, section 2.7.
_PROBLEM = (
    b'{"type":"https://developer.example.com/idempotency","title":"A request is outstanding for this Idempotency-Key"}'
)
IN_PROGRESS = {
    "plain": (409, None, b""),
    "asks to wait": (409, 90.0, b""),
    "names the problem": (409, None, _PROBLEM),
    "locked": (423, 90.0, b""),
}
"""How an API may say that it is still working on a key: status, Retry-After, body."""


@dataclass(frozen=True, slots=True)
class Rules:
    """
    What an API is like, the same for as long as a delivery takes.

    :param honours_keys: a key it has processed gets the answer it got before
    :param unique_ids: it refuses what holds an id that it has
    :param before: ids that it has from before, where they are unique
    :param poison: ids that it does not take
    :param poison_status: what it answers to a request with one of those
    :param lists: what it does where it lists those in its answer: it takes the others, or none
    :param max_bytes: of a body, ``None`` for no bound
    :param in_progress: how it says so, a name of :data:`IN_PROGRESS`
    :param wrong_attempts: in how many attempts it refuses everything, at first
    """

    honours_keys: bool = True
    unique_ids: bool = False
    before: frozenset[int] = frozenset()
    poison: frozenset[int] = frozenset()
    poison_status: int = 422
    lists: Literal["takes others", "takes none"] | None = None
    max_bytes: int | None = None
    in_progress: str = "plain"
    wrong_attempts: int = 0


@dataclass(slots=True)
class Send:
    """
    One request that went out, as the API's book has it.

    :param number: of all sends of a delivery
    :param ids: of the records in it
    :param once: it was sent under ``at_most_once``
    :param refused: which of them the API refused, as far as it has processed the request
    :param said: the body of its answer
    """

    number: int
    key: str
    body: bytes
    ids: tuple[int, ...]
    once: bool
    refused: tuple[int, ...] = ()
    said: bytes = b"{}"


@dataclass(slots=True)
class _Work:
    send: Send
    requests: int
    seen: bool


class ModelApi:
    """
    Process what arrives, by its rules, and keep a book of it.

    What it has stands in ``taken``, with the sends that brought it; what was answered by a refusal in ``refused``, by
    500 although it was taken in ``failed_after``, by something that is no answer in ``garbled``.

    :param rules: what it is like
    """

    def __init__(self, rules):
        self.rules = rules
        self.wrong = False
        self.taken: dict[int, list[Send]] = defaultdict(list)
        self.refused: set[int] = set()
        self.failed_after: set[int] = set()
        self.garbled: set[int] = set()
        self.misused: list[str] = []
        self._keys: dict[str, Send] = {}
        self._working: list[_Work] = []

    def arrive(self, send):
        """Process a request; return status, Retry-After and body of the answer."""
        if self._is_too_large(send):
            return self._refuse(send, 413)
        if self.rules.honours_keys:
            known = self._keys.get(send.key)
            if known is None:
                known = next((work.send for work in self._working if work.seen and work.send.key == send.key), None)
                if known is not None and known.body == send.body:
                    return IN_PROGRESS[self.rules.in_progress]
            if known is not None:
                if known.body != send.body:
                    self.misused.append(f"{send.key} names {known.ids}, and then {send.ids}")
                    return 422, None, b"this key was used with another body"
                send.refused = known.refused
                return 200, None, known.said
        if (refusal := self._refusal(send)) is not None:
            return self._refuse(send, *refusal) if refusal[0] < 500 else (refusal[0], None, b"")
        self._take(send)
        return 200, None, send.said

    def work_on(self, send, requests, *, seen):
        """Take a request in, and be done with it only so many later ones on."""
        if self.rules.in_progress == "plain":
            # An API that says no more than "conflict" is not told from one that refuses, if it is at it for good.
            requests = min(requests, 4)
        known = self.rules.honours_keys and (
            send.key in self._keys or any(work.send.key == send.key for work in self._working)
        )
        if not known and not self._is_too_large(send) and self._refusal(send) is None:
            self._working.append(_Work(send, requests, seen))

    def passes(self):
        """Let the time of one request go by for what is worked on."""
        for work in self._working:
            work.requests -= 1
        self._finish([work for work in self._working if work.requests < 0])

    def catches_up(self):
        """Be done with all that is worked on."""
        self._finish(list(self._working))

    def will_have(self):
        """Return the ids that it has of this delivery, and those that it will have once it has caught up."""
        ids, keys = set(self.taken), set(self._keys)
        for send in self._unfinished():
            if not (self.rules.honours_keys and send.key in keys) and not (
                self.rules.unique_ids and (ids | self.rules.before).intersection(send.ids)
            ):
                ids.update(self._wanted(send))
                keys.add(send.key)
        return ids

    def _unfinished(self):
        return [work.send for work in sorted(self._working, key=lambda work: work.requests)]

    def _finish(self, done):
        for work in done:
            self._working.remove(work)
            known = self.rules.honours_keys and work.send.key in self._keys
            if not known and not (self.rules.unique_ids and self._has_any(work.send)):
                self._take(work.send)

    def _is_too_large(self, send):
        return self.rules.max_bytes is not None and len(send.body) > self.rules.max_bytes

    def _refusal(self, send):
        """Return status and body of the answer to a request of which nothing is taken, else ``None``."""
        rules = self.rules
        if self.wrong:
            return 400, b"no such envelope"
        if rules.unique_ids and self._has_any(send):
            return 409, b'{"exists":true}'
        if not rules.poison.isdisjoint(send.ids) and (rules.lists != "takes others" or rules.poison_status >= 500):
            return rules.poison_status, self._list(send) if rules.lists else b"I do not like it"
        return None

    def _has_any(self, send):
        return any(at in self.taken or at in self.rules.before for at in send.ids)

    def _list(self, send):
        return json.dumps(
            {"errors": [{"index": at, "error": "no"} for at, one in enumerate(send.ids) if one in self.rules.poison]}
        ).encode()

    def _wanted(self, send):
        return [at for at in send.ids if at not in self.rules.poison]

    @staticmethod
    def _refuse(send, status, body=b""):
        send.refused = send.ids
        return status, None, body

    def _take(self, send):
        if self.rules.lists == "takes others":
            send.refused = tuple(self.rules.poison.intersection(send.ids))
            send.said = self._list(send)
        if self.rules.honours_keys:
            self._keys[send.key] = send
        for at in self._wanted(send):
            self.taken[at].append(send)


@dataclass(slots=True)
class World:
    """
    Let a script happen to the requests of a delivery, one step each; all is calm behind its end.

    It is the ledger's store, and the transport of every attempt; :meth:`begins` is called before each.

    :param api: that requests go to
    :param script: steps, taken from its end
    :param clock: seconds that go by
    :param order: in which answers come: as asked, the latest first, or one at a time
    """

    api: ModelApi
    script: list[Step]
    clock: Clock
    order: Literal["asked", "latest", "single"] = "asked"
    trace: list[tuple[Send, Step, Response | None] | str] = field(default_factory=list)
    document: bytes | None = None
    claimed: str | None = None
    stopping: str | None = None
    requests: int = 0
    _sends: int = 0
    _once: bool = False
    _dies: Happens | None = None
    _answers: list[Response] = field(default_factory=list)
    _exchanges: int = 0
    _holds: bool = False

    def begins(self, *, once, wrong=False, calm=False):
        """Begin an attempt: nothing is left of the one before but what was written down."""
        self.stopping = self._dies = None
        self._answers.clear()
        self._once = once
        self._exchanges = self.requests = 0
        self._holds = False
        self.api.wrong = wrong
        if calm:
            self.script.clear()
            self.api.catches_up()

    def dies(self, happens):
        """Let the attempt that begins die by its first ledger."""
        self._dies = happens

    def factory(self, target, *, in_flight, headers, answer_bytes, may_repeat):
        """Be the transport factory of a delivery."""
        return self

    def story(self):
        """Return what happened."""
        return "\n".join(
            entry if isinstance(entry, str) else f"   {entry[0].number}: {list(entry[0].ids)} {_told(*entry[1:])}"
            for entry in self.trace
        )

    # The transport.

    def exchange(self, starting, wait):
        """Let each request have its step."""
        self._exchanges += 1
        if self._exchanges > _MOST_EXCHANGES:
            raise AssertionError("the delivery never ends")
        if self._dies is Happens.KILLED_AFTER:
            raise Killed
        for request in starting:
            self.clock.now += 0.001
            self.requests += 1
            if (answer := self._happens(request, self.script.pop() if self.script else STEPS[0])) is not None:
                self._answers.append(answer)
        if self.stopping is not None and not self._holds:
            # The answer to the last one is not in before the process has to end.
            self._holds = True
            del self._answers[-1:]
        if not self._answers:
            self.clock.now += wait
        count = 1 if self.order == "single" else len(self._answers)
        answers, self._answers = self._answers[:count], self._answers[count:]
        return answers[::-1] if self.order == "latest" else answers

    def close(self):
        """Nothing is kept open."""

    # The ledger's store.

    def load(self):
        """Return what was saved last."""
        return self.document

    def save(self, document, *, last=False):
        """Keep a document, or die of it."""
        dies, self._dies = self._dies, None
        if dies in (Happens.KILLED_AFTER, Happens.KILLED_SAVING):
            self.trace.append("   killed before a ledger was written")
            raise Killed
        self.document = document
        if dies is Happens.KILLED_SAVED:
            self.trace.append("   killed after a ledger was written")
            raise Killed

    def claim(self, attempt):
        """Keep which attempt goes on."""
        self.claimed = attempt

    def holder(self):
        """Return which attempt goes on."""
        return self.claimed

    def _happens(self, request, step):
        body = body_of(request)
        document = json.loads(body)
        ids = tuple(record["id"] for record in (document if isinstance(document, list) else [document]))
        self._sends += 1
        send = Send(self._sends, request.headers["Idempotency-Key"], body, ids, self._once)
        came = self._came(send, step, request)
        self.trace.append((send, step, came))
        self.api.passes()
        if came is None:
            raise Killed
        return came

    def _came(self, send, step, request):
        """Let a step happen; return the answer, ``None`` where our process is no more."""
        happens, api = step.happens, self.api
        if happens in _KEEPS_WORKING:
            api.work_on(send, step.requests, seen=happens is not Happens.QUEUED)
        elif happens in _ARRIVES:
            api.arrive(send)
        if step.status == 500:
            # Of what an earlier send brought, or will bring, this is a 500 after the commit, too.
            api.failed_after |= api.will_have().intersection(send.ids)
        if happens in _DIES:
            return None
        if happens in _SILENCE:
            return Response(request, error=_SILENCE[happens])
        if step.status is not None:
            return Response(request, step.status, retry_after=step.retry_after)
        return self._answered(send, happens, request)

    def _answered(self, send, happens, request):
        api = self.api
        status, retry_after, said = api.arrive(send)
        api.refused.update(send.refused)
        if happens is Happens.GARBLED and status == 200:
            api.garbled.update(send.ids)
            said = b"<html>"
        elif happens is Happens.STOPPED:
            self.stopping = "asked to stop"
        elif happens is Happens.SLOW:
            self.clock.now += 2.0
        elif happens in _DIES_LATER:
            self._dies = happens
        return Response(request, status, said, retry_after=retry_after)


def _told(step, came):
    if came is None:
        return f"{step!r}: killed"
    asked = f", Retry-After {came.retry_after:g}" if came.retry_after else ""
    return f"{step!r}: {came.status or came.error}{asked}"
