"""A slice of ``hundred.py``, and proof that its check would notice."""

from __future__ import annotations

import dataclasses

import pytest

from tests.integration.kills.killing import KINDS, Plan, check, run_with_kills


@pytest.mark.parametrize("seed", range(1000, 1000 + len(KINDS)))
def test_a_delivery_survives_kill_9(server, tmp_path, seed):
    figures = run_with_kills(Plan.drawn(seed), server, str(seed), tmp_path / "run")
    assert figures.faults == []
    assert figures.kills >= 1


PLAN = dataclasses.replace(
    Plan.drawn(0), kind=KINDS[0], count=4, invalid=frozenset({2}), poison=frozenset({3}), options={"batch_size": 2}
)
REPORT = {"read": 4, "delivered": 2, "invalid": 1, "rejected": 1, "unknown": 0, "unsent": 0}
FAILURES = [{"index": 2, "outcome": "invalid"}, {"index": 3, "outcome": "rejected"}]
ACCEPTED = [{"at": 1.0, "key": "a", "ids": [0, 1]}]


class TestCheck:
    """The check sees each kind of broken promise."""

    def faults(self, *, plan=PLAN, failures=FAILURES, accepted=ACCEPTED, killed=(1.5,), **counts):
        return " ".join(check(plan, {**REPORT, **counts}, failures, accepted, list(killed)).faults)

    def test_nothing_when_all_is_well(self):
        assert not self.faults()

    def test_a_record_that_never_arrived(self):
        assert "1 lost" in self.faults(accepted=[{"at": 1.0, "key": "a", "ids": [0]}])

    def test_a_record_without_an_outcome(self):
        assert "do not add up" in self.faults(read=3)
        assert "do not add up" in self.faults(rejected=0)

    def test_a_failure_told_twice(self):
        assert "twice in the failures file" in self.faults(failures=[*FAILURES, FAILURES[0]])

    def test_a_good_record_given_up(self):
        failures = [*FAILURES, {"index": 1, "outcome": "rejected"}]
        assert "a good record was rejected" in self.faults(failures=failures, delivered=1, rejected=2)

    def test_a_record_accepted_and_denied(self):
        failures = [{"index": 0, "outcome": "rejected"}, {"index": 2, "outcome": "invalid"}]
        assert "said not to be" in self.faults(failures=failures)

    def test_more_given_up_than_a_kill_explains(self):
        failures = [*FAILURES, {"index": 0, "outcome": "unknown"}, {"index": 1, "outcome": "unknown"}]
        counts = {"delivered": 0, "unknown": 2}
        plan = dataclasses.replace(PLAN, kind=KINDS[2])
        assert not self.faults(plan=plan, failures=failures, **counts)
        assert "2 unknown, where 0 may be" in self.faults(plan=plan, failures=failures, killed=(), **counts)

    @pytest.mark.parametrize(("kind", "killed", "kept"), [
        (KINDS[0], [1.5], False),
        (KINDS[1], [1.5], True),
        (KINDS[1], [], False),
        (KINDS[2], [1.5], False),
        (KINDS[3], [1.5], False),
        (KINDS[4], [1.5], True),
        (KINDS[5], [1.5], False),
    ])  # fmt: skip
    def test_a_record_accepted_twice(self, kind, killed, kept):
        plan = dataclasses.replace(PLAN, kind=kind, options={"batch_size": 2, "concurrency": 1})
        faults = self.faults(plan=plan, accepted=[*ACCEPTED, *ACCEPTED], killed=killed)
        assert ("accepted twice" not in faults) is kept
