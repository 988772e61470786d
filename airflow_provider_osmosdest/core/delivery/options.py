"""
The write options of a delivery: one frozen value, checked once.

A connection's write options override the defaults here, and a task's override both
(:meth:`DeliveryOptions.layered`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_osmosdest.core.delivery.envelope import Envelope
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.http.target import DEFAULT_TIMEOUT
from airflow_provider_osmosdest.core.seen.keys import key_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["AUTO", "IDEMPOTENCY_HEADER", "MAX_BATCH_SIZE", "NO_HEADER", "DeliveryOptions"]

AUTO = "auto"
"""The ``concurrency`` that adapts to the API."""

MAX_BATCH_SIZE = 250_000
"""The largest ``batch_size``, in records."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "write_mode": ("batch", "record"),
    "batch_format": ("json", "ndjson"),
    "on_batch_failure": ("split", "fail"),
    "compression": ("none", "gzip", "zstd"),
    "on_no_answer": ("stop", "split"),
    "guarantee": ("at_least_once", "at_most_once"),
    "deduplicate": ("none", "in_file", "records", "files"),
}

# Lower and upper bounds, both included; None is no bound.
_WHOLE: dict[str, tuple[int, int | None]] = {
    "batch_size": (1, MAX_BATCH_SIZE),
    "max_batch_bytes": (2, None),
    "concurrency": (1, 512),
    "max_retries": (0, 100),
    "systemic_after": (1, None),
    "max_split_requests": (1, None),
    "circuit_after": (1, None),
}
_NUMBERS = ("timeout", "backoff", "max_backoff", "defer_after", "requests_per_second", "records_per_second")
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TRUTH_OPTIONS = ("retry_rejected", "remember_failures")
_EXPRESSIONS = ("item_errors", "success_when", "already_exists_when")
_OPTIONAL = ("max_batch_bytes", "envelope", *_EXPRESSIONS, "requests_per_second", "records_per_second")
IDEMPOTENCY_HEADER = "Idempotency-Key"
"""The header's usual name: draft-ietf-httpapi-idempotency-key-header."""

NO_HEADER = "none"
"""The ``idempotency_header`` that is not sent."""


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """
    How to deliver.

    :param write_mode: ``batch`` (many records a request) or ``record`` (one record a request)
    :param batch_size: records a batch covers at most, 1 to 250,000
    :param max_batch_bytes: bytes of a request's body at most, before compression; ``None`` is no bound.
        A single record that is larger is sent all the same: the API decides
    :param batch_format: ``json`` (one array) or ``ndjson`` (one record a line)
    :param envelope: wraps the records: a name (``data`` makes ``{"data": [...]}``) or a JSON object one of
        whose values is ``"$records"``
    :param on_batch_failure: ``split`` a refused batch until each part succeeds or is one record, or ``fail``:
        all its records are ``rejected``
    :param compression: of request bodies: ``none``, ``gzip`` or ``zstd``
    :param item_errors: JMESPath over an answer's JSON that lists the items it refused: positions in the
        sent array, or objects with ``index`` and optionally ``error``
    :param success_when: JMESPath over a 2xx answer's JSON that must be true for it to be a success
    :param already_exists_when: JMESPath over ``{status, body}`` of an answer that is true where the API has the record
        already, such as ``status == `409```: it counts as ``duplicate`` then. Applied to answers to one record, and to
        each item that ``item_errors`` lists (``body`` is the item then, and ``status`` its own where it has one)
    :param on_no_answer: what to do with several records sent together where no answer came through all retries:
        ``stop`` the delivery, with them ``unknown``, or ``split`` them, by which the API may take records twice
    :param concurrency: requests in flight in ``record`` mode: a number, or ``auto`` for as many, and as fast, as the
        API takes
    :param max_failures: how many records may fail before the delivery counts as failed: a count, or a share
        of all records read, as a number with a point up to 1.0 (text too) or as ``"2%"``
    :param timeout: seconds to wait for an answer once the body is sent; a connection has 30 seconds of its own
    :param max_retries: how often one chunk is sent again after a transient failure
    :param backoff: seconds of the first wait at most; it doubles with each retry, with full jitter
    :param max_backoff: seconds of any wait at most, a server's ``Retry-After`` included
    :param systemic_after: stop when so many single records were refused with one status and nothing at all
        was accepted
    :param max_split_requests: stop when splitting one batch has taken so many requests
    :param guarantee: ``at_least_once``: what may or may not have arrived is sent again; ``at_most_once``: it never is
    :param idempotency_header: name of the header that carries a chunk's idempotency key; ``"none"`` sends none
    :param retry_rejected: a further attempt of the task takes up ``rejected`` and ``invalid`` records too
    :param remember_failures: a record that an earlier delivery has reported as ``invalid`` or ``rejected``, and that is
        so again, does not count for ``max_failures``
    :param requests_per_second: requests a second at most; ``None`` is no bound
    :param records_per_second: records a second at most; ``None`` is no bound
    :param circuit_after: transient failures in a row after which one request at a time probes the API
    :param defer_after: seconds of waiting from which a deferrable task gives its worker slot back
    :param deduplicate: what not to send again: ``none``; ``in_file``: a record that came before in the same source;
        ``records``: that, and what an earlier run delivered; ``files``: a file whose content an earlier run has taken
    :param record_key: fields that identify a record in ``in_file`` and ``records``: a name, or several as a list
        or with commas between; ``None`` is the whole record. By a key, a record that was edited is no new one
    :raises OptionsError: naming the option, what was found and what was expected
    """

    write_mode: Literal["batch", "record"] = "batch"
    batch_size: int = MAX_BATCH_SIZE
    max_batch_bytes: int | None = None
    batch_format: Literal["json", "ndjson"] = "json"
    envelope: str | Mapping[str, Any] | None = None
    on_batch_failure: Literal["split", "fail"] = "split"
    compression: Literal["none", "gzip", "zstd"] = "none"
    item_errors: str | None = None
    success_when: str | None = None
    already_exists_when: str | None = None
    on_no_answer: Literal["stop", "split"] = "stop"
    concurrency: int | Literal["auto"] = 16
    max_failures: int | float | str = 0
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = 8
    backoff: float = 0.5
    max_backoff: float = 60.0
    systemic_after: int = 100
    max_split_requests: int = 25_000
    guarantee: Literal["at_least_once", "at_most_once"] = "at_least_once"
    idempotency_header: str = IDEMPOTENCY_HEADER
    retry_rejected: bool = False
    remember_failures: bool = False
    requests_per_second: float | None = None
    records_per_second: float | None = None
    circuit_after: int = 10
    defer_after: float = 60.0
    deduplicate: Literal["none", "in_file", "records", "files"] = "none"
    record_key: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Check every option, and the combinations that cannot be."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                msg = f"{name}: found {value!r}, expected one of {', '.join(choices)}"
                raise OptionsError(msg)
        for name, (low, high) in _WHOLE.items():
            _check_whole(name, getattr(self, name), low, high)
        for name in _NUMBERS:
            _check_number(name, getattr(self, name))
        for name in _EXPRESSIONS:
            _check_expression(name, getattr(self, name))
        for name in _TRUTH_OPTIONS:
            _check_truth(name, getattr(self, name))
        _check_header("idempotency_header", self.idempotency_header)
        _ = self.failures_allowed(0)
        Envelope.of(self.envelope)
        _ = self.key_fields
        if self.batch_format == "ndjson" and self.envelope is not None and self.write_mode == "batch":
            msg = "envelope: NDJSON has no place for one; use batch_format 'json', or leave the envelope out"
            raise OptionsError(msg)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all write options."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def layered(cls, layers: Iterable[Mapping[str, Any]]) -> DeliveryOptions:
        """
        Make options from several layers; the first layer that sets an option wins.

        ``None`` and an empty string set nothing.

        :param layers: mappings of option name to value, the strongest first
        :raises OptionsError: for a name that is no option, or a value that cannot be
        """
        chosen: dict[str, Any] = {}
        for layer in layers:
            for name, value in layer.items():
                if name not in cls.names():
                    msg = f"{name}: there is no such write option; there are {', '.join(cls.names())}"
                    raise OptionsError(msg)
                if value is not None and value != "":
                    chosen.setdefault(name, value)
        return cls(**{name: _converted(name, value) for name, value in chosen.items()})

    @property
    def once(self) -> bool:
        """Whether nothing may be sent that may have arrived already."""
        return self.guarantee == "at_most_once"

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of ``record_key``, none for the whole record."""
        return key_fields(self.record_key)

    def failures_allowed(self, read: int) -> int:
        """Return how many of ``read`` records may fail, from ``max_failures``."""
        value: Any = self.max_failures
        try:
            if isinstance(value, str):
                text = value.strip()
                per_cent = text.endswith("%")
                # From a template or a URI, a share comes as text: it is the point that tells it from a count.
                share = per_cent or "." in text
                value = float(text[:-1]) / 100 if per_cent else float(text) if share else int(text)
            else:
                share = isinstance(value, float) and not isinstance(value, bool)
            limit = 1 if share else float("inf")
            if isinstance(value, bool) or not 0 <= value <= limit:
                raise ValueError  # noqa: TRY301 - one message for all that is wrong with it
        except (TypeError, ValueError):
            msg = (
                f"max_failures: found {self.max_failures!r}, expected a count (0 or more), "
                'a share from 0.0 to 1.0 (0.02), or per cent ("2%")'
            )
            raise OptionsError(msg) from None
        return int(value * read) if share else int(value)


def _converted(name: str, value: Any) -> Any:
    """Turn the text of a form field or a template into the value it stands for; the check comes after."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        if name in _WHOLE and text != AUTO:
            return int(text.replace("_", ""))
        if name in _NUMBERS:
            return float(text)
    except ValueError:
        return value
    return _TRUTHS.get(text.lower(), text) if name in _TRUTH_OPTIONS else text


def _check_whole(name: str, value: Any, low: int, high: int | None) -> None:
    if (value is None and name in _OPTIONAL) or (value == AUTO and name == "concurrency"):
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        bounds = f"from {low:,} to {high:,}" if high is not None else f"of at least {low:,}"
        msg = f"{name}: found {value!r}, expected a whole number {bounds}"
        raise OptionsError(msg)


def _check_number(name: str, value: Any) -> None:
    if value is None and name in _OPTIONAL:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        msg = f"{name}: found {value!r}, expected a number above 0"
        raise OptionsError(msg)


def _check_truth(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        msg = f"{name}: found {value!r}, expected true or false"
        raise OptionsError(msg)


def _check_header(name: str, value: Any) -> None:
    # RFC 9110 section 5.1: a token.
    if not isinstance(value, str) or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", value):
        msg = f"{name}: found {value!r}, expected the name of a header, or 'none'"
        raise OptionsError(msg)


def _check_expression(name: str, value: Any) -> None:
    if value is None:
        return
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        jmespath.compile(value)
    except (JMESPathError, TypeError, RecursionError) as error:
        msg = f"{name}: {value!r} is not a JMESPath expression: {error}"
        raise OptionsError(msg) from error
