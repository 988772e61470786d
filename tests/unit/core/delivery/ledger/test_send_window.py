from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery.ledger.send_window import SendWindow


def sent_for(seconds, rate):
    """Send index after index at a rate; return the windows that were written, and check each send against them."""
    window, windows = SendWindow(), []
    for index in range(int(seconds * rate)):
        if window.needs(index):
            windows.append(window.move((index, index), index / rate))
        start, stop = windows[-1]
        assert start <= index < stop, "what is sent was noted before"
    return windows


def test_nothing_may_be_sent_before_the_first_window():
    assert SendWindow().needs(0)


def test_a_window_reaches_back_to_what_is_not_settled_and_some_way_on():
    window = SendWindow()
    assert window.move((3, 40), 0.0) == (3, 57)
    assert not window.needs(56)
    assert window.needs(57)


def test_it_doubles_while_the_records_of_one_last_less_than_a_second():
    window = SendWindow()
    sizes = []
    for step in range(16):
        start, stop = window.move((0, 0), step * 0.99)
        sizes.append(stop - start - 1)
    assert sizes[:4] == [16, 32, 64, 128]
    assert max(sizes) == sizes[-1] == 65_536, "a crash must not put everything in doubt"


def test_it_halves_when_they_last_longer():
    window = SendWindow()
    for step in range(4):
        window.move((0, 0), step * 0.5)
    sizes = [window.move((0, 0), 1.5 + step)[1] - 1 for step in range(1, 7)]
    assert sizes == [64, 32, 16, 16, 16, 16]
    assert {type(size) for size in sizes} == {int}, "the ledger holds whole numbers"


def test_the_ledger_is_written_about_once_a_second_at_any_speed():
    for rate in (1, 20, 1_000, 20_000):
        seconds = 30
        windows = sent_for(seconds, rate)
        late = windows[len(windows) // 2 :]
        assert len(windows) <= 2 * seconds + 12
        assert max(stop - start for start, stop in late) <= max(4 * rate, 34), "the fewer, the fewer unknown"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 3)), max_size=40))
def test_what_is_sent_was_noted_whatever_the_pace(steps):
    window, now, noted = SendWindow(), 0.0, 0
    for low, more, passed in steps:
        now += passed
        highest = low + more
        if window.needs(highest):
            start, noted = window.move((low, highest), now)
            assert start == low
        assert highest < noted
