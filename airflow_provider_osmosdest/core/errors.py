"""
Every error this package raises, in one tree; each class says what to do about it.

::

    OsmosError
    ├── ConfigurationError        stop: a setting must be changed; trying again cannot help
    │   ├── SchemaError           the schema document is wrong (names the field)
    │   ├── OptionsError          a write option, or a combination of them, is wrong
    │   ├── ConnectorError        a field of the Airflow Connection is wrong
    │   ├── MissingExtraError     an optional package is not installed (names the extra)
    │   └── UnsupportedStoreError the store cannot hold a mailbox (names the store, and one that can)
    ├── SourceError               the records cannot be read any further (names file and place)
    │   ├── PagingError           an API's response cannot be paged through: stop, mend the task's options
    │   └── UnavailableError      an API stayed unreachable: try again later, and go on with the next page
    ├── StorageError              the delivery's folder, or the mailbox's, cannot be read or written; try again
    ├── MailboxError              a mailbox cannot do what the caller requests
    │   └── CursorError           the cursor is damaged, or another mailbox's: take one this mailbox gave out
    │       └── CursorExpiredError    what it points to was purged: go on from the earliest record
    ├── DeliveryError             a delivery ended without delivering everything
    │   ├── MisconfiguredError    the API refuses all of it: stopped at once, mend the connector
    │   ├── SystemicError         every record fails alike: stopped, mend schema, mapping or endpoint
    │   ├── GivenUpError          the API stayed unreachable or overloaded: try the task again later
    │   ├── TooManyFailuresError  it ran to the end, with more failures than ``max_failures`` allows
    │   ├── StoppedError          a signal or a time limit stopped it: a retry goes on where it stood
    │   └── WaitError             the API asked for a long wait: go on after it, without a worker slot
    ├── SupersededError           a later attempt of the delivery has begun: this one must not send or write any more
    └── TransportError            one request got no response (never leaves the delivery engine)
        ├── NotSentError          no byte of the body left: safe to send again
        ├── AmbiguousError        in doubt: some of the body may have left, and no whole answer came back
        ├── TlsError              the peer's identity cannot be verified: stop
        └── CredentialsError      the token endpoint refuses the credentials: stop

Code branches on these types and never on a message. A message names the thing, what was found,
what was expected and what to do next, and never holds a secret.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousError",
    "ConfigurationError",
    "ConnectorError",
    "CredentialsError",
    "CursorError",
    "CursorExpiredError",
    "DeliveryError",
    "GivenUpError",
    "MailboxError",
    "MisconfiguredError",
    "MissingExtraError",
    "NotSentError",
    "OptionsError",
    "OsmosError",
    "PagingError",
    "SchemaError",
    "SourceError",
    "StoppedError",
    "StorageError",
    "SupersededError",
    "SystemicError",
    "TlsError",
    "TooManyFailuresError",
    "TransportError",
    "UnavailableError",
    "UnsupportedStoreError",
    "WaitError",
]


class OsmosError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(OsmosError):
    """Stop: a setting is wrong and trying again cannot help."""


class SchemaError(ConfigurationError):
    """The schema document cannot be used; the message names the field."""


class OptionsError(ConfigurationError):
    """A write option, or a combination of them, cannot be used; the message names it."""


class ConnectorError(ConfigurationError):
    """A field of the Airflow Connection cannot be used; the message names connection and field."""


class MissingExtraError(ConfigurationError):
    """An optional package is needed; the message names the extra to install."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed. "
            f"Install it with: pip install 'airflow-provider-osmosdest[{extra}]'"
        )


class UnsupportedStoreError(ConfigurationError):
    """The object store cannot hold a mailbox; the message names it and what to use instead."""


class SourceError(OsmosError):
    """
    The records cannot be read any further; the message names the file and the line or byte.

    Records read before it stay good: a reader yields them first, and raises this after.
    """


class PagingError(SourceError):
    """Stop: an API refuses, or its answer is not what the task's paginator or selector expects (names the page)."""


class UnavailableError(SourceError):
    """An API stayed unreachable or overloaded until the retries of one page were spent: try again later."""


class StorageError(OsmosError):
    """The delivery's folder, or the mailbox's, cannot be read or written; a retry may succeed."""


class MailboxError(OsmosError):
    """A mailbox cannot do what the caller requests; its content is unchanged."""


class CursorError(MailboxError):
    """The cursor is damaged, or was given out by another mailbox."""


class CursorExpiredError(CursorError):
    """
    What the cursor points to was purged.

    :param message: what happened, and what to do
    :param earliest: a cursor at the earliest record there still is
    """

    def __init__(self, message: str, earliest: str) -> None:
        super().__init__(message)
        self.earliest = earliest


class DeliveryError(OsmosError):
    """A delivery ended without delivering everything; its report says what became of each record."""


class MisconfiguredError(DeliveryError):
    """The API refuses all of it (wrong token, URL, method, certificate): mend the connector."""


class SystemicError(DeliveryError):
    """Every record fails alike and none was accepted: mend schema, mapping, envelope or endpoint."""


class GivenUpError(DeliveryError):
    """The API stayed unreachable or overloaded until the retries were spent: try again later."""


class TooManyFailuresError(DeliveryError):
    """The delivery ran to its end, and more records failed than ``max_failures`` allows."""


class StoppedError(DeliveryError):
    """A signal or a time limit stopped the delivery: a retry goes on where it stood."""


class WaitError(DeliveryError):
    """
    There is nothing to do but wait, longer than a worker slot should be held for it.

    :param seconds: how long
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the API asked to wait {seconds:,.0f} s; the delivery goes on after that")
        self.seconds = seconds


class SupersededError(OsmosError):
    """Stop at once: a later attempt of the same delivery has begun, and what is sent or written now would be twice."""


class TransportError(OsmosError):
    """One request got no whole response."""


class NotSentError(TransportError):
    """
    No byte of the request's body left: safe to send again.

    There was no connection, TLS or a proxy's tunnel was not agreed on, there was no token, or the connection broke
    before anything was taken.
    """


class AmbiguousError(TransportError):
    """
    In doubt: some of the request's body may have left, and no whole answer came back, so the API may have its records.

    A time-out, a reset, a connection that closed, or an answer that is cut off or garbled; but a status of 300 and
    above that came whole is an answer, whatever became of the rest.
    """


class TlsError(TransportError):
    """The peer's identity or the TLS parameters cannot be agreed: a setting is wrong, so a retry cannot help."""


class CredentialsError(TransportError):
    """The token endpoint refuses the credentials: a setting is wrong, so a retry cannot help."""
