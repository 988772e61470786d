"""Remember files whose content was delivered before."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.seen.storage import matching, remove, unusable, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["SeenFiles", "TakenFile", "content_digest"]

_PATTERN = "*.json"
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class TakenFile:
    """
    A content that was taken.

    :param name: what the file was called, for people
    :param records: how many records it held
    :param at: when it was taken, in seconds since 1970
    :param delivery: id of the delivery that took it
    """

    name: str
    records: int
    at: float
    delivery: str


def content_digest(chunks: Iterable[bytes]) -> str:
    """Return the BLAKE2b hash of a content, in hexadecimal digits."""
    hashing = blake2b(digest_size=_DIGEST_BYTES)
    for chunk in chunks:
        hashing.update(chunk)
    return hashing.hexdigest()


class SeenFiles:
    """
    Store one object for each content, named by its digest.

    :param folder: where they are
    :param clock: seconds since 1970
    """

    def __init__(self, folder: Folder, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def find(self, digest: str) -> TakenFile | None:
        """
        Return what is stored of a content, ``None`` where it was not taken yet.

        :raises StorageError: when it cannot be read
        """
        return self._read(self._folder / f"{digest}.json")

    def take(self, digest: str, name: str, records: int, delivery: str) -> None:
        """
        Note that a content was taken.

        :raises StorageError: when it cannot be written
        """
        taken = TakenFile(name, records, self._clock(), delivery)
        write(self._folder, f"{digest}.json", json.dumps(asdict(taken)).encode())

    def all(self) -> list[TakenFile]:
        """
        Return everything that was taken.

        :raises StorageError: when it cannot be read
        """
        return [taken for path in matching(self._folder, _PATTERN) if (taken := self._read(path)) is not None]

    def forget(self, digest: str) -> int:
        """
        Forget a content.

        :return: 1 where it was there, else 0
        :raises StorageError: when the folder cannot be written
        """
        path = self._folder / f"{digest}.json"
        found = self._read(path) is not None
        remove(path)
        return int(found)

    def forget_since(self, since: float) -> int:
        """
        Forget what was taken at some time or later.

        :param since: seconds since 1970
        :return: how many contents
        :raises StorageError: when the folder cannot be read or written
        """
        forgotten = 0
        for path in matching(self._folder, _PATTERN):
            taken = self._read(path)
            if taken is not None and taken.at >= since:
                remove(path)
                forgotten += 1
        return forgotten

    def _read(self, path: Any) -> TakenFile | None:
        try:
            with path.open("rb") as file:
                values = json.loads(file.read())
            return TakenFile(str(values["name"]), int(values["records"]), float(values["at"]), str(values["delivery"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{path}, which says that a file was taken, is damaged: {error}. Remove it to take the file again."
            ) from error
