"""Signals become a request to stop, and the exception of ``execution_timeout`` is delayed."""

from __future__ import annotations

import signal
import threading

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from airflow_provider_osmosdest.operators import stop_signal as interruption
from airflow_provider_osmosdest.operators.stop_signal import StopSignal

LONG = 60.0


def ring():
    """Be the timer, now."""
    signal.raise_signal(signal.SIGALRM)


@pytest.fixture(autouse=True)
def _clean_clock():
    handler = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


def test_the_first_reason_stands():
    stop_signal = StopSignal()
    assert stop_signal.reason is None
    stop_signal.request_stop("first")
    stop_signal.request_stop("second")
    assert stop_signal.reason == "first"
    assert stop_signal.why() == "first. A retry of the task goes on where this attempt stood."


def test_nothing_happens_when_nothing_rings():
    stop_signal = StopSignal()
    with timeout(LONG):
        handler = signal.getsignal(signal.SIGALRM)
        with stop_signal.watching_the_clock():
            pass
        assert signal.getsignal(signal.SIGALRM) == handler
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0, "Airflow's timer goes on"
    assert stop_signal.reason is None


def run(work, stop_signal):
    """Run as Airflow runs a task with ``execution_timeout``."""
    with timeout(LONG), stop_signal.watching_the_clock():
        ring()
        work()


def test_airflows_exception_waits_for_the_end():
    stop_signal = StopSignal()
    done = []
    with pytest.raises(AirflowTaskTimeout):
        run(lambda: done.append(stop_signal.reason), stop_signal)
    assert done == ["The task's execution_timeout is over"]
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_it_comes_also_where_the_delivery_raises():
    # The time-out is what Airflow is told, with the delivery's own error behind it.
    with pytest.raises(AirflowTaskTimeout) as caught:
        run(lambda: int("stopped"), StopSignal())
    assert isinstance(caught.value.__context__, ValueError)


def test_what_cannot_be_asked_is_interrupted(monkeypatch):
    monkeypatch.setattr(interruption, "GRACE", 0.01)
    with pytest.raises(AirflowTaskTimeout):
        run(lambda: threading.Event().wait(LONG), StopSignal())


def test_without_a_time_limit_the_signal_is_left_alone():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with StopSignal().watching_the_clock():
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_outside_the_main_thread_too():
    # Python sets signal handlers in the main thread only.
    seen = []

    def work():
        with StopSignal().watching_the_clock():
            seen.append(signal.getsignal(signal.SIGALRM))

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGALRM)
    thread.start()
    thread.join()
    assert seen == [before]
