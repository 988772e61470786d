"""Give a reader its file: its name for messages, its kind, and its bytes as a stream."""

from __future__ import annotations

import codecs
import re
import tempfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.streams import CHUNK_BYTES, gathered, gunzip, utf8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["GZIP_MAGIC", "PARQUET_MAGIC", "ZIP_MAGIC", "Input", "binary_kind", "display", "markup_kind", "reason"]

_HEAD_BYTES = 512
"""How much of a file is read to find its kind, in bytes."""


class Input:
    """
    One file as its reader sees it: a name for messages, its bytes, and how much of it has been read.

    :param path: the file: anything with ``open("rb")``, such as ``pathlib.Path`` or ``ObjectStoragePath``
    :param size: its size as stored, in bytes; ``None`` if the store does not give it
    """

    def __init__(self, path: Any, size: int | None) -> None:
        self.path = path
        self.size = size
        self.name = display(path)
        self.begins = True
        """Whether its text begins where the file does, so that the beginning can tell what the file is."""
        self.lines_before = 0
        """How many lines of the file stand before its text, for messages."""
        self.rows: tuple[int, int | None] = (0, None)
        """From which row to which to read, of a format whose rows are numbered."""
        self.share: float | None = None if size is None else 0.0
        """The part of the file read so far, 0 to 1; a reader that does not read from front to end sets it itself."""

    def text(self) -> Iterator[bytes]:
        """
        Yield the file's text, unpacked, as UTF-8 without byte order mark, in chunks of about 256 KB.

        That the bytes are valid UTF-8 is for the reader to check.

        :raises SourceError: the file cannot be read, or looks like something that is no text
        """
        head, chunks = self._headed(utf8(self._unpacked(), self.name))
        kind = binary_kind(head) or markup_kind(head)
        if kind is not None:
            raise SourceError(f"{self.name}: is not the text it should be, it looks like {kind}.")
        yield from chunks

    def content(self) -> Iterator[bytes]:
        """
        Yield the file's bytes, unpacked where it is gzip.

        :raises SourceError: the file cannot be read
        """
        yield from self._unpacked()

    @contextmanager
    def seekable(self, magic: bytes, what: str) -> Iterator[BinaryIO]:
        """
        Open the file for a format that is not read from front to end; gzip is first unpacked to a temporary file.

        :param magic: what a file of this format begins with
        :param what: the format's name, for messages
        :raises SourceError: the file cannot be read, or begins with something else
        """
        file = self._open()
        with closing(file):
            head = self._read(file, _HEAD_BYTES)
            if head.startswith(GZIP_MAGIC):
                with tempfile.TemporaryFile() as spool:
                    head, chunks = self._headed(self._unpacked())
                    self._check_magic(head, magic, what)
                    for chunk in chunks:
                        spool.write(chunk)
                    spool.seek(0)
                    yield cast("BinaryIO", spool)
            else:
                self._check_magic(head, magic, what)
                file.seek(0)
                yield file

    def _check_magic(self, head: bytes, magic: bytes, what: str) -> None:
        if not head:
            raise SourceError(f"{self.name}: has no bytes, which no {what} file has. Was it written to its end?")
        if not head.startswith(magic):
            kind = binary_kind(head) or markup_kind(head) or "something else"
            raise SourceError(f"{self.name}: is not {what}, it looks like {kind}.")

    def _headed(self, chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
        ahead = gathered(chunks, _HEAD_BYTES)
        head = next(ahead, b"")
        return head[:_HEAD_BYTES], _prepended(head, ahead)

    def _unpacked(self) -> Iterator[bytes]:
        head, chunks = self._headed(self._stored())
        if not head.startswith(GZIP_MAGIC) and str(getattr(self.path, "name", "")).lower().endswith(".gz"):
            self._check_unpacked(head)
        unpacked = gunzip(chunks, self._broken) if head.startswith(GZIP_MAGIC) else chunks
        return gathered(unpacked, _HEAD_BYTES)

    def _broken(self, what: str) -> SourceError:
        return SourceError(f"{self.name}: {what}. Fetch or write the file again.")

    def _check_unpacked(self, head: bytes) -> None:
        """
        Check that a file whose name ends in .gz, and which is no gzip, can be what was packed.

        Stores that keep ``Content-Encoding: gzip`` with an object hand it out unpacked, under its name.
        """
        if not head:
            raise SourceError(
                f"{self.name}: has no bytes, which no gzip file has, even of nothing. Was it written to its end?"
            )
        if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not binary_kind(head):
            raise SourceError(
                f"{self.name}: its name says gzip, and its content is neither that nor text. Fetch or write it again."
            )

    def _stored(self) -> Iterator[bytes]:
        done = 0
        with closing(self._open()) as file:
            while chunk := self._read(file, CHUNK_BYTES, done):
                done += len(chunk)
                if self.size:
                    self.share = min(1.0, done / self.size)
                yield chunk

    def _open(self) -> Any:
        try:
            return self.path.open("rb")
        except Exception as e:  # a store's library may raise anything
            raise SourceError(f"{self.name}: cannot be opened: {reason(e)}") from e

    def _read(self, file: Any, size: int, done: int = 0) -> bytes:
        try:
            return cast("bytes", file.read(size))
        except Exception as e:  # as above
            raise SourceError(f"{self.name}: cannot be read after byte {done:,}: {reason(e)}") from e


def _prepended(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def reason(error: Exception) -> str:
    """Describe a storage library's error in a few words, without secrets."""
    text = (isinstance(error, OSError) and error.strerror) or display(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
    Name the binary format that begins like ``head``, and what to do about it; ``None`` if it is none of these.

    :param head: the first bytes of a file, at least 16 of them if it has as many
    """
    return next((kind for magic, kind in _MAGICS if head.startswith(magic)), None)


def markup_kind(head: bytes) -> str | None:
    """
    Name the markup, HTML or XML, that a text begins like; ``None`` if it is neither.

    :param head: the first bytes of a text in UTF-8
    """
    start = head[:256].lstrip().lower()
    if start.startswith(_PAGES):
        return "an HTML page, perhaps a log-in or error page saved in place of the data"
    return "an XML document" if start.startswith(b"<?xml") else None


_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")
_QUERY = re.compile(r"(\w+://[^\s?]*)\?[^\s'\"]*")


def display(text: object) -> str:
    """
    Return ``str(text)`` with the passwords and query strings of any URLs in it blotted out.

    A connection id (``s3://my_aws@bucket/key``) is no secret and stays; the query string of a presigned
    URL is one.

    :param text: a path, or a message of a storage library that may quote one
    """
    return _QUERY.sub(r"\1?***", _PASSWORD.sub(r"\1:***@", str(text)))
