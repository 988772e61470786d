"""What the stack has from ``docker-compose.yaml``, so that both run the same: environment, and the proxy's rules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMPOSE", "environment_of", "load", "nginx_config"]

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yaml"


@cache
def load(path: Path = COMPOSE) -> dict[str, Any]:
    """Return a compose file, with its anchors and merges resolved."""
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


def environment_of(service: str, addresses: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment of a service.

    :param addresses: for each ``host:port`` inside the compose network, what it is on this machine
    """
    found = load()["services"][service]["environment"]
    return {name: _localized(str(value), addresses) for name, value in found.items()}


def nginx_config(addresses: Mapping[str, str]) -> str:
    """Return the proxy's configuration."""
    return _localized(load()["configs"]["nginx"]["content"], addresses)


def _localized(text: str, addresses: Mapping[str, str]) -> str:
    for inside, here in addresses.items():
        text = re.sub(rf"(?<![\w.-]){re.escape(inside)}(?!\d)", here, text)
    return text.replace("$$", "$")
