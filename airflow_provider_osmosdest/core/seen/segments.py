"""
Segments: the objects that keys are kept in. A segment is never changed, only made and removed.

It begins with a line that names the format and a line of JSON that lists its blocks; then come their keys, those of a
block sorted. A block is what one delivery added at one time. Merged segments keep their blocks, so what was
added since some time, or by some delivery, can always be found.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.seen.keys import KEY_BYTES
from airflow_provider_osmosdest.core.seen.storage import matching, unusable, write

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["Block", "GoneError", "Segment", "list_segments", "write_segment"]

_MAGIC = b"osmosdest seen keys 1\n"
_PATTERN = "*.keys"
_CHUNK_BYTES = 1024 * 1024


class GoneError(StorageError):
    """Another process has merged the segment with others, or removed its keys, since it was listed."""


@dataclass(frozen=True, slots=True)
class Block:
    """
    What one delivery added at one time.

    :param delivery: its id
    :param number: tells the blocks of one delivery apart
    :param at: when, in seconds since 1970
    :param keys: how many
    """

    delivery: str
    number: str
    at: float
    keys: int

    @classmethod
    def new(cls, delivery: str, at: float, keys: int) -> Block:
        """Make a block with a number of its own."""
        return cls(delivery, secrets.token_hex(8), at, keys)


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A segment by its name.

    :param path: of the object
    :param keys: how many it holds
    """

    path: Any
    keys: int

    def blocks(self) -> list[Block]:
        """
        Return its blocks.

        :raises GoneError: when it is not there any more
        :raises StorageError: when it cannot be read, or is damaged
        """
        return [block for block, _ in self._read(keys=False)]

    def read(self) -> Iterator[tuple[Block, bytes]]:
        """
        Yield its blocks with their keys, a large block in several parts.

        :raises GoneError: when it is not there any more
        :raises StorageError: when it cannot be read, or is damaged
        """
        return self._read(keys=True)

    def _read(self, *, keys: bool) -> Iterator[tuple[Block, bytes]]:
        try:
            with self.path.open("rb") as file:
                if file.readline() != _MAGIC:
                    raise self._damaged("it is no segment")
                blocks = self._parsed(file.readline())
                if sum(block.keys for block in blocks) != self.keys:
                    raise self._damaged("its name and its content differ")
                for block in blocks:
                    left = block.keys * KEY_BYTES if keys else 0
                    while left:
                        part = file.read(min(left, _CHUNK_BYTES))
                        # A store may return fewer bytes than requested, but at least one.
                        while part and len(part) % KEY_BYTES:
                            more = file.read(KEY_BYTES - len(part) % KEY_BYTES)
                            part = part + more if more else b""
                        if not part:
                            raise self._damaged("it is shorter than it says")
                        left -= len(part)
                        yield block, part
                    if not keys:
                        yield block, b""
        except FileNotFoundError as error:
            raise GoneError(f"{self.path} is gone: another process changes these keys. Try again.") from error
        except OSError as error:
            raise unusable(self.path, error) from error

    def _parsed(self, line: bytes) -> list[Block]:
        try:
            return [
                Block(str(each["delivery"]), str(each["number"]), float(each["at"]), int(each["keys"]))
                for each in json.loads(line)["blocks"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged("its list of blocks cannot be read") from error

    def _damaged(self, how: str) -> StorageError:
        return StorageError(
            f"{self.path}, which holds keys of delivered records, is damaged: {how}. Restore it, or remove it to send "
            "those records again."
        )


def list_segments(folder: Folder) -> list[Segment]:
    """
    Return the segments of a folder, the oldest first.

    :raises StorageError: when the folder cannot be listed
    """
    found = []
    for path in matching(folder, _PATTERN):
        count = path.name.split("-")[1:2]
        if count and count[0].isdigit():
            found.append(Segment(path, int(count[0])))
    return found


def write_segment(folder: Folder, blocks: Sequence[Block], keys: Collection[bytes]) -> Segment:
    """
    Write a segment.

    :param blocks: at least one
    :param keys: those of the blocks, one block behind the other, in parts of any length
    :raises StorageError: when it cannot be written
    """
    header = json.dumps({"blocks": [asdict(block) for block in blocks]}, separators=(",", ":")).encode() + b"\n"
    count = sum(block.keys for block in blocks)
    oldest = min(block.at for block in blocks)
    name = f"{int(oldest * 1000):013d}-{count}-{secrets.token_hex(8)}.keys"
    write(folder, name, b"".join([_MAGIC, header, *keys]))
    return Segment(folder / name, count)
