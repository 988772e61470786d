"""Threads that take turns at each request to a store, in an order that a test decides, with faults where it likes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


class Killed(BaseException):
    """The process is gone: nothing of it handles this."""


@dataclass
class _Actor:
    name: str
    thread: threading.Thread | None = None
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: bool = False
    error: BaseException | None = None


class Interleaving:
    """
    Run actors one request at a time.

    :param rnd: decides whose turn it is and what fails
    :param faults: how many requests may fail
    """

    def __init__(self, rnd: random.Random, faults: int = 0, clock: Clock | None = None) -> None:
        self._rnd = rnd
        self._faults = faults
        self._faulty = rnd.choice([0.02, 0.1, 0.3])
        # How likely the same actor goes on: where it mostly does, others stand still for long in between.
        self._sticky = rnd.choice([0.0, 0.5, 0.9, 0.97])
        self._clock = clock
        self._actors: list[_Actor] = []
        self._by_thread: dict[int, _Actor] = {}
        self._parked = threading.Semaphore(0)
        self.steps = 0

    def add(self, name: str, work: Callable[[], None]) -> None:
        actor = _Actor(name)

        def run() -> None:
            self._by_thread[threading.get_ident()] = actor
            try:
                self._wait(actor)
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by run()
                actor.error = error
            finally:
                actor.done = True
                self._parked.release()

        actor.thread = threading.Thread(target=run, name=name, daemon=True)
        self._actors.append(actor)

    def run(self) -> None:
        for actor in self._actors:
            assert actor.thread is not None
            actor.thread.start()
        for _ in self._actors:
            assert self._parked.acquire(timeout=10)
        current = self._actors[0]
        while alive := [actor for actor in self._actors if not actor.done]:
            self.steps += 1
            assert self.steps < 20_000, "no process gets anywhere"
            if self._clock is not None:
                self._clock.pass_by(self._rnd)
            if current not in alive or self._rnd.random() >= self._sticky:
                current = self._rnd.choice(alive)
            current.turn.release()
            assert self._parked.acquire(timeout=10)
        for actor in self._actors:
            if actor.error is not None:
                raise actor.error

    def perform(self, what: str, name: str, act: Callable[[], Any]) -> Any:
        actor = self._by_thread.get(threading.get_ident())
        if actor is None:
            return act()
        self._wait(actor)
        if not self._faults or self._rnd.random() >= self._faulty:
            return act()
        self._faults -= 1
        fault = self._rnd.choice(["killed before", "killed after", "answer lost", "not sent", "sent twice"])
        if fault == "killed before":
            raise Killed
        if fault == "not sent":
            raise ConnectionError("made up: no connection")
        answer = act()
        if fault == "killed after":
            raise Killed
        if fault == "answer lost":
            raise TimeoutError("made up: no answer")
        # What s3fs, botocore and azure-core do by themselves: the second request meets what the first has done.
        return act() if what in {"create", "get"} else answer

    def _wait(self, actor: _Actor) -> None:
        self._parked.release()
        assert actor.turn.acquire(timeout=30)


class Clock:
    """A clock that a test moves; processes may stand still for long between two requests."""

    def __init__(self, jumps: tuple[float, ...] = (0.0, 0.0, 0.0, 0.001, 0.2, 2.0)) -> None:
        self.now = 1_700_000_000.0
        self._jumps = jumps

    def __call__(self) -> float:
        return self.now

    def pass_by(self, rnd: random.Random) -> None:
        self.now += rnd.choice(self._jumps)
