"""Keep pages as they come, and after each what the next request is made of, so that no page is asked for twice."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.delivery.ledger_store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_osmosdest.core.delivery.failures import Folder

__all__ = ["Landing", "PullState", "remove_files"]

_VERSION = 1
_STATE = "pull.json"
_PAGES = "pages"


@dataclass(slots=True)
class PullState:
    """
    How far a pull is.

    :param pull_id: the same in every attempt
    :param spec: digest of what was asked for; another one begins anew
    :param occasion: see :class:`~airflow_provider_osmosdest.core.delivery.engine.Surroundings`
    :param pages: pages that are kept
    :param records: records in them
    :param dropped: records left out, as an earlier run had taken them
    :param next: what the next request is made of
    :param complete: there is no next page
    :param cleared: all of it was taken, and the pages are kept no longer
    """

    pull_id: str
    spec: str
    occasion: str | None
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
    def new(cls, spec: str, occasion: str | None) -> PullState:
        """Begin a pull."""
        return cls(uuid.uuid4().hex, spec, occasion)


class Landing:
    """
    The part of a delivery's folder that holds its pages.

    :param folder: the delivery's folder
    :param secrets: texts that must not be stored, though a next page's URL may hold them; the state has marks instead
    """

    def __init__(self, folder: Folder, secrets: Sequence[str] = ()) -> None:
        self._folder = folder
        self._pages: Any = folder / _PAGES
        self._store = FolderLedgerStore(folder, _STATE)
        # The longest first: one secret may be a part of another.
        marked = sorted(enumerate(secrets), key=lambda each: len(each[1]), reverse=True)
        self._marks = [(_mark(number), json.dumps(secret)[1:-1]) for number, secret in marked]
        self._made = False

    def load(self) -> PullState | None:
        """
        Return how far an earlier attempt came, ``None`` where there was none.

        :raises StorageError: when the state cannot be read
        """
        document = self._store.load()
        if document is None:
            return None
        text = document.decode(errors="replace")
        for mark, secret in self._marks:
            text = text.replace(mark, secret)
        try:
            found = json.loads(text)
            if found.pop("version") != _VERSION:
                return None
            return PullState(**found)
        except (ValueError, TypeError, KeyError):
            raise StorageError(
                f"{self._folder / _STATE} is not what this version writes. Remove it to pull all pages again."
            ) from None

    def save(self, state: PullState) -> None:
        """
        Replace the state; whatever happens, the old one or the new one is there.

        :raises StorageError: when it cannot be written
        """
        text = json.dumps({"version": _VERSION, **asdict(state)})
        for mark, secret in self._marks:
            text = text.replace(secret, mark)
        self._store.save(text.encode())

    def land(self, number: int, digest: str, lines: bytes) -> None:
        """
        Keep a page; it counts once the state says so.

        :param number: from 0
        :param digest: tells its request from the others'
        :param lines: its records, a line each
        :raises StorageError: when it cannot be written
        """
        try:
            if not self._made:
                self._pages.mkdir(parents=True, exist_ok=True)
                self._made = True
            with (self._pages / f"{number:07d}-{digest}.ndjson").open("wb") as file:
                file.write(lines)
        except OSError as error:
            raise _unusable(self._pages, "written", error) from error

    def digests(self, count: int) -> dict[int, str]:
        """
        Return the digests of the first ``count`` pages by number.

        :raises StorageError: when one of them is gone
        """
        found: dict[int, str] = {}
        try:
            paths = list(self._pages.glob("*.ndjson")) if count else []
        except OSError as error:
            raise _unusable(self._pages, "read", error) from error
        for path in paths:
            number, _, digest = path.name.removesuffix(".ndjson").partition("-")
            if int(number) < count:
                found[int(number)] = digest
        if len(found) < count:
            raise StorageError(
                f"{count - len(found):,} of {count:,} pages are gone from {self._pages}. Restore them, or remove "
                f"{self._folder / _STATE} to pull all pages again."
            )
        return dict(sorted(found.items()))

    def pages(self, digests: dict[int, str]) -> Iterator[bytes]:
        """
        Yield the lines of each page.

        :raises StorageError: when one cannot be read
        """
        for number, digest in digests.items():
            try:
                with (self._pages / f"{number:07d}-{digest}.ndjson").open("rb") as file:
                    lines: bytes = file.read()
            except OSError as error:
                raise _unusable(self._pages, "read", error) from error
            yield lines

    def clear(self) -> None:
        """
        Remove all pages.

        :raises StorageError: when they cannot be removed
        """
        try:
            remove_files(self._pages.glob("*.ndjson"))
        except OSError as error:
            raise _unusable(self._pages, "removed", error) from error


def remove_files(paths: Iterable[Any]) -> None:
    """Remove files; what is gone already is no fault."""
    try:
        found = list(paths)
    except FileNotFoundError:
        return
    for path in found:
        path.unlink(missing_ok=True)


def _mark(number: int) -> str:
    return f"\\u0000{number}\\u0000"


def _unusable(path: Any, what: str, error: OSError) -> StorageError:
    return StorageError(
        f"pages in {path} cannot be {what}: {error}. Free space or mend access there ([osmosdest] storage_path), then "
        "retry the task."
    )
