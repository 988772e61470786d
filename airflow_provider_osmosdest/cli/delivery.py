"""The commands of ``airflow osmosdest delivery``: show a delivery's ledger, or replace it by a new one."""

from __future__ import annotations

import json
import sys
import time
import uuid
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.cli.console import FAILED, confirm, exit_codes, only_document, say
from airflow_provider_osmosdest.cli.ledgers import found_at, place_of, where, written_at
from airflow_provider_osmosdest.cli.times import ago
from airflow_provider_osmosdest.core.delivery.ledger.journal import PERIOD
from airflow_provider_osmosdest.core.delivery.ledger.ledger import COUNTS, Ledger
from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from airflow_provider_osmosdest.cli.ledgers import Found, Place
    from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet

__all__ = ["forget_delivery", "show_delivery"]

_MOST = 20
"""Ranges, chunks and reasons that are listed; the rest is counted."""

_FENCED_SECONDS = 2 * PERIOD


def show_delivery(args: Namespace) -> None:
    """Show what the ledger of a delivery says."""
    with exit_codes(), only_document() as show:
        place = place_of(args)
        found = found_at(place)
        at = written_at(place)
        show(_document(place, found, at))
        _tell(place, found, at)
        if found.error:
            sys.exit(FAILED)


def forget_delivery(args: Namespace) -> None:
    """Put a new ledger in the place of a delivery's, so that all of it is sent again."""
    with exit_codes(), only_document() as show:
        place = place_of(args)
        found = found_at(place)
        if found.status == "none":
            show({"forgotten": None, "delivery_id": None})
            say("There is no ledger, and so nothing to forget: an attempt would send everything anyway.")
            return
        if found.delivery_id is None and not args.new_id:
            msg = (
                f"{found.error} Its delivery id cannot be read either, so the keys cannot stay the same: with --new-id "
                "the delivery begins anew under other keys, and an API that honours keys takes again what it has."
            )
            raise StorageError(msg)
        if place.instance is not None and place.instance.at_work and not args.force:
            msg = (
                f"the task is {place.instance.state}: an attempt sends records while its ledger is forgotten. Wait for "
                "its end, or mark the task as failed; with --force the attempt is told to stop first."
            )
            raise StorageError(msg)
        new_id = uuid.uuid4().hex if args.new_id or found.delivery_id is None else found.delivery_id
        _say_what_happens(found, new_id)
        confirm("Forget it?", "Nothing was forgotten.", yes=args.yes)
        # First, so that an attempt that runs still, or comes back, finds that it is over and writes nothing more.
        place.store.claim(f"forgotten-{uuid.uuid4().hex}")
        if place.instance is not None and place.instance.at_work:
            time.sleep(_FENCED_SECONDS)
        place.store.save(Ledger(new_id).to_json(), last=True)
        show({"forgotten": found.delivery_id, "delivery_id": new_id})
        say("Forgotten. " + _what_next(place))


def _document(place: Place, found: Found, at: datetime | None) -> dict[str, Any]:
    instance, entry = place.instance, found.entry
    document: dict[str, Any] = {
        "delivery_id": found.delivery_id,
        "status": found.status,
        "task": None
        if instance is None
        else {
            "dag_id": instance.dag_id,
            "run_id": instance.run_id,
            "task_id": instance.task_id,
            "map_index": instance.map_index,
            "state": instance.state,
            "try_number": instance.try_number,
        },
        "ledger": where(place),
        "written_at": None if at is None else at.isoformat(timespec="seconds"),
    }
    if found.error:
        document |= {"error": found.error, "readable": found.readable}
    if entry is not None:
        first = [chunk for chunk in entry.sending if not entry.settled.covers(chunk.start, chunk.stop)]
        document |= {
            "attempts": entry.attempts,
            "seconds": entry.seconds,
            "counts": {name: entry.counts.get(name, 0) for name in COUNTS},
            "reasons": [{"reason": reason, "records": count} for reason, count in entry.reasons.most_common(_MOST)],
            "settled": _ranges(entry.settled),
            "in_doubt": _ranges(entry.doubts()),
            "first_again": [
                {"records": sum(stop - start for start, stop in chunk.ranges()), "indexes": _pairs(chunk.ranges())}
                for chunk in first[:_MOST]
            ],
            "failures": [str(place.folder / name) for name in entry.parts],
        }
    return document | {"folder": str(place.folder), "report": _report(place)}


def _ranges(indexes: RangeSet) -> dict[str, Any]:
    ranges = list(indexes)
    return {"records": len(indexes), "ranges": len(ranges), "indexes": _pairs(ranges)}


def _pairs(ranges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return index ranges as the first and the last index of each, the first few of them."""
    return [[start, stop - 1] for start, stop in islice(ranges, _MOST)]


def _report(place: Place) -> dict[str, Any] | None:
    """Return the report of the last attempt that wrote one."""
    try:
        with (place.folder / "report.json").open("rb") as file:
            report = json.load(file)
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _tell(place: Place, found: Found, at: datetime | None) -> None:
    if found.status == "none":
        say(f"There is no ledger in {where(place)}: nothing was begun, or Airflow has let it expire.")
        return
    when = "" if at is None else f", written {ago(at, datetime.now(UTC))}"
    say(f"The ledger is in {where(place)}{when}.")
    entry = found.entry
    if entry is None:
        say(f"error: {found.error}")
        if found.delivery_id is not None:
            say(f"The delivery's id reads {found.delivery_id}; 'delivery forget' keeps it, and so the keys.")
        return
    end = "complete" if entry.complete else "not complete"
    say(f"Delivery {entry.delivery_id}: {end} after {entry.attempts:,} attempt{'s' * (entry.attempts != 1)}.")
    settled = ", ".join(f"{entry.counts[name]:,} {name}" for name in COUNTS[:5] if entry.counts.get(name, 0))
    say(f"{len(entry.settled):,} records are settled and not sent again{': ' + settled if settled else ''}.")
    if doubts := entry.doubts():
        listed = ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in _pairs(doubts))
        say(
            f"{len(doubts):,} records are in doubt, sent without an answer that tells: indexes {listed}"
            f"{' and more' if len(list(doubts)) > _MOST else ''}. Under at_least_once the next attempt sends them "
            "again, under at_most_once they become unknown."
        )
    if not entry.complete:
        say("The next attempt sends what is not settled.")


def _say_what_happens(found: Found, new_id: str) -> None:
    entry = found.entry
    count = "" if entry is None else f", also the {entry.counts.get('delivered', 0):,} records delivered,"
    if new_id == found.delivery_id:
        keys = f"the same delivery id {new_id} and so the same keys"
        then = "an API that honours keys takes each chunk once, any other takes again what it has."
    else:
        keys = f"the new delivery id {new_id} and so other keys"
        then = (
            "every API takes again what it has. With deduplicate, records stay known until 'airflow osmosdest seen "
            "forget'."
        )
    say(f"All of it{count} is sent again by the next attempt, under {keys}: {then}")


def _what_next(place: Place) -> str:
    if place.instance is None:
        return "The next attempt of the delivery sends everything."
    return "Clear the task, or let its retry begin: that attempt sends everything."
