"""Classify a response, by the verdict table and the expressions of the write options."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.responses.idempotency import TOO_EARLY, about_the_key
from airflow_provider_osmosdest.core.http.transport import ANSWER_BYTES
from airflow_provider_osmosdest.core.http.verdict import Verdict, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_osmosdest.core.http.transport import Response

__all__ = ["PLAIN_SUCCESS", "READ_BYTES", "Classification", "ResponseClassifier"]

READ_BYTES = 16 * 1024 * 1024
"""How much of an answer is kept where an expression is to be read from it, in bytes."""

_EXCERPT = 300
"""How much of an answer stands in an error, in characters."""

_LONGEST_SECRET = 8 * 1024
"""How long a secret may be to be found whole, in bytes: more does not fit into most servers' headers."""


@dataclass(frozen=True, slots=True)
class Classification:
    """
    What an answer means for the chunk it answers.

    :param verdict: from the table
    :param status: the status code, ``None`` where there was no answer
    :param error: what the API said, or what happened, on one line and without secrets
    :param items: errors of single records: position in the chunk to error
    :param existing: positions of the records that the API says it has already
    :param retry_after: seconds the server asked to wait
    """

    verdict: Verdict
    status: int | None = None
    error: str = ""
    items: Mapping[int, str] = field(default_factory=dict)
    existing: frozenset[int] = frozenset()
    retry_after: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether all of the chunk was taken, and none of it was there before."""
        return self.verdict is Verdict.ACCEPTED and not (self.items or self.existing)


PLAIN_SUCCESS = Classification(Verdict.ACCEPTED)
"""Of every success whose body is not read."""

_SUCCESSES = frozenset(status for status in range(100, 600) if verdict_of(status, None) is Verdict.ACCEPTED)


class ResponseClassifier:
    """
    Classify the responses of one delivery.

    :param success_when: JMESPath that must be true for a 2xx answer to be a success
    :param item_errors: JMESPath that lists the refused items of an answer
    :param already_exists_when: JMESPath over ``{status, body}`` that is true where the API has the record already
    :param url_of_record: request URLs are made from records
    :param keyed: requests carry an idempotency key
    :param redact: takes secrets out of a server's text
    """

    def __init__(
        self,
        *,
        success_when: str | None = None,
        item_errors: str | None = None,
        already_exists_when: str | None = None,
        url_of_record: bool = False,
        keyed: bool = True,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._success = _compiled(success_when)
        self._items = _compiled(item_errors)
        self._exists = _compiled(already_exists_when)
        self._success_text = success_when
        self._items_text = item_errors
        self._url_of_record = url_of_record
        self._keyed = keyed
        self._redact = redact
        self._reads = success_when is not None or item_errors is not None
        self._plain = frozenset() if self.reads_bodies else _SUCCESSES

    @property
    def reads_bodies(self) -> bool:
        """Whether the whole body of an answer is needed."""
        return self._reads or self._exists is not None

    def __call__(self, answer: Response, size: int) -> Classification:
        """
        Classify the response to a chunk of ``size`` records.

        Where an expression cannot be applied to a success, what was taken is not known: the two do not fit, and the
        delivery must stop.
        """
        if answer.status in self._plain:
            return PLAIN_SUCCESS
        verdict = verdict_of(answer.status, answer.error, url_of_record=self._url_of_record)
        if answer.status is None:
            return self._classification(verdict, answer)
        if self._exists is not None and (size == 1 or verdict is Verdict.REFUSED) and self._says_exists(answer):
            return self._classification(Verdict.EXISTS, answer)
        if verdict is Verdict.REFUSED and self._keyed:
            if of_the_key := about_the_key(answer.status, answer.body, answer.retry_after):
                return self._classification(of_the_key, answer)
        elif verdict is Verdict.TRANSIENT and answer.status == TOO_EARLY and answer.retry_after and self._keyed:
            verdict = Verdict.IN_PROGRESS
        if not self._reads or verdict not in (Verdict.ACCEPTED, Verdict.REFUSED):
            return self._classification(verdict, answer)
        return self._read(verdict, answer, size)

    def _read(self, verdict: Verdict, answer: Response, size: int) -> Classification:
        """Classify a response by what ``success_when`` and ``item_errors`` find in it."""
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            if verdict is not Verdict.ACCEPTED:
                return self._classification(verdict, answer)
            # Without the sign that success_when needs it is no success; with item_errors alone it may be one.
            if self._success is not None:
                return self._classification(Verdict.REFUSED, answer, "the answer is not JSON")
            return self._classification(Verdict.MISCONFIGURED, answer, "what is not JSON")
        prefix = ""
        if verdict is Verdict.ACCEPTED and self._success is not None and not _search(self._success, document):
            verdict = Verdict.REFUSED
            prefix = f"success_when ({self._success_text}) is not true"
        if self._items is None:
            return self._classification(verdict, answer, prefix)
        try:
            items, existing = self._listed(_search(self._items, document), answer, size)
        except ValueError as error:
            what = f"item_errors ({self._items_text}) does not fit the answer: {error}"
            # A refusal took nothing, whatever it lists; of a success it is not known which records it is one for.
            return self._classification(Verdict.UNREADABLE if verdict is Verdict.ACCEPTED else verdict, answer, what)
        return replace(self._classification(verdict, answer, prefix), items=items, existing=existing)

    def _says_exists(self, answer: Response) -> bool:
        try:
            body = json.loads(answer.body)
        except (ValueError, RecursionError):
            body = answer.body.decode("utf-8", errors="replace")
        return bool(_search(self._exists, {"status": answer.status, "body": body}))

    def _listed(self, found: Any, answer: Response, size: int) -> tuple[dict[int, str], frozenset[int]]:
        """
        Read what ``item_errors`` found: positions, or objects with ``index`` and perhaps ``error`` and ``status``.

        :return: refused positions with their errors, and positions of records the API has already
        :raises ValueError: when it is something else, or a position lies outside the chunk
        """
        if found is None:
            return {}, frozenset()
        if not isinstance(found, list):
            msg = f"found {self._redact(str(found))[:100]!r}, expected a list"
            raise ValueError(msg)  # noqa: TRY004 - the value is at fault, not the caller
        items: dict[int, str] = {}
        existing: set[int] = set()
        for entry in found:
            position, text = _item(entry, size, self._redact)
            if self._exists is not None and isinstance(entry, dict):
                status = entry.get("status", answer.status)
                if _search(self._exists, {"status": status, "body": entry}):
                    existing.add(position)
                    continue
            items[position] = text
        return items, frozenset(existing)

    def _classification(self, verdict: Verdict, answer: Response, prefix: str = "") -> Classification:
        text = str(answer.error) if answer.status is None else _described(answer, self._redact)
        text = f"{prefix}: {text}" if prefix else text
        return Classification(verdict, answer.status, self._redact(text), retry_after=answer.retry_after)


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


def _described(answer: Response, redact: Callable[[str], str]) -> str:
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


def _item(entry: Any, size: int, redact: Callable[[str], str]) -> tuple[int, str]:
    """
    Read one entry of what ``item_errors`` found: its position and its error.

    :raises ValueError: when it has no position in the chunk
    """
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
    return position, _excerpt(redact(text))
