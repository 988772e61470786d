"""Send the first valid record of a source as a delivery sends it, keep what was sent and answered, and nothing else."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.core.delivery.engine import DeliveryRun
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.delivery.replay import ReplaySource
from airflow_provider_osmosdest.core.delivery.shown import show_request, show_response
from airflow_provider_osmosdest.core.schema.validation.blocks import JsonElements, JsonLines, Rows
from airflow_provider_osmosdest.core.schema.validation.bulk import BulkValidator
from airflow_provider_osmosdest.core.schema.validation.json_cut import split_elements, split_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_osmosdest.core.delivery.model import Delivery, Result, TransportFactory
    from airflow_provider_osmosdest.core.delivery.shown import ShownRequest, ShownResponse
    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.http.transport import Request, Response, Transport
    from airflow_provider_osmosdest.core.records import Source
    from airflow_provider_osmosdest.core.schema.validation.blocks import Block

__all__ = ["OneRecord", "Recorder", "send_one"]

_OUTCOMES = ("delivered", "duplicate", "invalid", "rejected", "unknown", "unsent")


@dataclass(frozen=True, slots=True)
class OneRecord:
    """
    What became of the first valid record.

    :param index: of the record in its source, from 0; ``None`` where no record is valid
    :param passed_over: how many records before it fail the schema
    :param invalid: why, for the first few of those
    :param outcome: the record's, as in a report; ``None`` where no record is valid
    :param reason: why it was not delivered
    :param request: as it went out, ``None`` where none did
    :param response: as it came in, ``None`` where none did
    """

    index: int | None
    passed_over: int
    invalid: tuple[str, ...]
    outcome: str | None = None
    reason: str | None = None
    request: ShownRequest | None = None
    response: ShownResponse | None = None


class Recorder:
    """
    Keep the last exchange of the transport that it is put around.

    It goes inside of what authorises requests, where each is as it goes out.
    """

    def __init__(self) -> None:
        self._inner: Transport
        self._target: Target
        self._headers: Mapping[str, str]
        self._last: tuple[Request, Response | None] | None = None

    def around(self, inner: Transport, target: Target, headers: Mapping[str, str]) -> Recorder:
        """Record what this transport carries, with these headers beside the target's."""
        self._inner, self._target, self._headers = inner, target, headers
        return self

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:
        """Start these requests, then return the answers that are in; see :class:`~.transport.Transport`."""
        for request in starting:
            self._last = (request, None)
        answers = self._inner.exchange(starting, wait)
        for answer in answers:
            self._last = (answer.request, answer)
        return answers

    def close(self) -> None:
        """Give up what is in flight and close the connections."""
        self._inner.close()

    def shown(self) -> tuple[ShownRequest | None, ShownResponse | None]:
        """Return the last request, and its response."""
        if self._last is None:
            return None, None
        request, response = self._last
        shown = show_request(self._target, self._headers, request)
        return shown, None if response is None else show_response(self._target, request, response)


class _OneRecordSource:
    """A source with one record of another."""

    fingerprint = None
    progress = None

    def __init__(self, source: Source, block: Block) -> None:
        self.description = f"one record of {source.description}"
        self.format = source.format
        self._block = block

    def blocks(self) -> Iterator[Block]:
        """Yield it."""
        yield self._block


def send_one(
    delivery: Delivery[Target],
    source: Source,
    transport: TransportFactory[Target],
    recorder: Recorder,
    say: Callable[[str], None],
) -> OneRecord:
    """
    Send one record, once: no ledger, no report, no failures file and no seen key are left of it.

    :param delivery: what to do with the source
    :param source: the records; it is read up to the first valid one
    :param transport: makes what carries the request, around ``recorder``
    :param recorder: records what is sent
    :param say: takes the line that says that the record goes out now
    :raises ConfigurationError: when options, schema and mapping do not fit together; nothing was sent
    :raises SourceError: when the source cannot be read that far
    """
    options = replace(delivery.options, deduplicate="none", max_retries=0, concurrency=1, max_failures=1)
    validator = BulkValidator(delivery.schema, mapping=delivery.mapping)
    passed_over = 0
    reasons: list[str] = []
    for block in ReplaySource(source).blocks():
        validated = validator.validate(block)
        invalid = {record.position: record.error for record in validated.invalid}
        position = next((at for at in range(validated.count) if at not in invalid), None)
        before = [error for at, error in invalid.items() if position is None or at < position]
        reasons = [*reasons, *before][:3]
        passed_over += len(before)
        if position is None:
            continue
        failing = (
            f", after {passed_over:,} that {'fail' if passed_over > 1 else 'fails'} the schema" if passed_over else ""
        )
        say(
            f"Sending one record to {delivery.where}, really, as a delivery sends it: index {passed_over} of "
            f"{source.description}, the first valid one{failing}."
        )
        with tempfile.TemporaryDirectory(prefix="osmosdest-") as folder:
            once = replace(delivery, options=options, folder=Path(folder), seen=None)
            one = _OneRecordSource(source, _block_of_one(block, position))
            run_context = RunContext(ledger=MemoryLedgerStore())
            result = DeliveryRun(once, one, transport, lambda _: None, run_context).run()
        request, response = recorder.shown()
        outcome, reason = _outcome(result)
        return OneRecord(passed_over, passed_over, tuple(reasons), outcome, reason, request, response)
    return OneRecord(None, passed_over, tuple(reasons))


def _outcome(result: Result) -> tuple[str, str | None]:
    report = result.report
    outcome = next(name for name in _OUTCOMES if getattr(report, name))
    if result.error is not None:
        return outcome, str(result.error)
    return outcome, report.reasons[0][0].partition(": ")[2] if report.reasons else None


def _block_of_one(block: Block, position: int) -> Block:
    if isinstance(block, Rows):
        return Rows(block.rows[position : position + 1], textual=block.textual)
    if isinstance(block, JsonLines):
        return replace(block, data=split_lines(block.data)[position])
    return JsonElements(split_elements(block.data)[position])
