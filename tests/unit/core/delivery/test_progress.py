from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.delivery.progress import PERIOD, Progress
from airflow_provider_osmosdest.core.delivery.report import Tally


class Desk:
    """A tally, a clock and a share to turn by hand, and the lines that were said."""

    def __init__(self, share=None):
        self.tally, self.lines, self.now, self.share = Tally(), [], 1_000.0, share
        self.progress = Progress(self.tally, lambda: self.share, self.lines.append, lambda: self.now)

    def pass_(self, seconds):
        self.now += seconds
        self.progress.tick()


def test_a_line_comes_every_period_and_no_sooner():
    desk = Desk()
    for _ in range(99):
        desk.pass_(PERIOD / 100)
    assert desk.lines == []
    desk.pass_(PERIOD / 50)
    assert len(desk.lines) == 1
    desk.progress.tick()
    assert len(desk.lines) == 1
    desk.pass_(3 * PERIOD)
    assert len(desk.lines) == 2


def test_a_line_says_records_speed_and_failures():
    desk = Desk()
    desk.tally.delivered = 120_000
    desk.pass_(10)
    assert desk.lines.pop() == "120,000 delivered, 0 failed, 12,000 records/s"
    desk.tally.delivered, desk.tally.invalid, desk.tally.rejected, desk.tally.unknown = 130_000, 6_000, 3_000, 1_000
    desk.pass_(10)
    assert desk.lines.pop() == (
        "130,000 delivered, 10,000 failed, 2,000 records/s (6,000 invalid, 3,000 rejected, 1,000 unknown)"
    )


@pytest.mark.parametrize(
    ("share", "seconds", "end"),
    [
        (0.5, 10, ", 50% done, about 10 s left"),
        (0.1, 10, ", 10% done, about 1 min 30 s left"),
        (0.1, 10_000, ", 10% done, about 25 h 00 min left"),
        (0.099, 10, " records/s"),
        (1.0, 10, ", 100% done, about 0 s left"),
        (None, 10, "records/s"),
        (0.0, 10, "records/s"),
    ],
)
def test_the_end_is_estimated_where_the_share_is_known(share, seconds, end):
    desk = Desk(share)
    desk.tally.read = desk.tally.delivered = 1_000
    desk.pass_(seconds)
    assert desk.lines[0].endswith(end)


def test_what_is_read_and_not_settled_is_not_done():
    desk = Desk(0.8)
    desk.tally.read, desk.tally.delivered = 1_000, 500
    desk.pass_(10)
    assert ", 40% done, about 15 s left" in desk.lines[0]


def test_nothing_settled_yet_gives_no_estimate():
    desk = Desk(0.5)
    desk.tally.read = 1_000
    desk.pass_(10)
    assert desk.lines == ["0 delivered, 0 failed, 0 records/s"]


def test_where_nothing_is_delivered_it_says_what_became_of_the_records():
    said, now = [], iter([0.0, 20.0, 20.0])
    progress = Progress(Tally(read=3, delivered=2, invalid=1), lambda: None, said.append, lambda: next(now), "valid")
    progress.tick()
    assert said[0].startswith("2 valid, 1 failed")
