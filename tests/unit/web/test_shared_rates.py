from __future__ import annotations

import asyncio

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.web.shared_rates import SharedRates


def test_the_processes_of_a_server_divide_a_rate():
    async def ask():
        rates = SharedRates(4, lambda: None)
        return [await rates.wait(("box", "token"), 0.4) for _ in range(2)]

    first, second = asyncio.run(ask())
    assert first == 0
    assert 9 <= second <= 10


def test_a_setting_that_cannot_be_used_is_logged_once_and_the_rate_divided(caplog):
    def broken():
        raise OptionsError("redis_url is no URL")

    async def ask():
        rates = SharedRates(1, broken)
        return [await rates.wait((name, "token"), 0.4) for name in ("a", "b")]

    assert asyncio.run(ask()) == [0, 0]
    assert [record.getMessage() for record in caplog.records] == [
        "Rates are not shared through Redis: OptionsError: redis_url is no URL"
    ]
