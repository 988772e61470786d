"""Validate the records of a posted body, and give a reason for each that is rejected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.mailbox.inbox.body import too_large
from airflow_provider_osmosdest.core.mailbox.inbox.limits import Limits
from airflow_provider_osmosdest.core.mailbox.inbox.parse import TooDeepError, runs_of
from airflow_provider_osmosdest.core.mailbox.inbox.quarantine import failure_line
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import RecordsRejection, SizeRejection
from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, InvalidRecord, Rows
from airflow_provider_osmosdest.core.schema.validation.originals import original_json, original_of_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_osmosdest.core.mailbox.inbox.limits import Fault
    from airflow_provider_osmosdest.core.mailbox.inbox.parse import Run
    from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings

__all__ = ["LISTED", "Checker", "Records"]

LISTED = 100
"""The most invalid records for which a response lists the reason."""

_MOST_GROWTH = 8
_MOST_REASON = 1000
_NESTED = frozenset({"object", "array"})


@dataclass(slots=True)
class Records:
    r"""
    The checked records of a body.

    :param lines: the valid records as NDJSON, in pieces; each record ends in ``b"\n"``
    :param valid: how many those are
    :param invalid: how many the others are
    :param errors: ``{"index", "field", "reason"}`` of the first :data:`LISTED` of those, for the sender
    :param failures: all of those as failure records, where they are to be kept
    """

    lines: list[bytes] = field(default_factory=list)
    valid: int = 0
    invalid: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)


class Checker:
    """
    Check the records of one body after another, in one thread at a time.

    :param settings: the mailbox's
    """

    def __init__(self, settings: MailboxSettings) -> None:
        schema = settings.schema or DestinationSchema.any_object()
        self._validator = BulkValidator(schema)
        self._limits = Limits(settings.max_depth, settings.max_fields)
        # A cell is inside of its record.
        self._cell_limits = Limits(max(1, settings.max_depth - 1), settings.max_fields)
        self._nested = {each.source or each.name: each.name for each in schema.fields if each.type in _NESTED}
        self._most = settings.max_body_records
        self._most_bytes = settings.max_body_bytes * _MOST_GROWTH
        self._keeps = settings.on_invalid == "quarantine"

    def check(self, media_type: str, text: bytes) -> Records:
        """
        Check all records of a body.

        :param media_type: one of :data:`.body.MEDIA_TYPES`
        :param text: of :func:`.body.text_of`
        :raises UnreadableRejection: the body is not of its type
        :raises SizeRejection: it has too many records
        :raises RecordsRejection: a record is nested so deep that the body cannot be cut into records
        """
        found = Records()
        try:
            self._check(runs_of(media_type, text), found)
        except TooDeepError as error:
            index, reason = self._limits.first_too_deep(error.array), self._limits.too_deep.reason
            errors = [{"index": index, "field": None, "reason": reason}]
            detail = f"record {index:,} is nested so deep that the body cannot be read; nothing of it was taken"
            raise RecordsRejection(detail, 1, errors) from None
        return found

    def _check(self, runs: Iterator[Run], found: Records) -> None:
        size = 0
        for run in runs:
            start = found.valid + found.invalid
            count, lines, invalid = self._checked(run)
            if start + count > self._most:
                raise SizeRejection(
                    f"the body has more than {self._most:,} records, the most this mailbox takes at once; send them "
                    "in several bodies",
                    self._most,
                )
            if lines:
                found.lines.append(lines)
            found.valid += count - len(invalid)
            found.invalid += len(invalid)
            found.errors += [_listed(start, each) for each in invalid[: LISTED - len(found.errors)]]
            size += len(lines)
            if self._keeps:
                textual = isinstance(run.block, Rows)
                kept = [failure_line(start + it.position, it.error, it.record, textual=textual) for it in invalid]
                found.failures += kept
                size += sum(map(len, kept))
            # A record of a few bytes is written out with all fields of the schema.
            if size > self._most_bytes:
                raise too_large(self._most_bytes, "what the schema makes of the body")

    def _checked(self, run: Run) -> tuple[int, bytes, Sequence[InvalidRecord]]:
        is_table = isinstance(run.block, Rows)
        faults = self._row_faults(run) if is_table else self._text_faults(run)
        if not faults:
            validated = self._validator.validate(run.block)
            return validated.count, validated.lines, validated.invalid
        validated = self._validator.validate(run.without(faults))
        left = [position for position in range(len(run.items)) if position not in faults]
        invalid = [
            InvalidRecord(
                position,
                fault.reason,
                original_of_row(run.items[position]) if is_table else original_json(run.items[position]),
                fault.field,
            )
            for position, fault in faults.items()
        ]
        invalid += [
            InvalidRecord(left[each.position], each.error, each.record, each.field) for each in validated.invalid
        ]
        return len(run.items), validated.lines, sorted(invalid, key=lambda each: each.position)

    def _text_faults(self, run: Run) -> dict[int, Fault]:
        longest = max(map(len, run.items), default=0)
        if self._limits.clear(run.array(), longest):
            return {}
        faults = ((position, self._limits.fault(text)) for position, text in enumerate(run.items))
        return {position: fault for position, fault in faults if fault}

    def _row_faults(self, run: Run) -> dict[int, Fault]:
        faults: dict[int, Fault] = {}
        for position, row in enumerate(run.items):
            # A row with more cells than there are columns is no mapping; the validator rejects it.
            if isinstance(row, dict) and (fault := self._row_fault(row)):
                faults[position] = fault
        return faults

    def _row_fault(self, row: dict[str, str]) -> Fault | None:
        if len(row) > self._limits.fields:
            return self._limits.too_wide(len(row))
        for column, name in self._nested.items():
            if (cell := row.get(column)) and (fault := self._cell_limits.fault(cell.encode())):
                return fault._replace(field=name)
        return None


def _listed(start: int, record: InvalidRecord) -> dict[str, Any]:
    return {"index": start + record.position, "field": record.field, "reason": record.error[:_MOST_REASON]}
