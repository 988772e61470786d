"""``HttpOperator``, one for each record as ``.expand()`` makes them, without what scheduling each would cost on top."""

from __future__ import annotations

import argparse
from pathlib import Path

from airflow.providers.http.operators.http import HttpOperator
from order import Order

JSON = {"Content-Type": "application/json"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    with arguments.file.open(encoding="utf-8") as file:
        for line in file:
            deliver = HttpOperator(
                task_id="deliver",
                http_conn_id="bench",
                endpoint="orders",
                method="POST",
                data=Order.model_validate_json(line).model_dump_json().encode(),
                headers=JSON,
            )
            deliver.execute({})


if __name__ == "__main__":
    main()
