"""Select the records in a response, as the exact bytes they came in where the path to them is a plain one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_provider_osmosdest.core.errors import OptionsError, PagingError
from airflow_provider_osmosdest.core.source.fetching.page_response import keys_of

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.source.fetching.page_response import PageResponse

__all__ = ["ARRAY_AS", "Selector"]

ARRAY_AS = ("records", "record")
"""What the array that a selector finds may be: many records, or the value of one."""

_PLAIN = re.compile(r"\$|(?:\$\.)?[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*")
_OF_ROOT = "value"

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Selector:
    """
    Select the records in responses.

    :param path: JSONPath to them; ``None`` is the whole answer
    :param array_as: ``records`` makes each element of an array a record, ``record`` makes the array one record, an
        object with the array under the path's last name (``value`` where the path has none)
    :raises OptionsError: when the path is not JSONPath
    """

    def __init__(self, path: str | None = None, array_as: Literal["records", "record"] = "records") -> None:
        if array_as not in ARRAY_AS:
            raise OptionsError(f"array_as: found {array_as!r}, expected one of {', '.join(ARRAY_AS)}")
        if path is not None and not isinstance(path, str):
            raise OptionsError(f"data_selector: found {path!r}, expected JSONPath, such as 'data' or '$.result.items'")
        self._path = path or "$"
        self._split = array_as == "records"
        text = self._path.removesuffix("[*]") if self._split else self._path
        self._names: list[str] | None = None
        self._compiled: Any = None
        if _PLAIN.fullmatch(text):
            self._names = [name for name in text.split(".") if name != "$"]
        else:
            self._compiled = _compiled(self._path)
        words = re.findall(r"[\w@-]+", self._path)
        self._wrapper = (words[-1] if words else _OF_ROOT).encode()

    @property
    def takes_all(self) -> bool:
        """Whether it takes the whole answer."""
        return self._names == []

    @property
    def counts(self) -> bool:
        """Whether there are as many records as the API has in its page: none is chosen, and none put together."""
        return self._names is not None and self._split

    def select(self, answer: PageResponse, *, first: bool) -> list[bytes]:
        """
        Return the records of a response, each as one line of JSON.

        :param first: it is the first page, in which there must be something to find
        :raises PagingError: when the answer is not JSON, when there is nothing at the path in the first page, or when
            what is there can be no record
        """
        if answer.is_empty:
            return []
        found = self._plain(answer) if self._names is not None else self._general(answer)
        if found is None:
            if first:
                raise PagingError(
                    f"{answer.name}: there is nothing at data_selector {self._path!r}; the answer is "
                    f"{keys_of(answer.json())}. Point data_selector at the records."
                )
            return []
        records: list[Any] = []
        for value in found:
            records += self._records(answer, value)
        if b"\n" in answer.body or b"\r" in answer.body:
            # A line break inside a JSON string is escaped, so one that is not stands between two tokens.
            return [bytes(record).replace(b"\n", b" ").replace(b"\r", b" ") for record in records]
        return records

    def _plain(self, answer: PageResponse) -> list[Any] | None:
        value: Any = answer.body
        for name in self._names or ():
            try:
                level = answer.decode(value, _object)
            except msgspec.ValidationError:
                return None
            if name not in level:
                return None
            value = level[name]
        return [value]

    def _general(self, answer: PageResponse) -> list[Any] | None:
        found = [match.value for match in self._compiled.find(answer.json())]
        return [msgspec.json.encode(value) for value in found] or None

    def _records(self, answer: PageResponse, value: Any) -> list[Any]:
        start = bytes(memoryview(value)[:64]).lstrip()[:1]
        if start == b"[":
            if self._split:
                records: list[Any] = answer.decode(value, _array)
                return records
            return [b'{"%s":%s}' % (self._wrapper, bytes(value).strip())]
        if start == b"{":
            if value is answer.body:
                # Nothing else has read it yet.
                answer.decode(value, _object)
            return [bytes(value).strip()]
        text = bytes(value).strip()
        if text == b"null":
            return []
        what = answer.decode(text, msgspec.json.decode)
        raise PagingError(
            f"{answer.name}: at data_selector {self._path!r} there is a {type(what).__name__}, which can be no record. "
            f"The answer is {keys_of(answer.json())}. Point data_selector at an array or an object."
        )


def _compiled(path: str) -> Any:
    from airflow_provider_osmosdest.core.source.paging.dlt_parts import jsonpath

    try:
        return jsonpath().compile_path(path)
    except Exception as error:  # noqa: BLE001 - the parser of JSONPath raises what it likes
        raise OptionsError(f"data_selector: {path!r} is not JSONPath: {error}") from None
