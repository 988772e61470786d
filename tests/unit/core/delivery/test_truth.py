"""
What a report says is what happened: whatever becomes of requests, answers and our own process.

A model of an API keeps a book, and every report is held against it: see :mod:`.model_api` for what may happen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.delivery import engine
from airflow_provider_osmosdest.core.delivery.engine import DeliveryRun
from airflow_provider_osmosdest.core.delivery.ledger.journal import Journal
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
from airflow_provider_osmosdest.core.errors import GivenUpError, SystemicError, WaitError
from airflow_provider_osmosdest.core.http.retry import Backoff
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator
from tests.thoroughness import examples
from tests.unit.core.delivery.conftest import ListSource, MemoryFolder
from tests.unit.core.delivery.model_api import (
    EXISTS,
    IN_PROGRESS,
    STEPS,
    Clock,
    Happens,
    Killed,
    ModelApi,
    Rules,
    Step,
    World,
)

SCHEMA = DestinationSchema.load(
    {"fields": [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]}
)
TARGET = Target("http://api.test/v1")
MOST = 8
CHOICES, STEPS_DRAWN = 40, 16
CASES = [(mode, promise) for mode in ("batch", "record") for promise in ("at_least_once", "at_most_once", "changing")]
EXAMPLES = 20_000 // len(CASES) + 1
OUTCOMES = ("invalid", "rejected", "unknown", "unsent")
HAS_NOT = frozenset({"invalid", "rejected", "unsent"})
# Where all that fails is the records, the bounds that are there for an API that fails must not stop the delivery.
CALM_OPTIONS = {"max_retries": 2, "systemic_after": 1000, "circuit_after": 100}


class Source(ListSource):
    fingerprint = "the same each time"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is drawn for one delivery."""

    rules: Rules
    count: int
    invalid: frozenset[int]
    heavy: frozenset[int]
    block: int
    options: dict
    attempts: list[tuple[bool, Happens | None]]
    script: list[Step]
    gap: int
    order: str
    deferrable: bool
    hosts: str | None

    def records(self):
        return [
            {"id": "x" if at in self.invalid else at, "note": "n" * 60 if at in self.heavy else None}
            for at in range(self.count)
        ]

    def steps(self):
        """Return the script, with as many calm steps between the others as are drawn, from its end."""
        return [step for drawn in reversed(self.script) for step in (*[STEPS[0]] * self.gap, drawn)]

    def takes_alone(self, at):
        """Whether the API takes a record that comes by itself, if it is not there already."""
        bound = self.rules.max_bytes
        return at not in self.rules.poison and (bound is None or bound > 100 or (at not in self.heavy and bound > 30))


class Choices:
    """
    Make choices by bytes, one each: two draws an example are a tenth of the cost of forty.

    :param drawn: a 0 is the first of what there is to choose from
    """

    def __init__(self, drawn):
        self._drawn = iter(drawn)

    def of(self, *values):
        """Choose one."""
        return values[next(self._drawn) % len(values)]

    def ids(self):
        """Choose up to two records."""
        found = next(self._drawn)
        return frozenset(((), (found // 3 % MOST,), (found // 3 % MOST, found // 3 // MOST % MOST))[found % 3])


def plan_of(mode, promise, drawn):
    choose, script = Choices(drawn[:CHOICES]), drawn[CHOICES:]
    unique = choose.of(False, False, False, True)
    rules = Rules(
        honours_keys=choose.of(True, False),
        unique_ids=unique,
        before=choose.ids() if unique else frozenset(),
        poison=choose.ids(),
        poison_status=choose.of(422, 400, 500),
        lists=choose.of(None, None, None, "takes others", "takes none"),
        max_bytes=choose.of(None, None, 120, 70),
        in_progress=choose.of(*IN_PROGRESS),
        wrong_attempts=choose.of(0, 0, 0, 0, 0, 0, 0, 1),
    )
    options = {
        "write_mode": mode,
        "max_retries": choose.of(1, 0, 2, 3),
        "systemic_after": choose.of(1000, 1000, 2),
    }
    if rules.lists is not None:
        options["item_errors"] = "errors"
    if mode == "batch":
        options["batch_size"] = choose.of(2, 1, 3, 4, MOST)
        options["max_batch_bytes"] = choose.of(None, None, 60, 100)
        options["on_batch_failure"] = choose.of("split", "split", "split", "fail")
    else:
        options["concurrency"] = choose.of(1, 2, 4)
        options["circuit_after"] = choose.of(10, 2)
    if "on_no_answer" in DeliveryOptions.names():
        options["on_no_answer"] = choose.of("stop", "stop", "stop", "split")
    if "already_exists_when" in DeliveryOptions.names() and unique:
        options["already_exists_when"] = choose.of(EXISTS, None)
    once = {"at_least_once": (False,), "at_most_once": (True,), "changing": (False, True)}[promise]
    opening = (*[None] * 14, Happens.KILLED_SAVING, Happens.KILLED_SAVED)
    return Plan(
        rules=rules,
        count=choose.of(*range(1, MOST + 1)),
        invalid=choose.ids(),
        heavy=choose.ids(),
        block=choose.of(50, 3),
        options=options,
        attempts=[(choose.of(*once), choose.of(*opening)) for _ in range(choose.of(1, 2, 3, 4))],
        script=[STEPS[step % len(STEPS)] for step in script.rstrip(b"\0")],
        gap=choose.of(0, 1, 3, 7),
        order=choose.of("asked", "latest", "single") if mode == "record" else "asked",
        deferrable=choose.of(False, False, False, True),
        # Each attempt on the machine of its letter, which alone sees its folder; or on one whose folder all see.
        hosts=choose.of(None, None, None, "ab", "aab", "abb"),
    )


def plans(mode, promise):
    """Return a strategy for plans: its examples shrink towards small deliveries to which little happens."""
    # All in one draw: of several, Hypothesis makes one nothing but zeros every other time.
    size = CHOICES + STEPS_DRAWN
    return st.binary(min_size=size, max_size=size).map(partial(plan_of, mode, promise))


class Desk:
    """One delivery, from its first attempt to its last."""

    def __init__(self, plan, clock):
        self.plan, self.folder = plan, MemoryFolder()
        self.folders, self.host = {}, None
        self.elsewhere, self.settled_elsewhere = {}, {}
        self.api = ModelApi(plan.rules)
        self.world = World(self.api, plan.steps(), clock, plan.order)
        self.records = plan.records()
        self.once_ever = any(once for once, _ in plan.attempts)

    def moves(self, number):
        """Let an attempt see the folder of its own machine alone."""
        ledger = {"host": None} if self.world.document is None else json.loads(self.world.document)
        if ledger["host"] == self.host:
            # The last attempt had written it before it was killed.
            self.settled_elsewhere = self.elsewhere
        self.elsewhere = dict(self.settled_elsewhere)
        self.host = self.plan.hosts[number % len(self.plan.hosts)]
        if ledger["host"] not in (None, self.host):
            # What the ledger calls settled, and only that machine can list.
            self.folder = self.folders[ledger["host"]]
            self.elsewhere |= self.outcomes_in(ledger["parts"])
        self.folder = self.folders.setdefault(self.host, MemoryFolder())

    def attempt(self, number, *, once, opening=None, calm=False):
        """Make an attempt; return what came of it, ``None`` where it was killed."""
        plan, world = self.plan, self.world
        if plan.hosts is not None:
            self.moves(number)
        wrong = number < plan.rules.wrong_attempts and not calm
        guarantee = "at_most_once" if once else "at_least_once"
        world.trace.append(f"attempt {number + 1}, {guarantee}{', refused whole' * wrong}{', calm' * calm}")
        world.begins(once=once, wrong=wrong, calm=calm)
        world.dies(opening)
        options = plan.options | (CALM_OPTIONS if calm else {})
        delivery = Delivery(
            TARGET,
            DeliveryOptions(guarantee=guarantee, max_failures="100%", **options),
            SCHEMA,
            self.folder,
        )
        run_context = RunContext(
            ledger=world,
            stopping=lambda: world.stopping,
            deferrable=plan.deferrable and not calm,
            run_key="the same each time",
            host=self.host,
        )
        source = Source(self.records, plan.block)
        try:
            result = DeliveryRun(delivery, source, world.factory, lambda line: None, run_context).run()
        except Killed:
            return None
        report = result.report
        world.trace.append(
            f"   = {report.delivered} delivered, {report.duplicate} duplicate, {self.listed()}"
            f"{', mendable' * result.mendable}: {result.error!r}"
        )
        return result

    def listed(self):
        """Return the outcome of each record in the failures file, and of those settled in one on another machine."""
        here = self.outcomes_in(name for name in self.folder.files if name.startswith("failures-"))
        assert not set(here) & set(self.elsewhere), "BOOKS a record is listed here and elsewhere"
        return dict(sorted((here | self.elsewhere).items()))

    def outcomes_in(self, parts):
        lines = [json.loads(line) for part in parts for line in self.folder.files.get(part, b"").splitlines()]
        outcomes = {line["index"]: line["outcome"] for line in lines}
        assert len(outcomes) == len(lines), "BOOKS a record is listed twice"
        return outcomes

    def check_books(self, result):
        """Hold a report against the failures file, and both against the API's book."""
        report, outcomes, api = result.report, self.listed(), self.api
        has, will_have = set(api.taken), api.will_have()
        for at, outcome in outcomes.items():
            assert outcome not in HAS_NOT or at not in has, f"FALSE {outcome}: the API has record {at}"
            assert outcome not in HAS_NOT or at not in will_have, f"FALSE {outcome}: the API will have record {at}"
            assert outcome != "rejected" or at in api.refused, f"NEVER REFUSED rejected: the API never refused {at}"
            assert (outcome == "invalid") == (at in self.plan.invalid), f"FALSE {outcome}: of record {at}"
        assert not api.misused, f"KEYS {api.misused}"
        if isinstance(result.error, WaitError):
            # The attempt goes on later: what is left is neither settled nor counted yet.
            assert report.delivered <= len(has), "FALSE delivered"
            return outcomes
        counted = {outcome: getattr(report, outcome) for outcome in OUTCOMES}
        found = {outcome: list(outcomes.values()).count(outcome) for outcome in OUTCOMES}
        assert counted == found, f"BOOKS the report counts {counted}, and the failures file {found}"
        assert report.read == report.delivered + report.duplicate + sum(counted.values()), "BOOKS do not add up"
        if self.has_stopped(result):
            # What earlier attempts settled may lie behind what this one read.
            assert report.delivered + report.duplicate <= len(has | self.plan.rules.before), "FALSE delivered"
            return outcomes
        done = set(range(report.read)) - set(outcomes)
        if not self.plan.rules.unique_ids:
            assert not report.duplicate, "FALSE duplicate"
        assert done <= has | (self.plan.rules.before if report.duplicate else set()), (
            f"FALSE delivered: the API does not have {done - has}"
        )
        assert report.read == self.plan.count, "BOOKS not all was read"
        return outcomes

    def has_stopped(self, result):
        return self.world.stopping is not None and result.error is not None

    def has_given_up(self, result):
        """Where the API fails time after time, for a record each time, it is as good as down."""
        rules = self.plan.rules
        return bool(rules.poison) and rules.poison_status == 500 and isinstance(result.error, GivenUpError)

    def check_twice(self):
        """Nothing was taken twice that must not be."""
        plan, api = self.plan, self.api
        # What is cut after a 500 goes under other keys: an API that had committed it all the same gets it twice.
        cuts = plan.options.get("batch_size", 1) > 1
        strict = plan.rules.honours_keys and plan.options.get("on_no_answer") != "split"
        for at, sends in api.taken.items():
            later = sorted(sends, key=lambda send: send.number)[1:]
            assert not any(send.once for send in later), f"TWICE under at_most_once: {at}"
            if strict and not (cuts and at in api.failed_after):
                assert not later, f"TWICE although keys are honoured: {at}"

    @property
    def is_certain(self):
        """Whether every record that the API takes must be delivered in the end."""
        rules, options = self.plan.rules, self.plan.options
        doubtful = rules.unique_ids or rules.wrong_attempts or options.get("on_batch_failure") == "fail"
        return not (self.once_ever or doubtful)

    def check_end(self, result, outcomes):
        """Where everything is answered at last, everything is settled."""
        plan = self.plan
        fails = {at for at in plan.rules.poison if plan.rules.poison_status == 500}
        given_up = self.has_given_up(result)
        assert given_up or "unsent" not in outcomes.values(), "UNSETTLED some are unsent, although all was answered"
        if not fails:
            assert result.error is None, "UNSETTLED all was answered"
            assert not result.mendable, "UNSETTLED all was answered"
        elif plan.options.get("on_batch_failure") != "fail":
            healthy = {at for at, outcome in outcomes.items() if outcome == "unknown" and plan.takes_alone(at)}
            assert given_up or not healthy - self.api.garbled or not self.is_certain, "UNSETTLED healthy"
        if self.is_certain and not given_up:
            late = {at for at in outcomes if plan.takes_alone(at)} - plan.invalid - self.api.garbled
            if plan.rules.honours_keys and plan.rules.in_progress == "plain":
                # A 409 that says nothing else may as well be a refusal.
                late = {at for at in late if outcomes[at] != "unknown"}
            assert not late, f"LOST: never delivered, although the API would take {late}"


def hold(plan, clock):
    desk = Desk(plan, clock)
    try:
        systemic = True
        for number, (once, opening) in enumerate(plan.attempts):
            result = desk.attempt(number, once=once, opening=opening)
            if result is not None:
                desk.check_books(result)
            systemic = systemic and (
                number >= plan.rules.wrong_attempts or (result is not None and isinstance(result.error, SystemicError))
            )
            desk.check_twice()
        number, once = len(plan.attempts), plan.attempts[-1][0]
        result = desk.attempt(number, once=once, calm=True)
        outcomes = desk.check_books(result)
        desk.check_twice()
        was_mendable = result.mendable
        result = desk.attempt(number + 1, once=once, calm=True)
        again = desk.check_books(result)
        desk.check_twice()
        assert was_mendable or again == outcomes, "UNSETTLED a second calm attempt ends otherwise"
        if not result.mendable:
            assert desk.world.requests == 0, "SENT AGAIN what was settled"
        desk.check_end(result, outcomes)
        if systemic and plan.rules.wrong_attempts and plan.options.get("on_batch_failure") != "fail":
            wronged = {
                at
                for at, outcome in outcomes.items()
                if outcome == "rejected" and plan.takes_alone(at) and not plan.rules.unique_ids
            }
            assert not wronged, f"SYSTEMIC: {wronged} were refused for what was wrong with all, and are given up"
    except AssertionError as error:
        error.add_note(desk.world.story())
        raise


@pytest.fixture(scope="module")
def clock():
    """Seconds that go by only as the model says, for all that a delivery waits for."""
    clock = Clock()
    # To make a validator for each attempt would take a third of the time, and it is the same one each time.
    validator = BulkValidator(SCHEMA)
    with (
        patch.object(engine, "BulkValidator", lambda *args, **more: validator),
        patch.object(engine, "Backoff", partial(Backoff, _random=clock)),
        patch.object(SendContext, "now", lambda self: clock.now),
        patch.dict(Journal.__init__.__kwdefaults__, {"clock": clock}),
    ):
        yield clock


@pytest.mark.parametrize(("mode", "promise"), CASES)
def test_the_report_is_true(mode, promise, clock):
    @settings(max_examples=examples(EXAMPLES, here=60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(plans(mode, promise))
    def holds(plan):
        clock.now = 0.0
        hold(plan, clock)

    if settings.default.derandomize:
        # Else the cases, which share their code, would share what is drawn, too.
        holds = seed(CASES.index((mode, promise)))(holds)
    holds()
