"""
drt: ``drt run`` of a sync from a SQLite table to a REST API.

The table is the nearest it has to a file; making it is not measured.
Its default limit of 10 requests/s is off. Rows are sent as they are: drt has no schema to check them against.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from itertools import islice
from pathlib import Path

PROFILES = """
bench:
  type: sqlite
  database: {database}
"""
PROJECT = """
name: bench
version: "1.0"
profile: bench
"""
RECORD = "  body_mode: record\n"
BATCH = '  body_mode: batch\n  batch_template: "{{ rows | tojson_safe }}"\n'
SYNC = """
name: orders
model: SELECT * FROM orders
destination:
  type: rest_api
  url: {url}
  method: POST
  headers: {{Content-Type: application/json}}
{body}sync:
  mode: full
  batch_size: {batch_size}
  rate_limit: {{requests_per_second: 0}}
  on_error: fail
"""


def prepare(url: str, source: Path, folder: Path, batch_size: int, mode: str) -> None:
    """Make a drt project in a folder, with the records of an NDJSON file as its table."""
    database = folder / f"{source.stem}.sqlite"
    for name in ("syncs", ".drt"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "drt_project.yml").write_text(PROJECT)
    (folder / ".drt" / "profiles.yml").write_text(PROFILES.format(database=database))
    body = BATCH if mode == "batch" else RECORD
    (folder / "syncs" / "orders.yml").write_text(SYNC.format(url=url, body=body, batch_size=batch_size))
    if database.exists():
        return
    connection = sqlite3.connect(database)
    with source.open(encoding="utf-8") as file:
        first = json.loads(next(file))
        connection.execute(f"CREATE TABLE orders ({', '.join(first)})")
        file.seek(0)
        while lines := list(islice(file, 10_000)):
            rows = [tuple(json.loads(line).values()) for line in lines]
            connection.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * len(first))})", rows)
    connection.commit()
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--mode", choices=["batch", "record"], required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prepare", action="store_true")
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(arguments.url, arguments.file, arguments.folder, arguments.batch_size, arguments.mode)
        return
    from drt.cli.main import app

    sys.argv = ["drt", "run", "--quiet"]
    app()


if __name__ == "__main__":
    main()
