"""The record as a pydantic model, as users of the other tools would write it."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads the annotations

from pydantic import BaseModel


class Order(BaseModel):
    order_id: int
    customer: str
    email: str
    city: str
    amount: float
    paid: bool
    ordered_on: date
    note: str | None = None
