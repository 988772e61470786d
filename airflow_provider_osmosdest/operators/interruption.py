"""Turn signals into a wish to stop, so that a delivery ends between two steps and never within one."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Interruption"]


class Interruption:
    """Whether somebody wishes a task to stop, and why."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._alarm: tuple[int, Any] | None = None

    def ask(self, reason: str) -> None:
        """Wish it to stop; safe to call from a signal handler."""
        self.reason = self.reason or reason

    @contextmanager
    def watching_the_clock(self) -> Iterator[None]:
        """
        Hold back the exception that ``execution_timeout`` raises wherever the program happens to be.

        Airflow's handler of SIGALRM raises it; called in the middle of a ledger's change, or in a callback of libcurl,
        it would do harm or be lost. It is asked to wait, and called once the delivery has ended in good order.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handler = signal.getsignal(signal.SIGALRM)
        if not callable(handler):
            yield
            return
        signal.signal(signal.SIGALRM, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGALRM, handler)
            self._ring(handler)

    def _note(self, signum: int, frame: Any) -> None:
        self._alarm = (signum, frame)
        self.ask("The task's execution_timeout is over")

    def _ring(self, handler: Callable[[int, Any], Any]) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            handler(*alarm)
