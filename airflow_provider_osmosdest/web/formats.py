"""Convert a page of NDJSON to JSON or CSV. Pure; no record is parsed where it need not be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.schema import DestinationSchema

__all__ = ["CSV", "JSON", "NDJSON", "csv_columns", "formats_of", "to_csv", "to_json"]

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"

_REST = "unknown_fields"
_QUOTED = re.compile(r'[",\r\n]')
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def formats_of(schema: DestinationSchema | None) -> tuple[str, ...]:
    """
    Return the media types of a mailbox's records, best first.

    :param schema: the mailbox's; one without has no columns, and so no CSV
    """
    return (JSON, NDJSON) if schema is None else (JSON, NDJSON, CSV)


def to_json(lines: bytes, cursor: str, *, up_to_date: bool) -> bytes:
    """
    Return a page as one JSON object.

    :param lines: its records as NDJSON; a line break stands between records and nowhere else, as JSON has none in
        strings
    :param cursor: where the next page begins
    :param up_to_date: there was nothing after this page
    """
    tail = b'],"cursor":"%s","up_to_date":%s}' % (cursor.encode("ascii"), b"true" if up_to_date else b"false")
    # The comma after the last record is left out without another copy of a page that may have megabytes.
    records = memoryview(lines.replace(b"\n", b","))[:-1]
    return b"".join((b'{"records":[', records, tail))


def csv_columns(schema: DestinationSchema) -> list[str]:
    """
    Return the columns of a mailbox's CSV: its fields in order, and one for the rest where its schema keeps a rest.

    :param schema: the mailbox's
    """
    columns = [field.name for field in schema.fields]
    if schema.unknown_fields == "keep":
        rest = _REST
        while rest in columns:
            rest += "_"
        columns.append(rest)
    return columns


def to_csv(lines: bytes, schema: DestinationSchema) -> bytes:
    """
    Return a page as CSV (RFC 4180) with a header line.

    Numbers stand as they were published, nested values as JSON; null is an empty value, an empty string ``""``.

    :param lines: its records as NDJSON
    :param schema: says which columns there are
    """
    names = [field.name for field in schema.fields]
    keeps = schema.unknown_fields == "keep"
    rows = [",".join(map(_quoted, csv_columns(schema)))]
    for line in lines.split(b"\n")[:-1]:
        record = _DECODER.decode(line)
        values = [_value(record.pop(name, None)) for name in names]
        if keeps:
            values.append(_quoted(msgspec.json.encode(record).decode()) if record else "")
        rows.append(",".join(values))
    rows.append("")
    return "\r\n".join(rows).encode()


def _value(raw: msgspec.Raw | None) -> str:
    if raw is None:
        return ""
    text = bytes(raw)
    if text == b"null":
        return ""
    if text.startswith(b'"'):
        return _quoted(msgspec.json.decode(text, type=str))
    return _quoted(text.decode())


def _quoted(text: str) -> str:
    if text and not _QUOTED.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'
