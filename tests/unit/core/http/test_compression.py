from __future__ import annotations

import gzip
import sys

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import MissingExtraError
from airflow_provider_osmosdest.core.http.compression import compressor
from airflow_provider_osmosdest.core.http.transport import Body

UNPACK = {"gzip": gzip.decompress, "zstd": zstandard.decompress}


def body_of(pieces):
    return Body(pieces, sum(map(len, pieces)))


def test_none_is_nothing_to_do():
    assert compressor("none") is None


@pytest.mark.parametrize("name", UNPACK)
@given(pieces=st.lists(st.binary(max_size=200), max_size=6))
def test_what_was_sent_is_what_comes_out(name, pieces):
    packed = compressor(name)(body_of([pieces[0], *map(memoryview, pieces[1:])] if pieces else []))
    raw = b"".join(packed.pieces)
    assert packed.length == len(raw)
    assert UNPACK[name](raw) == b"".join(pieces)


@pytest.mark.parametrize("name", UNPACK)
def test_a_large_body_comes_out_small_and_the_same_each_time(name):
    body = body_of([b'{"id":%d,"text":"some text"}\n' % number * 1000 for number in range(200)])
    packed = compressor(name)(body)
    assert packed.length < body.length / 10
    again = compressor(name)(body)
    assert b"".join(again.pieces) == b"".join(packed.pieces), "an unchanged chunk must keep its bytes"
    assert UNPACK[name](b"".join(packed.pieces)) == b"".join(body.pieces)


def test_without_zstandard_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"compression 'zstd'.*\[zstd\]"):
        compressor("zstd")
