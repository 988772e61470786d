"""A mailbox's settings: read from its connection, and never changed after."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_osmosdest.core.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_osmosdest.core.mailbox.tokens import Access
    from airflow_provider_osmosdest.core.schema import DestinationSchema

__all__ = ["MailboxSettings"]

_MAILBOX_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class MailboxSettings:
    """
    The settings of one mailbox.

    :param mailbox_id: its name in URLs and cursors, which is the id of its Airflow Connection
    :param schema: what its records look like; ``None`` takes any JSON object
    :param access: who may read and who may write over HTTP
    :param max_age: seconds after which a batch may be purged; ``None`` keeps all
    :param max_bytes: bytes of data above which the oldest batches may be purged; ``None`` keeps all
    :param page_limit: the most records a page may be asked for
    :param page_bytes: the most bytes of NDJSON in a page, unless its first record alone has more
    :param on_invalid: what an inbox does with a body that holds invalid records: reject all of it, or accept the
        valid ones and put the others into quarantine
    :param max_body_bytes: the most bytes of a POST's body, as sent and decompressed
    :param max_body_records: the most records of a POST's body
    :param max_depth: how deep a posted record may be nested
    :param max_fields: how many fields a posted record may have, nested ones included
    :param requests_per_second: how many requests a second each token may make; ``None`` does not count them
    :param signing_secrets: the secrets of Standard Webhooks signatures, any of which may have signed a POST
    :raises ConfigurationError: a setting is out of its range; the message names it
    """

    mailbox_id: str
    schema: DestinationSchema | None = None
    access: tuple[Access, ...] = ()
    max_age: float | None = None
    max_bytes: int | None = None
    page_limit: int = 5000
    page_bytes: int = 8 * 2**20
    on_invalid: Literal["reject", "quarantine"] = "reject"
    max_body_bytes: int = 10 * 2**20
    max_body_records: int = 250_000
    max_depth: int = 32
    max_fields: int = 1000
    requests_per_second: float | None = None
    signing_secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _MAILBOX_ID.fullmatch(self.mailbox_id):
            raise ConfigurationError(
                f"mailbox_id is {self.mailbox_id!r}; expected 1 to 128 letters, digits, dots, dashes and underscores"
            )
        if self.on_invalid not in {"reject", "quarantine"}:
            raise ConfigurationError(f"on_invalid is {self.on_invalid!r}; expected 'reject' or 'quarantine'")
        for name in (
            "max_age",
            "max_bytes",
            "page_limit",
            "page_bytes",
            "max_body_bytes",
            "max_body_records",
            "max_depth",
            "max_fields",
            "requests_per_second",
        ):
            value = getattr(self, name)
            # "not above zero" also rejects NaN.
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} of mailbox {self.mailbox_id} is {value!r}; expected more than 0")

    @property
    def schema_digest(self) -> str | None:
        """The SHA-256 of the schema: the same for the same fields in the same order."""
        if self.schema is None:
            return None
        return hashlib.sha256(json.dumps(self.schema.to_dict(), separators=(",", ":")).encode()).hexdigest()
