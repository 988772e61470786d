"""``HttpHook.run`` as tasks call it: in a loop, or with a list of records. Its connection is in the environment."""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

from airflow.providers.http.hooks.http import HttpHook
from order import MODELS, Order, rows_of
from pydantic import TypeAdapter

JSON = {"Content-Type": "application/json"}
BATCH = 250_000
ORDERS = TypeAdapter(list[Order])


def model(path: Path, data: str) -> None:
    """Send batches of a data set, with a model for each record."""
    hook = HttpHook(method="POST", http_conn_id="bench")
    records, kind = rows_of(path), MODELS[data]
    while rows := [kind(**row) for row in islice(records, BATCH)]:
        hook.run("orders", json=[row.model_dump(mode="json") for row in rows])


def batch(path: Path, way: str) -> None:
    """Send batches, serialised by requests or by pydantic."""
    hook = HttpHook(method="POST", http_conn_id="bench")
    with path.open(encoding="utf-8") as file:
        while lines := list(islice(file, BATCH)):
            if way == "tuned":
                # Parsed by pydantic, and no model outlives its line.
                records = [Order.model_validate_json(line).model_dump(mode="json") for line in lines]
                hook.run("orders", json=records)
            elif way == "adapter":
                validated = ORDERS.validate_json(f"[{','.join(lines)}]")
                hook.run("orders", data=ORDERS.dump_json(validated), headers=JSON)
            else:
                hook.run("orders", json=[json.loads(line) for line in lines])


def loop(path: Path, *, validated: bool) -> None:
    """Send one record a call."""
    hook = HttpHook(method="POST", http_conn_id="bench")
    with path.open(encoding="utf-8") as file:
        for line in file:
            data = Order.model_validate_json(line).model_dump_json() if validated else line
            hook.run("orders", data=data.encode(), headers=JSON)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--mode", choices=["batch", "record"], required=True)
    parser.add_argument("--way", choices=["model", "tuned", "adapter", "plain"], default="model")
    parser.add_argument("--data", choices=MODELS, default="orders")
    arguments = parser.parse_args()
    if arguments.mode == "batch" and arguments.way == "model":
        model(arguments.file, arguments.data)
    elif arguments.mode == "batch":
        batch(arguments.file, arguments.way)
    else:
        loop(arguments.file, validated=arguments.way == "model")


if __name__ == "__main__":
    main()
