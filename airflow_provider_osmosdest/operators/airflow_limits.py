"""How much of a task's own data goes into Airflow's database; what is larger goes to storage, or is refused."""

from __future__ import annotations

__all__ = ["STATE_BYTES", "XCOM_BYTES"]

XCOM_BYTES = 1024 * 1024
"""Bytes of records that an XCom takes at most: it is a row of the database."""

STATE_BYTES = 48 * 1024
"""Bytes of a value in the state store: Airflow warns of 64 KB ([state_store] max_value_storage_bytes)."""
