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
from airflow_provider_osmosdest.core.mailbox.inbox.rejection import (
    EncodingRejection,
    MediaTypeRejection,
    SizeRejection,
    UnreadableRejection,
)

LIMIT = 1_000_000
PACK = {"gzip": gzip.compress, "zstd": zstandard.compress}


def rejection(kind, function, *arguments):
    with pytest.raises(kind) as caught:
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
    rejected = rejection(MediaTypeRejection, body_media_type, header)
    assert all(name in str(rejected) for name in MEDIA_TYPES)


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("", None), ("identity", None), (" GZIP ", "gzip"), ("x-gzip", "gzip")]
)
def test_encodings_that_are_taken(header, expected):
    assert body_encoding(header) == expected


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "deflate"])
def test_other_encodings_are_rejected_with_those_that_are_taken(header):
    assert "expected one of gzip, zstd, or none" in str(rejection(EncodingRejection, body_encoding, header))


def test_zstd_is_rejected_where_it_cannot_be_read(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    encodings.cache_clear()
    try:
        assert "expected one of gzip, or none" in str(rejection(EncodingRejection, body_encoding, "zstd"))
    finally:
        encodings.cache_clear()


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("size", [0, 1, 65_536, LIMIT - 1, LIMIT])
def test_a_body_within_its_bound_comes_out_whole(name, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert unpack(PACK[name](data), name, LIMIT) == data


@pytest.mark.parametrize("name", PACK)
def test_one_byte_more_is_rejected_and_not_cut(name):
    assert rejection(SizeRejection, unpack, PACK[name](b"x" * (LIMIT + 1)), name, LIMIT).limit == LIMIT
    assert rejection(SizeRejection, unpack, b"x" * (LIMIT + 1), None, LIMIT).limit == LIMIT


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_takes_no_more_memory_than_the_bound(name):
    bomb = PACK[name](bytes(300_000_000)) if name == "zstd" else gzip.compress(bytes(100_000_000), 1)
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        assert rejection(SizeRejection, unpack, bomb, name, LIMIT).limit == LIMIT
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
    rejection(UnreadableRejection, unpack, packed[:cut], name, LIMIT)
    rejection(UnreadableRejection, unpack, packed + packed[: cut or 1], name, LIMIT)


@pytest.mark.parametrize("name", PACK)
def test_damaged_data_is_rejected(name):
    rejection(UnreadableRejection, unpack, b"[{}]", name, LIMIT)
    rejection(UnreadableRejection, unpack, PACK[name](b"abc") + b"trailing", name, LIMIT)


@pytest.mark.parametrize("name", PACK)
def test_empty_parts_without_end_are_rejected_soon(name):
    empty = PACK[name](b"")
    rejection(UnreadableRejection, unpack, empty * (LIMIT // len(empty)), name, LIMIT)


def test_a_zstd_window_has_a_bound():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    worker = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = worker.compress(b"x" * 1000) + worker.flush()
    rejection(UnreadableRejection, unpack, packed, "zstd", LIMIT)


def test_zlib_is_no_gzip():
    rejection(UnreadableRejection, unpack, zlib.compress(b"abc"), "gzip", LIMIT)


def test_text_is_utf8_with_or_without_its_mark():
    assert text_of(b"\xef\xbb\xbf[]") == b"[]"
    assert text_of("[é]".encode()) == "[é]".encode()


@pytest.mark.parametrize(("data", "place"), [(b"ab\xff", 2), (b"\xef\xbb\xbfab\xff", 5), (b"\xff\xfe[\0]\0", 0)])
def test_what_is_not_utf8_is_rejected_with_its_place(data, place):
    rejected = rejection(UnreadableRejection, text_of, data)
    assert f"byte {place} " in str(rejected)
