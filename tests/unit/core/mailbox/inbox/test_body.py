"""From the bytes that came to text: what is taken, and what a bound is worth."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
import zstandard

from airflow_provider_osmosdest.core.mailbox.inbox.body import (
    MEDIA_TYPES,
    body_encoding,
    body_media_type,
    encodings,
    text_of,
    unpack,
)
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import InboxRejection

LIMIT = 1_000_000
PACK = {"gzip": gzip.compress, "zstd": zstandard.compress}


def rejection(function, *arguments):
    with pytest.raises(InboxRejection) as caught:
        function(*arguments)
    return caught.value


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *((name, name) for name in MEDIA_TYPES),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ('text/csv;charset="utf-8";header=present', "text/csv"),
    ],
)
def test_media_types_that_are_taken(header, expected):
    assert body_media_type(header) == expected


@pytest.mark.parametrize("header", [None, "", "text/plain", "application/json; charset=latin-1", "application/jsonx"])
def test_other_media_types_are_rejected_with_those_that_are_taken(header):
    rejected = rejection(body_media_type, header)
    assert rejected.status == 415
    assert all(name in rejected.detail and name in rejected.headers["Accept"] for name in MEDIA_TYPES)


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("", None), ("identity", None), (" GZIP ", "gzip"), ("x-gzip", "gzip")]
)
def test_encodings_that_are_taken(header, expected):
    assert body_encoding(header) == expected


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "deflate"])
def test_other_encodings_are_rejected_with_those_that_are_taken(header):
    rejected = rejection(body_encoding, header)
    assert (rejected.status, rejected.headers) == (415, {"Accept-Encoding": "gzip, zstd"})


def test_zstd_is_rejected_where_it_cannot_be_read(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    encodings.cache_clear()
    try:
        assert rejection(body_encoding, "zstd").status == 415
    finally:
        encodings.cache_clear()


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("size", [0, 1, 65_536, LIMIT - 1, LIMIT])
def test_a_body_within_its_bound_comes_out_whole(name, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert unpack(PACK[name](data), name, LIMIT) == data


@pytest.mark.parametrize("name", PACK)
def test_one_byte_more_is_rejected_and_not_cut(name):
    assert rejection(unpack, PACK[name](b"x" * (LIMIT + 1)), name, LIMIT).status == 413
    assert rejection(unpack, b"x" * (LIMIT + 1), None, LIMIT).status == 413


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_takes_no_more_memory_than_the_bound(name):
    bomb = PACK[name](bytes(300_000_000)) if name == "zstd" else gzip.compress(bytes(100_000_000), 1)
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        assert rejection(unpack, bomb, name, LIMIT).status == 413
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * LIMIT


@pytest.mark.parametrize("name", PACK)
def test_parts_one_after_the_other_are_one_body(name):
    assert unpack(b"".join(PACK[name](piece) for piece in (b"ab", b"", b"cd")), name, LIMIT) == b"abcd"


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("cut", [0, 3, -1, -5])
def test_data_that_breaks_off_is_rejected(name, cut):
    packed = PACK[name](b"some text that is long enough to be cut" * 20)
    assert rejection(unpack, packed[:cut], name, LIMIT).status == 400
    assert rejection(unpack, packed + packed[: cut or 1], name, LIMIT).status == 400


@pytest.mark.parametrize("name", PACK)
def test_damaged_data_is_rejected(name):
    assert rejection(unpack, b"[{}]", name, LIMIT).status == 400
    assert rejection(unpack, PACK[name](b"abc") + b"trailing", name, LIMIT).status == 400


@pytest.mark.parametrize("name", PACK)
def test_empty_parts_without_end_are_rejected_soon(name):
    empty = PACK[name](b"")
    assert rejection(unpack, empty * (LIMIT // len(empty)), name, LIMIT).status == 400


def test_a_zstd_window_has_a_bound():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    worker = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = worker.compress(b"x" * 1000) + worker.flush()
    assert rejection(unpack, packed, "zstd", LIMIT).status == 400


def test_zlib_is_no_gzip():
    assert rejection(unpack, zlib.compress(b"abc"), "gzip", LIMIT).status == 400


def test_text_is_utf8_with_or_without_its_mark():
    assert text_of(b"\xef\xbb\xbf[]") == b"[]"
    assert text_of("[é]".encode()) == "[é]".encode()


@pytest.mark.parametrize(("data", "place"), [(b"ab\xff", 2), (b"\xef\xbb\xbfab\xff", 5), (b"\xff\xfe[\0]\0", 0)])
def test_what_is_not_utf8_is_rejected_with_its_place(data, place):
    rejected = rejection(text_of, data)
    assert rejected.status == 400
    assert f"byte {place} " in rejected.detail
