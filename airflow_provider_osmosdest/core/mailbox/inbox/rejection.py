"""The rejections of a POST, one class for each reason; the web decides which status and headers each comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import MailboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EncodingRejection",
    "InboxRejection",
    "KeyInProgressRejection",
    "KeyRejection",
    "KeyReusedRejection",
    "MediaTypeRejection",
    "RecordsRejection",
    "SizeRejection",
    "UnreadableRejection",
]


class InboxRejection(MailboxError):  # noqa: N818 - a response to the sender, and no failure of ours
    """A POST is rejected, and nothing of it was published; the message goes to the sender."""


class MediaTypeRejection(InboxRejection):
    """The body is none of :data:`.body.MEDIA_TYPES`."""


class EncodingRejection(InboxRejection):
    """The body's content coding is none of :func:`.body.encodings`."""


class SizeRejection(InboxRejection):
    """
    The body is too large, or has too many records.

    :param detail: the message
    :param limit: the most bytes, or records
    """

    def __init__(self, detail: str, limit: int) -> None:
        super().__init__(detail)
        self.limit = limit


class UnreadableRejection(InboxRejection):
    """The body is damaged, or not what its headers say."""


class RecordsRejection(InboxRejection):
    """
    Records of the body are invalid.

    :param detail: the message
    :param invalid: how many
    :param errors: ``{"index", "field", "reason"}`` of the first of them
    """

    def __init__(self, detail: str, invalid: int, errors: Sequence[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.invalid = invalid
        self.errors = errors


class KeyRejection(InboxRejection):
    """The idempotency key cannot be one."""


class KeyReusedRejection(InboxRejection):
    """The idempotency key came with another body before: sending it again cannot help."""


class KeyInProgressRejection(InboxRejection):
    """
    A request with the same idempotency key and body is in progress.

    :param detail: the message
    :param seconds: after which to send it again
    """

    def __init__(self, detail: str, seconds: int) -> None:
        super().__init__(detail)
        self.seconds = seconds
