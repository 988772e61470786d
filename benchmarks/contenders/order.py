"""The records as pydantic models, as users of the other tools would write them; and as those read them from a file."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime  # noqa: TC003 - pydantic reads the annotations
from decimal import Decimal  # noqa: TC003 - as above
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Order(BaseModel):
    order_id: int
    customer: str
    email: str
    city: str
    amount: float
    paid: bool
    ordered_on: date
    note: str | None = None


class TimedOrder(BaseModel):
    order_id: int
    customer: str
    email: str
    city: str
    amount: float
    paid: bool
    ordered_at: datetime
    note: str | None = None


class ShopOrder(BaseModel):
    order_id: int
    email: Annotated[str, Field(max_length=80)] | None = None
    amount: Annotated[Decimal, Field(ge=0)]


class Flight(BaseModel):
    time_hour: datetime
    carrier: str
    flight: int
    tailnum: str | None = None
    origin: str
    dest: str
    dep_time: int | None = None
    sched_dep_time: int
    dep_delay: int | None = None
    arr_time: int | None = None
    sched_arr_time: int
    arr_delay: int | None = None
    air_time: int | None = None
    distance: int


MODELS: dict[str, type[BaseModel]] = {"orders": Order, "timed": TimedOrder, "readme": ShopOrder, "flights": Flight}


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of an NDJSON, CSV or Parquet file as they are usually read."""
    if path.suffix == ".parquet":
        from pyarrow import parquet as pq

        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            for row in csv.DictReader(file):
                yield {name: value or None for name, value in row.items()}
        else:
            yield from map(json.loads, file)
