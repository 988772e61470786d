"""Run a source through a write mode, block by block: read, validate, number, send, and settle what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_osmosdest.core.errors import DeliveryError, SourceError, StoppedError, WaitError
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonLines, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.ledger.failures import RecordForm
    from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
    from airflow_provider_osmosdest.core.delivery.sending.context import SendContext
    from airflow_provider_osmosdest.core.errors import OsmosError
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block
    from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator, Validated

__all__ = ["WriteMode", "run_pipeline"]

_FORBIDDEN = "an earlier attempt may have sent this record, and no answer came; at_most_once forbids a second send"


class WriteMode(Protocol):
    """A write mode: takes valid records, sends them, and settles them."""

    def take(self, validated: Validated, indexes: Sequence[int]) -> None:
        """Take the valid records of a block, with their indexes."""

    def send(self, *, last: bool = False) -> None:
        """Send what is due of what was taken; at the end of the source, all that is left."""

    def abandon(self, reason: str, *, at_once: bool = False) -> None:
        """Settle what was taken and will not be sent any more."""


def run_pipeline(source: Source, validator: BulkValidator, mode: WriteMode, context: SendContext) -> OsmosError | None:
    """
    Send what the source holds; every record of it is settled or counted when this returns.

    :param source: the records
    :param validator: validates them
    :param mode: sends them
    :param context: what all requests of the attempt share
    :return: why not all of it could be read and sent, ``None`` where it could
    """
    blocks = _Blocks(source.blocks())
    stopped: DeliveryError | None = None
    try:
        try:
            for block in blocks:
                context.check_in()
                mode.take(*_validate(block, validator, context))
                mode.send()
            mode.send(last=True)
        except (StoppedError, WaitError):
            raise
        except DeliveryError as error:
            if context.run_context.part is not None:
                context.run_context.part.on_stop(error)
            mode.abandon(_reason(error))
            stopped = error
            # Every record has an outcome, and a line in the failures file.
            for block in blocks:
                context.check_in()
                context.outcomes.unsent(_items(*_validate(block, validator, context)), _reason(error))
    except StoppedError as error:
        mode.abandon(_reason(error), at_once=True)
        return stopped or error
    except WaitError as error:
        # What is not settled is not lost: it is read again when the wait is over.
        return error
    return stopped or blocks.error


class _Blocks:
    """
    Iterate over the blocks of a source, up to where it breaks.

    :param blocks: of the source
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self.error: SourceError | None = None

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        try:
            return next(self._blocks)
        except SourceError as error:
            self.error = error
            raise StopIteration from None


def _validate(block: Block, validator: BulkValidator, context: SendContext) -> tuple[Validated, Sequence[int]]:
    """Validate a block, settle its invalid records and duplicates, and number the ones that are to be sent."""
    outcomes = context.outcomes
    validated = validator.validate(block)
    part = context.run_context.part
    share = None if part is None else part.share
    first = outcomes.tally.passed + (0 if part is None else part.first_index)
    outcomes.tally.passed += validated.count
    outcomes.tally.read += validated.count
    settled = outcomes.journal.earlier
    forbidden = outcomes.journal.forbidden
    resuming = settled.touches(first, first + validated.count) or forbidden.touches(first, first + validated.count)
    if not validated.invalid and not resuming:
        return _without_duplicates(validated, range(first, first + validated.count), context)
    indexes: list[int] = []
    invalid: list[tuple[int, str, bytes]] = []
    start = first
    for record in validated.invalid:
        index = first + record.position
        indexes += range(start, index)
        start = index + 1
        if share is not None and not share.has_index(index):
            outcomes.others([index])
        elif not resuming or index not in settled:
            invalid.append((index, record.error, record.record))
    indexes += range(start, first + validated.count)
    outcomes.invalid_all(invalid, _form(block))
    # Before those that are settled are left out: their keys count too.
    validated, left = _without_duplicates(validated, indexes, context, settled if resuming else None)
    if not resuming:
        return validated, left
    left_open = [at for at, index in enumerate(left) if index not in settled]
    if lost := [at for at in left_open if left[at] in forbidden]:
        gone, left_gone = _only(validated, left, lost)
        outcomes.unknown(_items(gone, left_gone), _FORBIDDEN)
    return _only(validated, left, [at for at in left_open if left[at] not in forbidden])


def _form(block: Block) -> RecordForm:
    """Return the form in which the records of a block stand."""
    if isinstance(block, Rows):
        return "textual" if block.textual else "source"
    return "as_sent" if isinstance(block, JsonLines) and block.as_sent else "source"


def _without_duplicates(
    validated: Validated, indexes: Sequence[int], context: SendContext, settled: RangeSet | None = None
) -> tuple[Validated, Sequence[int]]:
    """
    Settle the valid records of a block that are duplicates, and leave them out.

    :param settled: indexes that an earlier attempt has settled, where the block holds some
    """
    if context.deduplicator is None:
        return validated, indexes
    found, others = context.deduplicator.left_out(validated.lines, indexes)
    if not found and not others:
        return validated, indexes
    duplicates = indexes if len(found) == len(indexes) else [indexes[at] for at in found]
    context.outcomes.duplicates(duplicates if settled is None else [at for at in duplicates if at not in settled])
    context.outcomes.others([indexes[at] for at in others])
    gone = {*found, *others}
    return _only(validated, indexes, [at for at in range(len(indexes)) if at not in gone])


def _only(validated: Validated, indexes: Sequence[int], keep: Sequence[int]) -> tuple[Validated, Sequence[int]]:
    """Leave out the valid records of a block that are not at the positions to keep."""
    lines = validated.lines.split(b"\n") if keep else []
    records = validated.records
    left = replace(
        validated,
        lines=b"".join(lines[at] + b"\n" for at in keep),
        records=None if records is None else [records[at] for at in keep],
    )
    return left, [indexes[at] for at in keep]


def _items(validated: Validated, indexes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    return zip(indexes, validated.lines.split(b"\n"), strict=False)


def _reason(error: DeliveryError) -> str:
    """Return why a delivery stopped, for each record it stopped before; the report has the whole of it."""
    return f"the delivery stopped before this record ({type(error).__name__})"
