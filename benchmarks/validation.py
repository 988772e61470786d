"""
Validating and serialising NDJSON: ours beside the two usual ways, as records/s and as ratios.

Usage: ``python benchmarks/validation.py [--records 200000] [--rounds 5]``. The contenders take turns in every round
and the best round of each counts, in CPU seconds, so that a busy machine costs all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import time
from typing import TYPE_CHECKING

from figures import BENCHMARKS_PAGE, show
from pydantic import TypeAdapter, ValidationError
from tables import table

from airflow_provider_osmosdest.core.schema import BulkValidator, DestinationSchema, JsonLines, Rows
from airflow_provider_osmosdest.core.schema.validation.blocks import BLOCK_BYTES, BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TYPES = {
    "id": "integer",
    "name": "string",
    "email": "string",
    "city": "string",
    "amount": "number",
    "active": "boolean",
    "created": "date",
    "note": "string",
}
SCHEMA = DestinationSchema.load(
    [{"name": name, "type": type_, "nullable": name == "note"} for name, type_ in TYPES.items()]
)
MODEL_BATCH = 250_000


def record(number: int, rng: random.Random, bad: float) -> dict[str, object]:
    return {
        "id": "x" if rng.random() < bad else number,
        "name": f"name {number}",
        "email": f"user{number}@example.com",
        "city": "Amsterdam",
        "amount": rng.random() * 1000,
        "active": bool(number % 2),
        "created": f"2024-01-{number % 28 + 1:02d}",
        "note": "x" * 80,
    }


def ndjson(records: int, bad: float = 0, broken: float = 0) -> bytes:
    rng = random.Random(1)
    lines = (json.dumps(record(number, rng, bad)) for number in range(records))
    return "".join(('{"id":' if rng.random() < broken else line) + "\n" for line in lines).encode()


def blocks(data: bytes) -> Iterator[JsonLines]:
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + BLOCK_BYTES) + 1 or len(data)
        yield JsonLines(data[start:end])
        start = end


def ours(data: bytes, schema: DestinationSchema = SCHEMA) -> int:
    validator = BulkValidator(schema)
    return sum(validator.validate(block).count for block in blocks(data))


def ours_rows(rows: list[dict[str, object]], *, textual: bool) -> int:
    validator = BulkValidator(SCHEMA)
    cut = (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))
    return sum(validator.validate(Rows(each, textual)).count for each in cut)


def model_per_record(data: bytes) -> int:
    model = SCHEMA.to_model()
    count = 0
    for line in data.splitlines():
        with contextlib.suppress(ValidationError):
            json.dumps(model.model_validate(json.loads(line)).model_dump(mode="json"))
        count += 1
    return count


def adapter_of_models(data: bytes) -> int:
    adapter = TypeAdapter(list[SCHEMA.to_model()])  # type: ignore[misc]
    lines = data.splitlines()
    for start in range(0, len(lines), MODEL_BATCH):
        batch = lines[start : start + MODEL_BATCH]
        adapter.dump_json(adapter.validate_json(b"[" + b",".join(batch) + b"]"))
    return len(lines)


def contenders(records: int) -> dict[str, Callable[[], int]]:
    good = ndjson(records)
    bad, broken = ndjson(records, bad=0.01), ndjson(records, broken=0.01)
    decimals = SCHEMA.to_dict()
    decimals["fields"][4]["type"] = "decimal"
    rows = [json.loads(line) for line in good.splitlines()]
    cells: list[dict[str, object]] = [{name: str(value) for name, value in row.items()} for row in rows]
    return {
        "json.loads + model per record + json.dumps": lambda: model_per_record(good),
        "TypeAdapter(list[Model]), 250k at once": lambda: adapter_of_models(good),
        "ours": lambda: ours(good),
        "ours, 1 % bad": lambda: ours(bad),
        "ours, 1 % not JSON": lambda: ours(broken),
        "ours, one field a decimal": lambda: ours(good, DestinationSchema.load(decimals)),
        "ours, any object": lambda: ours(good, DestinationSchema.any_object()),
        "ours, rows of Python values": lambda: ours_rows(rows, textual=False),
        "ours, rows of text (CSV)": lambda: ours_rows(cells, textual=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    options = parser.parse_args()
    runs = contenders(options.records)
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(options.rounds):
        for name, run in runs.items():
            started = time.process_time()
            if run() != options.records:
                raise SystemExit(f"{name}: lost count")
            best[name] = min(best[name], time.process_time() - started)
    slowest = next(iter(best.values()))
    rows = [
        (name, f"{options.records / seconds:,.0f}", f"{slowest / seconds:.2f} x", f"{best['ours'] / seconds:.2f}")
        for name, seconds in best.items()
    ]
    what = f"{options.records:,} records of 8 fields, best of {options.rounds} rounds, by processor time"
    show(
        "validation",
        f"{what}\n\n{table(('', 'records/s', 'of the first', 'of ours'), rows)}",
        packages=("pydantic", "msgspec"),
        write_to=BENCHMARKS_PAGE if options.write else None,
    )


if __name__ == "__main__":
    main()
