"""Keep each page as it comes, with the state for the next request, so that no page is fetched twice."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_osmosdest.core.storage import Folder

__all__ = ["Landing", "PullState", "remove_files"]

_VERSION = 1
_STATES = "state"
_PAGES = "pages"


@dataclass(slots=True)
class PullState:
    """
    The progress of a pull; the names of the fields are those of the document on disk.

    :param pull_id: the same in every attempt
    :param turn: how often it was saved
    :param spec: digest of what is requested; another one begins anew
    :param occasion: the run key of the last attempt
    :param pages: pages that are kept
    :param records: records in them
    :param dropped: records left out, as an earlier run had taken them
    :param next: the paginator's state for the next request
    :param complete: there is no next page
    :param cleared: all of it was taken, and the pages are kept no longer
    """

    pull_id: str
    spec: str
    occasion: str | None
    turn: int = 0
    pages: int = 0
    records: int = 0
    dropped: int = 0
    requests: int = 0
    retries: int = 0
    bytes_received: int = 0
    next: dict[str, Any] | None = None
    complete: bool = False
    cleared: bool = False

    @classmethod
    def new(cls, spec: str, run_key: str | None) -> PullState:
        """Begin a pull."""
        return cls(uuid.uuid4().hex, spec, run_key)


class Landing:
    """
    The part of a delivery's folder that holds its pages.

    Every state is a file of its own, and the newest that is whole counts: to replace one file each time would make
    a local disk wait, and an object store has no cheaper way.

    :param folder: the delivery's folder
    :param secrets: texts that must not be stored, though a next page's URL may hold them; the state has marks instead
    """

    def __init__(self, folder: Folder, secrets: Sequence[str] = ()) -> None:
        self._pages: Any = folder / _PAGES
        self._states: Any = folder / _STATES
        # The longest first: one secret may be a part of another.
        marked = sorted(enumerate(secrets), key=lambda each: len(each[1]), reverse=True)
        self._marks = [(_mark(number), json.dumps(secret)[1:-1]) for number, secret in marked]
        self._made = False

    def load(self) -> PullState | None:
        """
        Return how far an earlier attempt came, ``None`` where there was none.

        :raises StorageError: when the state cannot be read
        """
        try:
            for path in sorted(_found(self._states, "*.json"), key=lambda each: each.name, reverse=True):
                with path.open("rb") as file:
                    state = self._read(file.read())
                # One that a crash has cut short is as if it had never been begun.
                if state is not None:
                    return state
        except OSError as error:
            raise _unusable(self._states, "read", error) from error
        return None

    def _read(self, document: bytes) -> PullState | None:
        text = document.decode(errors="replace")
        for mark, secret in self._marks:
            text = text.replace(mark, secret)
        try:
            found = json.loads(text)
            return PullState(**found) if found.pop("version") == _VERSION else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def save(self, state: PullState) -> None:
        """
        Write the state; after a crash, this one or the one before is there.

        :raises StorageError: when it cannot be written
        """
        state.turn += 1
        text = json.dumps({"version": _VERSION, **asdict(state)})
        for mark, secret in self._marks:
            text = text.replace(secret, mark)
        self._write(self._states / f"{state.turn:08d}.json", text.encode())

    def land(self, number: int, digest: str, lines: bytes) -> None:
        """
        Write a page; it counts once a state includes it.

        :param number: from 0
        :param digest: of its request
        :param lines: its records, a line each
        :raises StorageError: when it cannot be written
        """
        self._write(self._pages / _page_name(number, digest, len(lines)), lines)

    def _write(self, path: Any, data: bytes) -> None:
        try:
            if not self._made:
                self._pages.mkdir(parents=True, exist_ok=True)
                self._states.mkdir(parents=True, exist_ok=True)
                self._made = True
            with path.open("wb") as file:
                file.write(data)
        except OSError as error:
            raise _unusable(path, "written", error) from error

    def digests(self, count: int) -> dict[int, tuple[str, int]]:
        """
        Return digest and size in bytes of the first ``count`` pages, by number; remove what no state counts.

        :raises StorageError: when one of them is gone
        """
        kept: dict[int, tuple[str, int]] = {}
        uncounted: list[Any] = []
        try:
            for path in _found(self._pages, "*.ndjson"):
                number, digest, size = path.name.removesuffix(".ndjson").split("-")
                if int(number) < count:
                    kept[int(number)] = (digest, int(size))
                else:
                    uncounted.append(path)
            remove_files(uncounted)
        except OSError as error:
            raise _unusable(self._pages, "read", error) from error
        if len(kept) < count:
            raise StorageError(
                f"{count - len(kept):,} of {count:,} pages are gone from {self._pages}. Restore them, or remove "
                f"{self._states} to pull all pages again."
            )
        return dict(sorted(kept.items()))

    def pages(self, kept: dict[int, tuple[str, int]]) -> Iterator[bytes]:
        """
        Yield the lines of each page.

        :raises StorageError: when one cannot be read, or is not as long as it was
        """
        for number, (digest, size) in kept.items():
            path = self._pages / _page_name(number, digest, size)
            try:
                with path.open("rb") as file:
                    lines: bytes = file.read()
            except OSError as error:
                raise _unusable(path, "read", error) from error
            if len(lines) != size:
                raise StorageError(
                    f"{path} has {len(lines):,} bytes, and had {size:,}: the machine or its disk went down. Remove "
                    f"{self._states} to pull all pages again."
                )
            yield lines

    def clear(self, *, but: PullState | None = None) -> None:
        """
        Remove all pages, and all states.

        :param but: keep this state, the newest
        :raises StorageError: when they cannot be removed
        """
        keep = None if but is None else f"{but.turn:08d}.json"
        try:
            # States first: without them the pages mean nothing, and without pages a state would.
            remove_files(path for path in _found(self._states, "*.json") if path.name != keep)
            remove_files(_found(self._pages, "*.ndjson"))
        except OSError as error:
            raise _unusable(self._pages, "removed", error) from error


def remove_files(paths: Iterable[Any]) -> None:
    """Remove files, all at once where their store can."""
    found = list(paths)
    if found and hasattr(found[0], "fs"):
        found[0].fs.rm([path.path for path in found])
        return
    for path in found:
        path.unlink(missing_ok=True)


def _found(folder: Any, pattern: str) -> list[Any]:
    try:
        return list(folder.glob(pattern))
    except FileNotFoundError:
        return []


def _page_name(number: int, digest: str, size: int) -> str:
    # A crash of the machine can leave a file shorter than it was written; its name has the size.
    return f"{number:07d}-{digest}-{size}.ndjson"


def _mark(number: int) -> str:
    return f"\\u0000{number}\\u0000"


def _unusable(path: Any, what: str, error: OSError) -> StorageError:
    return StorageError(
        f"the pages in {path} cannot be {what}: {error}. Free space or mend access there ([osmosdest] storage_path), "
        "then retry the task."
    )
