"""Read an answer: the verdict table, and what ``success_when`` and ``item_errors`` find in its body."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.transport import ANSWER_BYTES
from airflow_provider_osmosdest.core.delivery.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.delivery.transport import Answer

__all__ = ["READ_BYTES", "Judge", "Judgement"]

READ_BYTES = 16 * 1024 * 1024
"""How much of an answer is kept where an expression is to be read from it, in bytes."""

_EXCERPT = 300
"""How much of an answer stands in an error, in characters."""

_LONGEST_SECRET = 8 * 1024
"""How long a secret may be to be found whole, in bytes: more does not fit into most servers' headers."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    What an answer means for the chunk it answers.

    :param verdict: from the table
    :param status: the status code, ``None`` where there was no answer
    :param error: what the API said, or what happened, on one line and without secrets
    :param items: what the answer says of single records: position in the chunk to error
    :param retry_after: seconds the server asked to wait
    """

    verdict: Verdict
    status: int | None = None
    error: str = ""
    items: Mapping[int, str] = field(default_factory=dict)
    retry_after: float | None = None


_PLAIN_SUCCESS = Judgement(Verdict.ACCEPTED)


class Judge:
    """
    Judge the answers of one delivery.

    :param success_when: JMESPath that must be true for a 2xx answer to be a success
    :param item_errors: JMESPath that lists the refused items of an answer
    :param url_of_record: request URLs are made from records
    :param once: nothing may be sent twice
    :param redact: takes secrets out of what a server says
    """

    def __init__(
        self,
        *,
        success_when: str | None = None,
        item_errors: str | None = None,
        url_of_record: bool = False,
        once: bool = False,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._success = _compiled(success_when)
        self._items = _compiled(item_errors)
        self._success_text = success_when
        self._items_text = item_errors
        self._url_of_record = url_of_record
        self._once = once
        self._redact = redact
        self._reads = success_when is not None or item_errors is not None

    @property
    def reads_bodies(self) -> bool:
        """Whether the whole body of an answer is needed."""
        return self._reads

    def __call__(self, answer: Answer, size: int) -> Judgement:
        """
        Judge an answer to a chunk of ``size`` records.

        An answer that an expression cannot be read from is judged by what it fails to say: without the success
        it had to show, it is refused; a success with positions outside the chunk says that the API and
        ``item_errors`` do not fit, and the delivery must stop.
        """
        verdict = judge(answer.status, answer.error, url_of_record=self._url_of_record, once=self._once)
        if verdict is Verdict.ACCEPTED and not self._reads:
            return _PLAIN_SUCCESS
        if not self._reads or answer.status is None or verdict not in (Verdict.ACCEPTED, Verdict.REFUSED):
            return self._judgement(verdict, answer)
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            if verdict is Verdict.ACCEPTED:
                return self._judgement(Verdict.REFUSED, answer, "the answer is not JSON")
            return self._judgement(verdict, answer)
        if verdict is Verdict.ACCEPTED and self._success is not None and not _search(self._success, document):
            verdict = Verdict.REFUSED
            prefix = f"success_when ({self._success_text}) is not true"
        else:
            prefix = ""
        items: dict[int, str] = {}
        if self._items is not None:
            try:
                items = _listed(_search(self._items, document), size, self._redact)
            except ValueError as error:
                what = f"item_errors ({self._items_text}) does not fit the answer: {error}"
                # A refusal took nothing, whatever it lists; of a success nobody knows which records it is one for.
                unread = Verdict.UNREADABLE if verdict is Verdict.ACCEPTED else verdict
                return self._judgement(unread, answer, what)
        return self._judgement(verdict, answer, prefix, items)

    def _judgement(
        self, verdict: Verdict, answer: Answer, prefix: str = "", items: Mapping[int, str] | None = None
    ) -> Judgement:
        text = str(answer.error) if answer.status is None else _described(answer, self._redact)
        text = f"{prefix}: {text}" if prefix else text
        return Judgement(verdict, answer.status, self._redact(text), items or {}, answer.retry_after)


def _compiled(expression: str | None) -> Any:
    if expression is None:
        return None
    import jmespath

    return jmespath.compile(expression)


def _search(expression: Any, document: Any) -> Any:
    from jmespath.exceptions import JMESPathError

    try:
        return expression.search(document)
    except JMESPathError:
        # A function that gets a value of another type: the answer does not say what was asked for.
        return None


def _described(answer: Answer, redact: Callable[[str], str]) -> str:
    """Describe an answer in one line: status, reason, and the start of what it says."""
    status = answer.status
    try:
        reason = f"{status} {HTTPStatus(status or 0).phrase}"
    except ValueError:
        reason = str(status)
    if answer.location:
        return f"{reason} (to {_excerpt(redact(answer.location.split('?')[0]))})"
    # A secret that is cut in two is no longer found, so all that may be looked at is redacted first, and where the
    # end of it was cut off already, as much as a secret may be long is left out.
    body = answer.body[:ANSWER_BYTES]
    if not answer.whole or len(answer.body) > ANSWER_BYTES:
        body = body[: -min(_LONGEST_SECRET, len(body) // 2)]
    excerpt = _excerpt(redact(body.decode("utf-8", errors="replace")))
    return f"{reason}: {excerpt}" if excerpt else reason


def _excerpt(text: str) -> str:
    """Return the start of a text on one line, without what no encoding can write."""
    line = " ".join(text.split()).encode(errors="replace").decode()
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "…"


def _listed(found: Any, size: int, redact: Callable[[str], str]) -> dict[int, str]:
    """
    Read what ``item_errors`` found: positions, or objects with ``index`` and perhaps ``error``.

    :raises ValueError: when it is something else, or a position lies outside the chunk
    """
    if found is None:
        return {}
    if not isinstance(found, list):
        msg = f"found {redact(str(found))[:100]!r}, expected a list"
        raise ValueError(msg)  # noqa: TRY004 - the value is at fault, not the caller
    items: dict[int, str] = {}
    for entry in found:
        position, text = (entry.get("index"), entry.get("error")) if isinstance(entry, dict) else (entry, None)
        if isinstance(position, str) and position.isdigit():
            position = int(position)
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < size:
            msg = f"found the position {redact(str(position))[:100]!r}, expected a whole number from 0 to {size - 1}"
            raise ValueError(msg)
        if text is None:
            text = "listed by the API as refused"
        elif not isinstance(text, str):
            text = json.dumps(text, ensure_ascii=False)
        items[position] = _excerpt(redact(text))
    return items
