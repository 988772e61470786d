"""Write pulled records as parts of a file, by a transport that writes bodies in place of sending them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.http.transport import Body, Response
from airflow_provider_osmosdest.core.source.pages import remove_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_osmosdest.core.http.transport import Request
    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["PARTS", "PartsTransport", "RecordsFolder", "finish_parts", "keep_parts", "read_parts", "size_of_parts"]

PARTS = "*.ndjson"
"""What the names of all parts match; in the order of their names they hold the records in theirs."""


@dataclass(frozen=True, slots=True)
class RecordsFolder:
    """
    The folder of the parts, as the destination of a delivery.

    :param path: the folder
    :param name: what the log calls the API the records come from
    """

    path: Folder
    name: str
    url: str = ""
    request_noun: str = "part"
    refuses: bool = False
    advice: str = "mend the storage ([osmosdest] storage_path), then retry the task"

    @property
    def described(self) -> str:
        """What the log and errors call it."""
        return f"{self.path}, from {self.name}"

    def redact(self, text: str) -> str:
        """Return the text: nothing about a folder is secret."""
        return text


class PartsTransport:
    """
    Write each body as one part.

    A body that is sent again, by whichever attempt, has the same message id, and so replaces the same part.

    :param target: the folder of the parts
    :param needs: what other transports take, ignored here
    """

    def __init__(self, target: RecordsFolder, **needs: Any) -> None:  # noqa: ARG002 - the factory's signature
        self._folder = target.path
        self._delivery_id: str | None = None

    def exchange(self, starting: Sequence[Request], wait: float) -> list[Response]:  # noqa: ARG002 - it never waits
        """
        Write these bodies.

        :raises StorageError: when one cannot be written
        """
        answers = []
        for request in starting:
            self._write(request)
            answers.append(Response(request, 200))
        return answers

    def close(self) -> None:
        """Do nothing: every part is closed."""

    def _write(self, request: Request) -> None:
        # {delivery_id}-{first index}-{last index}-{checksum}: see Batch.key.
        delivery_id, first, _, _ = request.message_id.rsplit("-", 3)
        pieces = request.body.pieces if isinstance(request.body, Body) else [request.body]
        try:
            if delivery_id != self._delivery_id:
                self._folder.mkdir(parents=True, exist_ok=True)
                keep_parts(self._folder, delivery_id)
                self._delivery_id = delivery_id
            with (self._folder / f"{int(first):012d}-{delivery_id}.ndjson").open("wb") as file:
                for piece in pieces:
                    file.write(piece)
        except OSError as error:
            raise StorageError(
                f"the records in {self._folder} cannot be written: {error}. Free space or mend access there "
                "([osmosdest] storage_path), then retry the task."
            ) from error


def keep_parts(folder: Folder, delivery_id: str) -> None:
    """Remove the parts of any other delivery."""
    try:
        found = list(folder.glob(PARTS))
    except FileNotFoundError:
        return
    remove_files(path for path in found if not path.name.endswith(f"-{delivery_id}.ndjson"))


def finish_parts(folder: Folder, delivery_id: str) -> str:
    """
    Leave the parts of this delivery alone, and an empty part where it had no records.

    :return: the path to read, with ``*`` for the parts' names
    :raises StorageError: when the folder cannot be written
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        keep_parts(folder, delivery_id)
        if not list(folder.glob(PARTS)):
            with (folder / f"{0:012d}-{delivery_id}.ndjson").open("wb"):
                pass
    except OSError as error:
        raise StorageError(f"the records in {folder} cannot be written: {error}") from error
    return str(folder / PARTS)


def size_of_parts(folder: Folder) -> int:
    """
    Return how many bytes all parts have.

    :raises StorageError: when they cannot be read
    """
    try:
        return sum(path.stat().st_size for path in folder.glob(PARTS))
    except OSError as error:
        raise StorageError(f"the records in {folder} cannot be read: {error}") from error


def read_parts(folder: Folder) -> Iterator[bytes]:
    """
    Yield the lines of each part, in the order of the records.

    :raises StorageError: when they cannot be read
    """
    try:
        for path in sorted(folder.glob(PARTS), key=lambda each: str(each.name)):
            with path.open("rb") as file:
                lines: bytes = file.read()
            yield lines
    except OSError as error:
        raise StorageError(f"the records in {folder} cannot be read: {error}") from error
