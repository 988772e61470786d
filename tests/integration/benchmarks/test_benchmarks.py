"""The benchmarks run, and the sink counts what it is sent; how fast anything was is not looked at."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
RECORD = b'{"order_id":1,"note":"\xc3\xa9"}'


def run(script, *options):
    command = [sys.executable, str(BENCHMARKS / script), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def sink():
    process = subprocess.Popen([sys.executable, str(BENCHMARKS / "sink.py")], stdout=subprocess.PIPE)
    with process, closing(http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()))) as connection:
        yield connection
        process.terminate()


def post(connection, body, *, chunked=False):
    connection.request("POST", "/orders", body=body, encode_chunked=chunked)
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)) == (200, {"ok": True})


def counts(connection):
    connection.close()
    connection.request("GET", "/counts")
    document = json.load(connection.getresponse())
    connection.close()
    return {name: document[name] for name in ("requests", "records", "body_bytes")}


def test_the_sink_counts_small_and_large_bodies(sink):
    large = b"[" + b",".join([RECORD] * 100_000) + b"]"
    for body in (RECORD, large, RECORD):
        post(sink, body)
    expected = {"requests": 3, "records": 100_002, "body_bytes": len(large) + 2 * len(RECORD)}
    assert counts(sink) == expected
    assert counts(sink) == {"requests": 0, "records": 0, "body_bytes": 0}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_sink_counts_chunked_bodies_wherever_they_are_cut(sink, size):
    body = b"[" + b",".join([RECORD] * 50) + b"]"
    for _ in range(2):
        pieces = (body[at : at + size] for at in range(0, len(body), size))
        sink.putrequest("POST", "/orders")
        sink.putheader("Transfer-Encoding", "chunked")
        sink.endheaders(pieces, encode_chunked=True)
        assert sink.getresponse().read() == b'{"ok":true}'
    assert counts(sink) == {"requests": 2, "records": 100, "body_bytes": 2 * len(body)}


def test_the_sink_counts_a_record_cut_in_two_by_packets(sink):
    sink.connect()
    head = b"POST /orders HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n" % (2 * len(RECORD))
    for byte in head + RECORD + RECORD:
        sink.sock.send(bytes([byte]))
    assert sink.sock.recv(1000).endswith(b'{"ok":true}')
    assert counts(sink) == {"requests": 1, "records": 2, "body_bytes": 2 * len(RECORD)}


def test_our_contenders_deliver_every_record():
    printed = run("run.py", "--records", "1000", "--repeats", "1", "--only", "ours-batch")
    assert "batch mode" in printed
    assert "ours, 1 % of the records bad" in printed
    assert "Measured on " in printed


def test_a_contender_that_does_not_exist_is_misuse():
    with pytest.raises(subprocess.CalledProcessError) as error:
        run("run.py", "--only", "nobody")
    assert "no such contender; --list prints them" in error.value.stderr


def test_splitting_accounts_for_every_record():
    printed = run("splitting.py", "--records", "2000", "--poison", "1,5", "--draws", "1")
    assert "5 at random" in printed
    assert "5 in one run" in printed


def test_seen_keys_are_checked_and_added_without_rewriting():
    printed = run("seen.py", "--keys", "20000", "--records", "1000", "--rounds", "1")
    figures = dict(re.split(r"  +", line) for line in printed.splitlines() if re.search(r"\S  +\S", line))
    assert figures["keys"] == "20,000"
    assert (figures["objects written for them"], figures["objects rewritten for them"]) == ("1", "0")
    assert "90 % seen, 10 % new: records checked a second" in figures


def test_pacing_counts_what_was_taken_and_refused():
    printed = run("pacing.py", "--promised", "--seconds", "2", "--rounds", "1", "--at-once", "4")
    share = r" +[\d.]+%"
    row = rf"^200 by a (?:bucket|window), Retry-After [-1]{share}  at least 90%{share}{share}  less than 5%{share}$"
    assert len(re.findall(row, printed, re.MULTILINE)) == 4
    assert "mean of 4 limits with 429" in printed


def test_parts_deliver_every_record_and_make_a_model():
    printed = run("scaling.py", "--share", "0.05", "--repeats", "1", "--only", "batch")
    assert re.findall(r"^1,000 a request, .* ms +(\d+(?: h)?) ", printed, re.MULTILINE) == [
        "1",
        "2",
        "4",
        "24 h",
        "4 h",
    ]
