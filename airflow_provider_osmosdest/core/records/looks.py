"""What a file looks like from its first bytes, for errors that say more than "unexpected character"."""

from __future__ import annotations

__all__ = ["GZIP_MAGIC", "PARQUET_MAGIC", "ZIP_MAGIC", "binary_kind", "markup_kind"]

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
PARQUET_MAGIC = b"PAR1"

_MAGICS = (
    (ZIP_MAGIC, "a zip archive, perhaps an Excel workbook (then set records_format to 'xlsx')"),
    (PARQUET_MAGIC, "Parquet (then set records_format to 'parquet')"),
    (b"\xd0\xcf\x11\xe0", "an old .xls or a password-protected workbook (save it as a plain .xlsx)"),
    (GZIP_MAGIC, "gzip within gzip (unpack it once)"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data (unpack it, or compress it with gzip)"),
    (b"BZh", "bzip2-compressed data (unpack it, or compress it with gzip)"),
    (b"\xfd7zXZ", "xz-compressed data (unpack it, or compress it with gzip)"),
    (b"Obj\x01", "Avro (convert it to Parquet or NDJSON)"),
    (b"ORC", "ORC (convert it to Parquet or NDJSON)"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\x00", "a SQLite database"),
)
_PAGES = (b"<!doctype html", b"<html", b"<head")


def binary_kind(head: bytes) -> str | None:
    """
    Say which binary format begins like ``head``, and what to do about it; ``None`` if it is none we know.

    :param head: the first bytes of a file, at least 16 of them if it has as many
    """
    return next((kind for magic, kind in _MAGICS if head.startswith(magic)), None)


def markup_kind(head: bytes) -> str | None:
    """
    Say whether a text begins like an HTML page or an XML document; ``None`` if it does not.

    :param head: the first bytes of a text in UTF-8
    """
    start = head[:256].lstrip().lower()
    if start.startswith(_PAGES):
        return "an HTML page, perhaps a log-in or error page saved in place of the data"
    return "an XML document" if start.startswith(b"<?xml") else None
