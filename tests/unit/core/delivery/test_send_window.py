from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.intents import Intents


def sent_for(seconds, rate):
    """Send index after index at a rate; return the windows that were written, and check each send against them."""
    intents, windows = Intents(), []
    for index in range(int(seconds * rate)):
        if intents.needs(index):
            windows.append(intents.chunk((index, index), index / rate))
        assert windows[-1].start <= index < windows[-1].stop, "what is sent was noted before"
    return windows


def test_nothing_may_be_sent_before_the_first_window():
    assert Intents().needs(0)


def test_a_window_reaches_back_to_what_is_not_settled():
    chunk = Intents().chunk((3, 40), 0.0)
    assert chunk.start == 3
    assert chunk.stop > 40


def test_the_ledger_is_written_about_once_a_second_at_any_speed():
    for rate in (1, 20, 1_000, 20_000):
        seconds = 30
        windows = sent_for(seconds, rate)
        late = windows[len(windows) // 2 :]
        assert len(windows) <= 2 * seconds + 12
        assert max(chunk.stop - chunk.start for chunk in late) <= max(4 * rate, 34), "the fewer, the fewer unknown"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 3)), max_size=40))
def test_what_is_sent_was_noted_whatever_the_pace(steps):
    intents, now, noted = Intents(), 0.0, 0
    for low, more, passed in steps:
        now += passed
        highest = low + more
        if intents.needs(highest):
            chunk = intents.chunk((low, highest), now)
            assert chunk.start == low
            noted = chunk.stop
        assert highest < noted
