"""
Receipts: the response to each idempotency key, so that a repeated request gets the same one.

A receipt is opened before the publish and closed after it. One that stays open belongs to a process that is still
working on it, or has died: :data:`TAKEN_OVER_AFTER` seconds after it was opened, the next request with the same body
takes it over. That cannot double a record, even where the first process is still alive: the ``batch_id`` comes from the
key and the body, and a ``batch_id`` is published once. So the time is chosen for the sender, who waits for it after a
crash, and need only be longer than a publish usually takes, lest the same work be done twice.

The two rejections are those of draft-ietf-httpapi-idempotency-key-header-07, section 2.7.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import KeyInProgressRejection, KeyReusedRejection

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.store.store import Store

__all__ = ["TAKEN_OVER_AFTER", "Receipts"]

TAKEN_OVER_AFTER = 10.0
"""How long the process that opened a receipt is presumed to be working, in seconds."""

_LONGEST_WAIT = 5.0

_Answer = dict[str, Any]


class Receipts:
    """
    The receipts of one mailbox.

    :param store: the mailbox's
    :param clock: seconds since 1970
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def answered(self, digest: str, fingerprint: str) -> _Answer | None:
        """
        Return the response to a key and body, ``None`` where there is none yet.

        :param digest: of the key, in its scope
        :param fingerprint: of the body
        """
        found = self._read(digest)
        return found["answer"] if found and found["fingerprint"] == fingerprint and found["state"] == "done" else None

    def open(self, digest: str, fingerprint: str) -> _Answer | None:
        """
        Open a receipt, which binds the key to this body.

        :param digest: of the key, in its scope
        :param fingerprint: of the body
        :return: the earlier response, in which case nothing was opened
        :raises KeyReusedRejection: another body came under the key
        :raises KeyInProgressRejection: a process is presumed to be working on it
        :raises StorageError: the store cannot be read or written
        """
        name = _name(digest)
        while not self._store.create(name, self._opened(fingerprint)):
            found = self._read(digest)
            if found is None:
                # Purged in between.
                continue
            if found["fingerprint"] != fingerprint:
                raise KeyReusedRejection(
                    "this idempotency key came with another body before; send each body with a key of its own"
                )
            if found["state"] == "done":
                answer: _Answer = found["answer"]
                return answer
            self._check_stale(found)
            self._store.put(name, self._opened(fingerprint))
            break
        return None

    def close(self, digest: str, fingerprint: str, answer: _Answer) -> None:
        """
        Keep the response.

        :param digest: of the key, in its scope
        :param fingerprint: of the body
        :param answer: as JSON values
        :raises StorageError: the store cannot be written
        """
        self._store.put(_name(digest), self._written("done", fingerprint, answer=answer))

    def abandon(self, digest: str, fingerprint: str) -> None:
        """
        Let the next request take over at once. The body stays bound to the key, as it may have been published.

        :param digest: of the key, in its scope
        :param fingerprint: of the body
        :raises StorageError: the store cannot be written
        """
        self._store.put(_name(digest), self._written("abandoned", fingerprint))

    def _check_stale(self, found: dict[str, Any]) -> None:
        if found["state"] == "abandoned":
            return
        # A clock that runs ahead of ours must not lock the key for as long as it does.
        age = abs(self._clock() - datetime.fromisoformat(found["at"]).timestamp())
        if age < TAKEN_OVER_AFTER:
            wait = max(1, math.ceil(min(TAKEN_OVER_AFTER - age, _LONGEST_WAIT)))
            raise KeyInProgressRejection(
                f"a request with this idempotency key is in progress; send it again in {wait} s for its answer. Should "
                f"the server have died over it, the key is free for the same body {TAKEN_OVER_AFTER:g} s after it came",
                wait,
            )

    def _opened(self, fingerprint: str) -> bytes:
        # Each writer has bytes of its own: a store may take equal bytes for the outcome of the same write.
        return self._written("open", fingerprint, by=uuid.uuid4().hex)

    def _written(self, state: str, fingerprint: str, **more: Any) -> bytes:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat()
        return json.dumps({"state": state, "fingerprint": fingerprint, "at": at, **more}).encode()

    def _read(self, digest: str) -> dict[str, Any] | None:
        name = _name(digest)
        data = self._store.get(name)
        if data is None:
            return None
        try:
            found: dict[str, Any] = json.loads(data)
            datetime.fromisoformat(found["at"])
            # Everything that is read later is there.
            _ = found["fingerprint"], found["state"] != "done" or found["answer"]
        except (ValueError, TypeError, KeyError) as error:
            raise StorageError(
                f"{name} of the mailbox is damaged ({type(error).__name__}: {error}): something else has written "
                "there. Delete it: what was taken under its key is known by its claim, too, and is not taken twice"
            ) from error
        return found


def _name(digest: str) -> str:
    return f"receipts/{digest}.json"
