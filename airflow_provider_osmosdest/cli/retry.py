"""``airflow osmosdest retry``: deliver the failures of a delivery again, with what its report says of it."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import FAILED, confirm, exit_codes, only_document, say
from airflow_provider_osmosdest.cli.run import run_by_hand, try_by_hand
from airflow_provider_osmosdest.cli.task_state import find_instance
from airflow_provider_osmosdest.core.delivery.ledger.ledger import Ledger, read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.messages import counted
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.replay import SelectedFailures, count_failures
from airflow_provider_osmosdest.core.errors import ConfigurationError, SourceError
from airflow_provider_osmosdest.hooks.connections.http_fields import headers_of
from airflow_provider_osmosdest.hooks.delivery import delivery_folder, load_schema, mapping_of
from airflow_provider_osmosdest.hooks.provenance import schema_digest
from airflow_provider_osmosdest.hooks.retries import (
    Overrides,
    open_failures,
    prepare_retry,
    read_report,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections import Counter
    from collections.abc import Collection, Mapping

    from airflow_provider_osmosdest.core.delivery.model import Delivery
    from airflow_provider_osmosdest.hooks.retries import KeptReport

__all__ = ["retry_failures"]

_OUTCOMES = ("invalid", "rejected", "unknown", "unsent")
_GOES_ON = frozenset({"queued", "running", "restarting", "scheduled", "up_for_retry", "up_for_reschedule", "deferred"})
"""States of a task instance whose next attempt begins by itself, or has begun."""
_FLAGS = {"destination_schema": "--schema"}
_RUN_KEY = "retry"


def retry_failures(args: Namespace) -> None:
    """Deliver the failures of a delivery again, after showing what that comes to."""
    with exit_codes(), only_document() as show:
        report = _report(args)
        if report.failures_path is None:
            say(f"{report.path}: every record was delivered, so there is nothing to deliver again.")
            show(_nothing(report, {}))
            return
        overrides = _overrides(args)
        _check_given(report, overrides)
        _check_at_rest(report)
        found = count_failures(open_failures(report))
        outcomes = _outcomes(report, found, args.only)
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        if args.dry_run:
            instance: tuple[str, ...] = ("cli", now)
        else:
            name = "+".join(sorted(outcomes)) or "none"
            instance = ("cli", _name(report.delivery_id), f"{name}@{now}" if args.again else name)
        prepared = prepare_retry(report, overrides, instance)
        source = SelectedFailures(open_failures(report), outcomes)
        _say_plan(report, found, outcomes, prepared.delivery)
        if not outcomes:
            say("Nothing is to be delivered again.")
            show(_nothing(report, found))
            sys.exit(FAILED if found else 0)
        if args.dry_run:
            try_by_hand(prepared.delivery, source, show)
            return
        if not args.again:
            _check_earlier(report, outcomes, instance[-1], source.fingerprint)
        records = counted(sum(found[outcome] for outcome in outcomes), "record")
        confirm(f"Deliver {records} to {prepared.delivery.where}?", "Nothing was sent.", yes=args.yes)
        run_by_hand(prepared.delivery, source, prepared.transport, prepared.conn_id, show, run_key=_RUN_KEY)


def _report(args: Namespace) -> KeptReport:
    """Return the report that the arguments name."""
    named = [args.dag_id, args.run_id, args.task_id]
    if bool(args.report) == any(named) or (any(named) and not all(named)):
        msg = (
            "expected the path of a report.json, or --dag-id, --run-id and --task-id (and --map-index of a mapped task)"
        )
        raise ConfigurationError(msg)
    if args.report:
        return read_report(args.report)
    folder = delivery_folder((args.dag_id, args.run_id, args.task_id, str(args.map_index)))
    group, _, task = args.task_id.rpartition(".")
    if task == "merge" and group and not (folder / "report.json").exists():
        # The report of a delivery in parts is its group's.
        folder = delivery_folder((args.dag_id, args.run_id, group, str(args.map_index)))
    try:
        return read_report(str(folder / "report.json"))
    except SourceError as error:
        msg = (
            f"{error}. The task has delivered nothing, or its report is on another machine; a mapped task needs "
            "--map-index"
        )
        raise ConfigurationError(msg) from error


def _overrides(args: Namespace) -> Overrides:
    names = DeliveryOptions.names()
    return Overrides(
        conn_id=args.conn_id,
        endpoint=args.endpoint or None,
        method=args.method,
        headers=headers_of(args.headers) if args.headers else None,
        auth_type=args.auth_type,
        destination_schema=load_schema(args.schema) if args.schema else None,
        mapping=mapping_of(args.mapping) if args.mapping else None,
        options={name: value for name, value in vars(args).items() if name in names},
    )


def _check_given(report: KeptReport, overrides: Overrides) -> None:
    """Make sure that all is given that the report does not keep."""
    missing = [name for name in report.about.get("withheld") or () if not overrides.has(name)]
    if not missing:
        return
    values = {**report.given, **(report.given.get("options") or {})}
    told = []
    for name in missing:
        flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
        value = values.get(name)
        told.append(f"{flag} ({', '.join(value) if isinstance(value, list) else value})" if value else flag)
    msg = (
        f"{report.path}: says what that delivery was given beside its connection, but not what may be secret of it. "
        f"Give that again, as it was: {', '.join(told)}"
    )
    raise ConfigurationError(msg)


def _check_at_rest(report: KeptReport) -> None:
    """Refuse while the task's own next attempt may send the same records."""
    from sqlalchemy.exc import SQLAlchemyError

    about = report.about
    if about.get("dag_id") is None:
        return
    try:
        instance = find_instance(about["dag_id"], about["run_id"], about["task_id"], about["map_index"])
    except (ConfigurationError, SQLAlchemyError):
        # Airflow has forgotten the run, or its database is not here: then nothing begins by itself here.
        return
    if instance.state in _GOES_ON:
        msg = (
            f"the task {about['task_id']!r} is {instance.state}, so it goes on with this delivery itself. Wait for its "
            "end, or mark it as failed"
        )
        raise ConfigurationError(msg)


def _outcomes(report: KeptReport, found: Counter[str], only: Collection[str] | None) -> set[str]:
    """Return which of the outcomes that there are go out again."""
    wanted = set(only or ("invalid", "rejected", *(() if report.of_task else ("unsent",))))
    return {outcome for outcome in wanted if found[outcome]}


def _say_plan(report: KeptReport, found: Mapping[str, int], outcomes: Collection[str], delivery: Delivery[Any]) -> None:
    about = report.about
    of = (
        f"of the task {about['task_id']!r} in run {about['run_id']!r} of {about['dag_id']!r}"
        if about.get("dag_id")
        else ""
    )
    when = f"ended {about['ended_at']}" if about.get("ended_at") else ""
    named = ", ".join(each for each in (of, when) if each)
    say(f"Report: {report.path}" + (f" ({named})" if named else ""))
    say(f"Failures: {report.failures_path}: {_counts(found, _OUTCOMES)}")
    say(f"To: {delivery.where}")
    options = delivery.about["given"]["options"]
    with_ = [f"{name}={value}" for name, value in options.items() if (name, value) != ("max_failures", 0)]
    with_ += ["its mapping"] if delivery.mapping else []
    if with_:
        say(f"With: {', '.join(with_)}")
    digest = (about.get("schema") or {}).get("digest")
    if digest is not None and digest != schema_digest(delivery.schema):
        say("The schema is another one than they failed under.")
    if about.get("url") is not None and about["url"] != delivery.about["url"]:
        say(f"The address is another one; it was {about['url']}")
    if outcomes:
        say(f"To be delivered again: {_counts(found, outcomes)}")
    left = [outcome for outcome in _OUTCOMES if found[outcome] and outcome not in outcomes]
    for outcome in left:
        say(f"Left out: {found[outcome]:,} {outcome}{_why_left(report, outcome)}")
    if "unknown" in outcomes:
        say("The API may have the unknown ones already, and takes them twice then: has it been asked?")
    if report.of_task and "unsent" in outcomes:
        say("The task's next attempt sends the unsent ones, too: do not clear it after this.")
    if (about.get("options") or {}).get("retry_rejected"):
        say("The task has retry_rejected, so clearing it sends them again, too: do one of the two.")


def _counts(found: Mapping[str, int], outcomes: Collection[str]) -> str:
    told = ", ".join(f"{found[outcome]:,} {outcome}" for outcome in _OUTCOMES if outcome in outcomes and found[outcome])
    return f"{counted(sum(found[outcome] for outcome in outcomes), 'record')} ({told})" if told else "none"


def _why_left(report: KeptReport, outcome: str) -> str:
    if outcome == "unknown":
        return ": the API may have them. Ask it, then name those it has not with --only unknown"
    if outcome == "unsent" and report.of_task:
        return ": the task's next attempt sends them, so clear it. To send them from here, name them with --only unsent"
    return ""


@dataclass(frozen=True, slots=True)
class _Earlier:
    """
    An earlier retry of the same delivery.

    :param folder: of the retry
    :param outcomes: what it delivered again
    :param ledger: of the retry
    """

    folder: Any
    outcomes: frozenset[str]
    ledger: Ledger

    @property
    def taken(self) -> int:
        """How many records the API has of it, or may have."""
        counts = self.ledger.counts
        known = sum(counts.get(name, 0) for name in ("delivered", "duplicate", "unknown"))
        return known + len(self.ledger.doubts())


def _check_earlier(report: KeptReport, outcomes: set[str], name: str, fingerprint: str | None) -> None:
    """
    Make sure that nothing goes out twice: an earlier retry is gone on with, and what it delivered is left alone.

    :raises ConfigurationError: when an earlier one has delivered some of it, and cannot be gone on with
    """
    for earlier in _earlier(report.delivery_id):
        later = _taking(earlier.ledger.delivery_id)
        if not (earlier.taken or later) or not earlier.outcomes.intersection(outcomes):
            continue
        if earlier.folder.name != name:
            others = " ".join(f"--only {each}" for each in sorted(outcomes - earlier.outcomes))
            why = "It was asked for other outcomes" + (f"; for what is left, say {others}" if others else "")
        elif earlier.ledger.complete:
            why = "It has come to its end"
        elif later is not None:
            why = f"What it left was retried since: {later.folder}/report.json"
        elif earlier.ledger.fingerprint != fingerprint:
            why = "The failures file has changed since"
        else:
            delivered = counted(earlier.ledger.counts.get("delivered", 0), "record")
            say(f"An earlier retry has delivered {delivered} of them: this goes on where it stood.")
            continue
        msg = (
            f"an earlier retry has sent these, or some of them: {earlier.folder}/report.json. {why}. If something "
            "failed there, retry that report, the last one; with --again, all of these are delivered once more"
        )
        raise ConfigurationError(msg)


def _taking(delivery_id: str) -> _Earlier | None:
    """Return a retry of a delivery, or a retry of that, which has delivered something."""
    for each in _earlier(delivery_id):
        if (found := _taking(each.ledger.delivery_id) or (each if each.taken else None)) is not None:
            return found
    return None


def _earlier(delivery_id: str) -> list[_Earlier]:
    """Return the retries of a delivery."""
    root: Any = delivery_folder(("cli", _name(delivery_id)))
    try:
        folders = sorted(root.iterdir(), key=str)
    except FileNotFoundError:
        return []
    found = []
    for each in folders:
        folder = delivery_folder(("cli", _name(delivery_id), each.name))
        document = FolderLedgerStore(folder).load()
        if document is not None:
            outcomes = frozenset(each.name.partition("@")[0].split("+"))
            found.append(_Earlier(folder, outcomes, read_ledger(document, folder)))
    return found


def _name(delivery_id: str) -> str:
    return f"retry-{delivery_id}"


def _nothing(report: KeptReport, found: Mapping[str, int]) -> dict[str, Any]:
    return {"retry_of": report.report_path, "failures": dict(found), "delivered": 0}
