"""The records of the benchmarks: orders of 8 fields and about 230 bytes, the same in every run."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

MARKER = '"order_id":'
"""Stands in each record exactly once, however it is serialised."""

POISON = "poison"
"""The note of a record that a server is to refuse, though it satisfies the schema."""

FIELDS: list[dict[str, Any]] = [
    {"name": "order_id", "type": "integer", "nullable": False},
    {"name": "customer", "type": "string", "nullable": False},
    {"name": "email", "type": "string", "nullable": False},
    {"name": "city", "type": "string", "nullable": False},
    {"name": "amount", "type": "number", "nullable": False},
    {"name": "paid", "type": "boolean", "nullable": False},
    {"name": "ordered_on", "type": "date", "nullable": False},
    {"name": "note", "type": "string", "nullable": True},
]

_FIRST = ("Ada", "Barbara", "Chidi", "Dagny", "Emre", "Fatima", "Günther", "Hanako", "Ines", "Joaquín")
_LAST = ("Almeida", "Brink", "Castellanos", "Dvořák", "Eze", "Fischer", "Grønneberg", "Hashimoto", "Ivanova", "Jansen")
_CITIES = ("Amsterdam", "Bogotá", "Casablanca", "Dresden", "Edinburgh", "Fukuoka", "Gdańsk", "Hanoi")
_NOTE = "please leave the parcel with a neighbour if nobody answers and ring the bell twice before going on"


def generate(path: Path, records: int, *, bad_share: float = 0.0, poison: Collection[int] = (), seed: int = 7) -> int:
    """
    Write records as NDJSON.

    :param bad_share: the share of records, taken at random, whose amount is no number
    :param poison: the indexes of records whose note is :data:`POISON`
    :return: how many of them are valid
    """
    chance = random.Random(seed)
    bad = set(chance.sample(range(records), int(records * bad_share)))
    words = _NOTE.split()
    notes = [" ".join(chance.choices(words, k=12)) for _ in range(997)]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        lines: list[str] = []
        for number in range(records):
            first, last = _FIRST[number % 10], _LAST[number // 10 % 10]
            amount = '"n/a"' if number in bad else f"{chance.random() * 1000:.2f}"
            note = f'"{notes[number % 997]}"' if number % 10 else "null"
            note = f'"{POISON}"' if number in poison else note
            lines.append(
                f'{{"order_id":{number},"customer":"{first} {last}",'
                f'"email":"customer{number}@example.com","city":"{_CITIES[number % 8]}","amount":{amount},'
                f'"paid":{"true" if number & 1 else "false"},'
                f'"ordered_on":"2026-{number % 12 + 1:02}-{number % 28 + 1:02}",'
                f'"note":{note}}}\n'
            )
            if len(lines) == 1000:  # noqa: PLR2004 - keeps this process, whose peak the children inherit, small
                file.write("".join(lines))
                lines.clear()
        file.write("".join(lines))
    return records - len(bad)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--bad-share", type=float, default=0.0)
    arguments = parser.parse_args()
    print(generate(arguments.path, arguments.records, bad_share=arguments.bad_share))
