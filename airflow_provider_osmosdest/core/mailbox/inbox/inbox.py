"""
Accept what a partner posts: check it in a fixed order, and publish it before it is acknowledged.

The order is token and size (the web's part: they are known before the body is), decompressed size, signature, records,
idempotency key, durable write. A rejected body leaves nothing behind; an acknowledged one is in the log.

The ``batch_id`` comes from the receipt's digest *and* the body, so that a body sent again under its key after a
crash is published once, and another body sent after the receipt has been purged is not taken for the first one.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.inbox.body import text_of, unpack
from airflow_provider_osmosdest.core.mailbox.inbox.quarantine import quarantine
from airflow_provider_osmosdest.core.mailbox.inbox.receipts import Receipts
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import InboxRejection, KeyRejection, RecordsRejection
from airflow_provider_osmosdest.core.mailbox.inbox.signature import signing_keys
from airflow_provider_osmosdest.core.mailbox.inbox.validate import LISTED, Checker, Records

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_osmosdest.core.mailbox.inbox.signature import Signature
    from airflow_provider_osmosdest.core.mailbox.mailbox import Mailbox

__all__ = ["Inbox", "Posting", "idempotency_key", "opened"]

_KEY = re.compile(r"[\x20-\x7e]{1,255}")

# Checkers not in use: each serves one thread at a time, and takes milliseconds to make.
_idle: WeakKeyDictionary[Mailbox, list[Checker]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Posting:
    """
    A POST whose body was received.

    :param media_type: of :func:`.body.body_media_type`
    :param encoding: of :func:`.body.body_encoding`
    :param raw: the body as received
    :param signature: its signature headers; ``None`` where they do not matter
    """

    media_type: str
    encoding: str | None
    raw: bytes
    signature: Signature | None = None


def idempotency_key(value: str, header: str) -> str:
    """
    Check an idempotency key, and return it.

    :param value: what was sent
    :param header: where, for the message
    :raises KeyRejection: it cannot be one
    """
    if not _KEY.fullmatch(value):
        found = f"{len(value):,} characters"
        raise KeyRejection(f"{header}: found {found}, expected 1 to 255 characters of ASCII")
    return value


def opened(
    posting: Posting, limit: int, secrets: tuple[str, ...], *, clock: Callable[[], float] = time.time
) -> bytes | None:
    """
    Decompress the body of a POST, and verify its signature where it has one.

    :param posting: the POST
    :param limit: the most bytes of a body
    :param secrets: any of which may have signed it
    :param clock: seconds since 1970
    :return: the body; ``None`` where no secret made the signature, or it is too old
    :raises SizeRejection: the body is larger decompressed
    :raises UnreadableRejection: it is damaged
    """
    data = unpack(posting.raw, posting.encoding, limit)
    if posting.signature is not None and not posting.signature.holds(posting.raw, signing_keys(secrets), clock()):
        return None
    return data


class Inbox:
    """
    The inbox of one mailbox; cheap to make, and safe to share between threads.

    :param mailbox: where the records go
    :param clock: seconds since 1970
    """

    def __init__(self, mailbox: Mailbox, *, clock: Callable[[], float] = time.time) -> None:
        self._mailbox = mailbox
        self._receipts = Receipts(mailbox.store, clock=clock)

    def take(self, media_type: str, data: bytes, *, sender: str, key: str | None) -> dict[str, Any]:
        """
        Check the records of a body, publish them, and return the answer to its sender.

        A body without records is a success and publishes nothing: a partner's run may have found none.

        :param media_type: of :func:`.body.body_media_type`
        :param data: of :func:`opened`
        :param sender: who sent it; each sender has idempotency keys of its own
        :param key: the idempotency key; without one, the same body sent again is published again
        :return: ``{"receipt_id", "accepted"}``, and in a mailbox with a quarantine ``{"quarantined", "errors"}`` too
        :raises InboxRejection: nothing was published
        :raises StorageError: it may or may not be published; sending it again under the same key is safe
        """
        text = text_of(data)
        fingerprint = _fingerprint(media_type, text)
        scope = json.dumps([self._mailbox.settings.mailbox_id, sender, key])
        digest = None if key is None else hashlib.sha256(scope.encode()).hexdigest()
        try:
            records = self._check(media_type, text)
        except InboxRejection:
            # An accepted body stays accepted, though the schema may have changed since.
            answer = self._receipts.answered(digest, fingerprint) if digest is not None else None
            if answer is None:
                raise
            return answer
        if digest is None:
            return self._publish(records, uuid.uuid4().hex, sender)
        answer = self._receipts.open(digest, fingerprint)
        if answer is None:
            receipt_id = hashlib.sha256(f"{digest}{fingerprint}".encode()).hexdigest()[:32]
            try:
                answer = self._publish(records, receipt_id, sender)
                self._receipts.close(digest, fingerprint, answer)
            except StorageError:
                with suppress(StorageError):
                    self._receipts.abandon(digest, fingerprint)
                raise
        return answer

    def _check(self, media_type: str, text: bytes) -> Records:
        idle = _idle.setdefault(self._mailbox, [])
        try:
            checker = idle.pop()
        except IndexError:
            checker = Checker(self._mailbox.settings)
        try:
            records = checker.check(media_type, text)
        finally:
            idle.append(checker)
        if records.invalid and self._mailbox.settings.on_invalid == "reject":
            total = records.valid + records.invalid
            more = f", of which the first {LISTED} are listed" if records.invalid > LISTED else ""
            raise RecordsRejection(
                f"{records.invalid:,} of {total:,} records cannot be taken{more}; none was. Mend them and send all "
                "again",
                records.invalid,
                records.errors,
            )
        return records

    def _publish(self, records: Records, receipt_id: str, sender: str) -> dict[str, Any]:
        batch_id = f"inbox-{receipt_id}"
        if records.failures:
            quarantine(self._mailbox.store, batch_id, records.failures)
        accepted = 0
        if records.lines:
            published = self._mailbox.publish(records.lines, batch_id=batch_id, producer=f"inbox:{sender}")
            accepted = published.entry.records
        answer: dict[str, Any] = {"receipt_id": receipt_id, "accepted": accepted}
        if self._mailbox.settings.on_invalid == "quarantine":
            answer |= {"quarantined": records.invalid, "errors": records.errors}
        return answer


def _fingerprint(media_type: str, text: bytes) -> str:
    digest = hashlib.sha256(f"{media_type}\n".encode())
    digest.update(text)
    return digest.hexdigest()
