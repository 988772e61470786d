"""
The tokens that open a mailbox: made once, shown once, kept as SHA-256.

A token is ``osmos_r_`` (read) or ``osmos_w_`` (write), 32 random base62 digits, and 6 base62 digits of the CRC-32 of
all before them: a scanner for leaked secrets recognises it, and a slip in copying is found without a look-up. It holds
190 random bits, so that its bare SHA-256 gives nothing away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_osmosdest.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_LIVE", "Access", "Direction", "add", "find", "load_access", "new_token", "revoke", "well_formed"]

Direction = Literal["read", "write"]
"""The access that a token gives: to fetch records, or to send them."""

MAX_LIVE = 2
"""How many tokens of one direction a mailbox may have at a time: the one in use, and the one that takes its place."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 32
_CHECK = 6
_FORM = re.compile(rf"osmos_[rw]_[0-9A-Za-z]{{{_RANDOM + _CHECK}}}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """
    The part of a token that a mailbox keeps.

    :param name: its name for people, unique in a mailbox
    :param direction: what it is for
    :param sha256: of the token, in hexadecimal
    :param created_at: when it was made
    :param expires_at: the time from which it opens nothing; ``None`` for never
    """

    name: str
    direction: Direction
    sha256: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None

    @classmethod
    def of(
        cls, token: str, *, name: str, direction: Direction, created_at: datetime, expires_at: datetime | None = None
    ) -> Access:
        """
        Return what to keep of a token.

        :raises ConfigurationError: for a name that cannot be one
        """
        if not _NAME.fullmatch(name):
            msg = f"name: found {name!r}, expected 1 to 64 letters, digits, dots, hyphens or underscores, no dot first"
            raise ConfigurationError(msg)
        return cls(name, direction, _digest(token), created_at, expires_at)

    def live(self, now: datetime) -> bool:
        """Tell whether it opens anything at that time."""
        return self.expires_at is None or now < self.expires_at

    def to_dict(self) -> dict[str, str | None]:
        """Return it as it is kept, times in ISO 8601."""
        return {
            "name": self.name,
            "direction": self.direction,
            "sha256": self.sha256,
            "created_at": self.created_at.isoformat(),
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
        }


def new_token(direction: Direction) -> str:
    """Make a token."""
    body = f"osmos_{direction[0]}_" + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return body + _check(body)


def well_formed(text: str) -> bool:
    """Tell whether a text can be a token at all; says nothing about whether it opens anything."""
    return _FORM.fullmatch(text) is not None and hmac.compare_digest(_check(text[:-_CHECK]), text[-_CHECK:])


def find(access: Iterable[Access], presented: str, direction: Direction | None, now: datetime) -> Access | None:
    """
    Return what is kept of a presented token; ``None`` where it opens nothing.

    Every entry is compared, whichever fits, so that the time taken reveals nothing about them.

    :param direction: what it has to be for; ``None`` for either
    """
    digest = _digest(presented)
    found: Access | None = None
    for each in access:
        same = hmac.compare_digest(each.sha256, digest)
        usable = each.live(now) and direction in (None, each.direction)
        if same and usable:
            found = each
    return found


def add(access: Iterable[Access], new: Access, now: datetime) -> tuple[Access, ...]:
    """
    Return the entries with one more.

    :raises ConfigurationError: when its name is taken, or :data:`MAX_LIVE` of its direction are live already
    """
    kept = tuple(access)
    if any(each.name == new.name for each in kept):
        msg = f"there is a token {new.name!r} already; take another name, or revoke that one first"
        raise ConfigurationError(msg)
    live = [each for each in kept if each.direction == new.direction and each.live(now)]
    if len(live) >= MAX_LIVE:
        oldest = min(live, key=lambda each: each.created_at)
        names = " and ".join(f"{each.name!r} (made {each.created_at:%Y-%m-%d})" for each in live)
        msg = (
            f"{MAX_LIVE} {new.direction} tokens are live already, {names}, and more may not be: the second is for "
            f"changing over from the first. Revoke the one that is no longer used, probably {oldest.name!r}"
        )
        raise ConfigurationError(msg)
    return (*kept, new)


def revoke(access: Iterable[Access], name: str) -> tuple[Access, ...]:
    """
    Return the entries without one.

    :raises ConfigurationError: when there is none of that name
    """
    kept = tuple(access)
    left = tuple(each for each in kept if each.name != name)
    if len(left) == len(kept):
        names = ", ".join(sorted(repr(each.name) for each in kept)) or "none at all"
        msg = f"there is no token {name!r}; there are: {names}"
        raise ConfigurationError(msg)
    return left


def load_access(value: Any) -> tuple[Access, ...]:
    """
    Read entries as :meth:`Access.to_dict` writes them.

    :raises ConfigurationError: naming the entry and its field; never with what was found, which may be a token
    """
    if not isinstance(value, list):
        msg = f"access: found {type(value).__name__}, expected a list of objects with name, direction and sha256"
        raise ConfigurationError(msg)
    loaded = tuple(_entry(number, each) for number, each in enumerate(value))
    names = [each.name for each in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"access: the name {twice[0]!r} is there twice; give each token its own"
        raise ConfigurationError(msg)
    return loaded


def _entry(number: int, value: Any) -> Access:
    where = f"access[{number}]"
    if not isinstance(value, dict):
        msg = f"{where}: found {type(value).__name__}, expected an object with name, direction and sha256"
        raise ConfigurationError(msg)
    name, direction, digest = value.get("name"), value.get("direction"), value.get("sha256")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"{where}.name: expected 1 to 64 letters, digits, dots, hyphens or underscores, no dot first"
        raise ConfigurationError(msg)
    if direction not in ("read", "write"):
        msg = f"{where}.direction: expected read or write"
        raise ConfigurationError(msg)
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        msg = (
            f"{where}.sha256: expected 64 hexadecimal digits in lower case, the SHA-256 of the token and not the token"
        )
        raise ConfigurationError(msg)
    expires_at = value.get("expires_at")
    return Access(
        name=name,
        direction=direction,
        sha256=digest,
        created_at=_time(value, "created_at", where),
        expires_at=None if expires_at in (None, "") else _time(value, "expires_at", where),
    )


def _time(value: Mapping[str, Any], name: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(value[name])
    except (KeyError, TypeError, ValueError):
        msg = f"{where}.{name}: expected a time like 2026-01-31T12:00:00+00:00"
        raise ConfigurationError(msg) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _check(body: str) -> str:
    rest = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
