"""dlt: a resource yields pages of 1,000 to a ``@dlt.destination``, which posts with dlt's own requests helper."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common import json
from dlt.sources.helpers import requests
from order import MODELS, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = {"Content-Type": "application/json"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--model", action="store_true", help="validate with a pydantic model too")
    parser.add_argument("--data", choices=MODELS, default="orders")
    arguments = parser.parse_args()

    session = requests.Client().session

    @dlt.destination(batch_size=arguments.batch_size, name="orders_api")
    def orders_api(items: list[dict[str, object]], table: object) -> None:  # noqa: ARG001 - dlt calls it so
        body = items if arguments.batch_size > 1 else items[0]
        session.post(arguments.url, data=json.dumpb(body), headers=JSON).raise_for_status()

    @dlt.resource(columns=MODELS[arguments.data] if arguments.model else None)
    def orders() -> Iterator[list[Any]]:
        if arguments.file.suffix != ".ndjson":
            rows = rows_of(arguments.file)
            while page := list(islice(rows, 1000)):
                yield page
            return
        with arguments.file.open("rb") as file:
            while lines := list(islice(file, 1000)):
                yield [json.loadb(line) for line in lines]

    pipeline = dlt.pipeline("orders", destination=orders_api, dataset_name="orders")
    pipeline.run(orders()).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
