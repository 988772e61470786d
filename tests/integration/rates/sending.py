"""One task of several: delivers records one by one, in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.http.rate_limits import RateLimits
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema


def main(given: dict[str, Any]) -> None:
    """
    Deliver.

    :param given: ``url``, ``folder``, ``records``, ``rate``, ``share``, and the ``port`` of a Redis or ``None``
    """
    said: list[str] = []
    store = None
    if given["port"] is not None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        from airflow_provider_osmosdest.hooks.redis_grants import TIMEOUT_SECONDS, RedisGrants, TaskGrants

        client = Redis(
            port=given["port"],
            protocol=2,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        store = TaskGrants(RedisGrants(client, "Redis", said.append), "api")
    delivery = Delivery(
        Target(given["url"]),
        DeliveryOptions(write_mode="record", concurrency=16, requests_per_second=given["rate"]),
        DestinationSchema.any_object(),
        Path(given["folder"]),
    )
    source = open_source([{"id": number} for number in range(given["records"])], records_format=None)
    limits = RateLimits(given["share"], store)
    result = deliver(delivery, source, CurlTransport, said.append, RunContext(limits=limits))
    json.dump({"delivered": result.report.delivered, "said": said}, sys.stdout)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
