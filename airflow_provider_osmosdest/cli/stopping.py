"""Turn Ctrl-C and SIGTERM into a request to stop, so that a delivery begun by hand ends in good order, too."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Stopping", "stopping_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Which signal came, if any."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or 0)

    def why(self) -> str | None:
        """Return why to stop, in the form a delivery expects; ``None`` not to stop."""
        if self.signal is None:
            return None
        return (
            f"The command was told to stop ({self.signal.name}). Report and failures file say what became of the "
            "records that were read until then; the others were not sent, and are in neither."
        )


@contextmanager
def stopping_on_signals() -> Iterator[Stopping]:
    """
    Take the first signal as a request to stop; the next goes to the handler before, for a command that hangs.

    To be used in the main thread, as only that may set signal handlers.
    """
    stopping = Stopping()
    before = {each: signal.getsignal(each) for each in _SIGNALS}

    def note(number: int, frame: Any) -> None:  # noqa: ARG001 - the signature of a handler
        stopping.signal = signal.Signals(number)
        restore()
        # Not by print: a handler may run in the middle of one.
        os.write(2, b"Stopping in good order. Once more stops at once, without a report.\n")

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in _SIGNALS:
        signal.signal(each, note)
    try:
        yield stopping
    finally:
        restore()
