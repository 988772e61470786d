"""
Register secrets with Airflow's masker, but none that is too short for it.

The masker leaves a short text alone, as it would match by chance, and says so in the log of each process: among the
fields of a connection there is nearly always one, such as ``POST``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_osmosdest.core.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["mask_secrets", "read_extra", "secret_texts"]


def mask_secrets(texts: Iterable[str]) -> None:
    """Register texts that must not appear in any log."""
    from airflow.sdk.log import mask_secret

    for text in _long_enough(list(texts), _shortest()):
        mask_secret(text)


def read_extra(conn: Any) -> dict[str, Any]:
    """
    Return the extra of a connection; values whose names say that they are secret are masked, as Airflow does it.

    :param conn: an Airflow Connection
    :raises ConnectorError: when the extra is no JSON object
    """
    from airflow.sdk.log import mask_secret

    if not conn.extra:
        return {}
    try:
        extra = json.loads(conn.extra)
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        # Not shown: it may hold secrets.
        msg = 'extra is not a JSON object; expected one like {"headers": {"X-Api-Key": "…"}}'
        raise ConnectorError(msg)
    mask_secret(_long_enough(extra, _shortest()))
    return extra


def secret_texts(value: Any) -> list[str]:
    """
    Return the texts in a value that Airflow would not show: their names say that they are secret, as ``api_key`` does.

    :param value: plain values of JSON
    """
    from airflow.providers.common.compat.sdk import redact

    return list(_hidden(value, redact(value)))


def _hidden(value: Any, shown: Any) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(shown, dict):
        for name, each in value.items():
            yield from _hidden(each, shown.get(name))
    elif isinstance(value, list) and isinstance(shown, list):
        for each, instead in zip(value, shown, strict=True):
            yield from _hidden(each, instead)
    elif isinstance(value, str) and value != shown:
        yield value


def _shortest() -> int:
    from airflow.providers.common.compat.sdk import conf

    return int(conf.getint("logging", "min_length_masked_secret", fallback=5))


def _long_enough(value: Any, shortest: int) -> Any:
    """Return a value without the texts in it that have fewer characters than ``shortest``."""
    if isinstance(value, dict):
        return {name: _long_enough(each, shortest) for name, each in value.items() if not _short(each, shortest)}
    if isinstance(value, list):
        return [_long_enough(each, shortest) for each in value if not _short(each, shortest)]
    return value


def _short(value: Any, shortest: int) -> bool:
    return isinstance(value, str) and len(value) < shortest
