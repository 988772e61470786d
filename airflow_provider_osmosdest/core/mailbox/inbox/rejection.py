"""The rejection of a POST: its HTTP status and its reason for the partner, decided where the reason is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import MailboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InboxRejection", "SignatureRejection"]


class InboxRejection(MailboxError):  # noqa: N818 - a response to the sender, and no failure of ours
    """
    A POST is rejected; nothing of it was published.

    :param status: the HTTP status (RFC 9110, section 15.5)
    :param title: the kind of rejection, the same words for each of its kind
    :param detail: what was found, what was expected and what to do; it goes to the sender
    :param type: a URI of this kind of rejection, for programs; ``about:blank`` where the status says it all
    :param headers: further headers of the response
    :param extra: further members of the problem document
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        type: str = "about:blank",  # noqa: A002 - the member's name in RFC 9457
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.type = type
        self.headers = dict(headers or {})
        self.extra = extra


class SignatureRejection(InboxRejection):
    """No secret of the mailbox made the signature, or it is too old: the sender is unknown, as without a token."""

    def __init__(self) -> None:
        super().__init__(401, "Unauthorized", "the signature does not fit this body, or was made too long ago")
