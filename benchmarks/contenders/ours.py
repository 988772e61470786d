"""This package: ``deliver()`` as the operator calls it, with validation, outcomes, failures file and report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets import DATA_SETS

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger.store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema.schema import DestinationSchema


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--mode", choices=["batch", "record"], default="batch")
    parser.add_argument("--batch-size", type=int, default=250_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--no-ledger", action="store_true", help="keep the ledger in memory")
    parser.add_argument("--data", choices=DATA_SETS, default="orders")
    parser.add_argument("--compression", default="none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = deliver(
            Delivery(
                target=Target(url=arguments.url),
                options=DeliveryOptions(
                    write_mode=arguments.mode,
                    batch_size=arguments.batch_size,
                    concurrency=arguments.concurrency,
                    compression=arguments.compression,
                    max_failures="5%",
                ),
                schema=DestinationSchema.load(DATA_SETS[arguments.data].schema),
                folder=Path(folder),
            ),
            open_source(arguments.file),
            CurlTransport,
            lambda line: print(line, file=sys.stderr),
            RunContext(ledger=MemoryLedgerStore() if arguments.no_ledger else None),
        )
    if result.error is not None:
        raise SystemExit(str(result.error))


if __name__ == "__main__":
    main()
