"""
A partner's consumer: fetch a page, keep it, commit it. Run as a program, with nothing but the standard library.

It notes what it does in ``journal.ndjson``: a page once it is kept in ``records.ndjson``, and its commit once that is
answered. Whoever kills it and starts it again can tell from both what came twice.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

open_url = build_opener(ProxyHandler({})).open


def main(url: str, token: str, limit: str, folder: str) -> None:
    """Fetch and commit until nothing is left."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/x-ndjson"}
    with (
        (Path(folder) / "records.ndjson").open("ab") as records,
        (Path(folder) / "journal.ndjson").open("ab", buffering=0) as journal,
    ):

        def note(**what: object) -> None:
            journal.write(json.dumps({"pid": os.getpid(), **what}).encode() + b"\n")

        while True:
            with open_url(Request(f"{url}/records?limit={limit}", headers=headers), timeout=60) as answer:
                page = answer.read()
                cursor = answer.headers["Mailbox-Next-Cursor"]
            if not page:
                return
            start = records.tell()
            records.write(page)
            records.flush()
            note(page=[start, start + len(page)])
            commit = Request(
                f"{url}/commit",
                data=json.dumps({"cursor": cursor}).encode(),
                headers={**headers, "Content-Type": "application/json"},
            )
            with open_url(commit, timeout=60) as answer:
                note(committed=answer.status)


if __name__ == "__main__":
    main(*sys.argv[1:])
