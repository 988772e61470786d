"""What servers say to a pull."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

__all__ = ["asked", "numbered"]


def asked(talk):
    """Return a request's query."""
    return {name: value[0] for name, value in parse_qs(urlsplit(talk.request.target).query).items()}


def numbered(count, **more):
    """Return a script that serves so many records by offset and limit."""

    def script(talk):
        talk.read_body()
        query = asked(talk)
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 10))
        found = [{"id": number} for number in range(offset, min(offset + limit, count))]
        talk.reply(200, json.dumps({"items": found, "total": count, **more}).encode())

    return script
