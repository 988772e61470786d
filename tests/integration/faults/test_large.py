"""A body of 2 GB; the size comes from ``OSMOSDEST_TEST_BODY_MB``, as that takes its time."""

from __future__ import annotations

import os
import resource
import time

import pytest

from airflow_provider_osmosdest.core.errors import AmbiguousError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Body, Request
from airflow_provider_osmosdest.testing.servers import ScriptedServer

PIECE = bytes(range(256)) * 4096  # 1 MiB
MEGABYTES = int(os.environ.get("OSMOSDEST_TEST_BODY_MB", "64"))


def body_of(megabytes):
    # The same piece again and again, each time as a view: what is sent is never joined.
    return Body([b"[", *[memoryview(PIECE)] * megabytes, b"]"], megabytes * len(PIECE) + 2)


def exchange(carrier, body, within=600):
    answers = carrier.exchange([Request(body)], 1.0)
    until = time.monotonic() + within
    while not answers and time.monotonic() < until:
        answers = carrier.exchange((), 1.0)
    return answers[0]


def test_a_body_larger_than_memory_would_like(transport):
    checked = []

    def script(talk):
        left, at, good = talk.request.length, 0, True
        while left:
            data = talk.read_body(min(left, 1024 * 1024))
            if not data:
                return
            if at == 0:
                good = data[:1] == b"["
            good = good and (len(data) < 3 or data[2] == (data[1] + 1) % 256 or at == 0)
            at += len(data)
            left -= len(data)
        checked.append((at, good))
        talk.reply(200, b"{}")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with ScriptedServer(script) as server:
        carrier = transport(Target(server.url, timeout=60), in_flight=1, headers={}, answer_bytes=100, may_repeat=True)
        answer = exchange(carrier, body_of(MEGABYTES))
        carrier.close()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert (answer.status, answer.error) == (200, None)
    assert checked == [(MEGABYTES * len(PIECE) + 2, True)]
    print(f"\n{MEGABYTES:,} MB, peak memory up by {grown:.0f} MB")  # noqa: T201 - a figure to see
    assert grown < 40


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_large_body_that_breaks_off(transport, share):
    def script(talk):
        left = int(talk.request.length * share)
        while left:
            left -= len(talk.read_body(min(left, 1024 * 1024)))
        talk.reset()

    with ScriptedServer(script) as server:
        carrier = transport(Target(server.url, timeout=60), in_flight=1, headers={}, answer_bytes=100, may_repeat=True)
        answer = exchange(carrier, body_of(MEGABYTES))
        carrier.close()
    # Even of the body that nothing is read of, something left.
    assert isinstance(answer.error, AmbiguousError)
