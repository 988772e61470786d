from __future__ import annotations

import gzip
import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.mailbox.log.gzip_segments import SEGMENT_BYTES, SEGMENT_RECORDS, pack, read_segment
from tests.thoroughness import examples


def cut(data, sizes):
    """Cut bytes into pieces of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = max(1, sizes[turn % len(sizes)])
        pieces.append(memoryview(data)[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def unpacked(packed):
    """Inflate each segment by itself."""
    at, raw = 0, []
    for number, point in enumerate(packed.points):
        raw.append(read_segment(packed.data[at : at + point[2]], point, first=number == 0))
        assert raw[-1].count(b"\n") == point[0]
        at += point[2]
    assert at == len(packed.data)
    return b"".join(raw)


records = st.lists(
    st.one_of(st.integers(2, 40), st.integers(200, 5000), st.just(SEGMENT_BYTES + 1)), min_size=1, max_size=20
)


@settings(max_examples=examples(40), deadline=None)
@given(records, st.integers(1, 120), st.lists(st.integers(1, 300_000), min_size=1, max_size=4))
def test_the_same_records_give_the_same_bytes_however_they_are_cut(sizes, times, cuts):
    data = b"".join(b'"%s"\n' % (b"x" * (size - 2)) for size in sizes * times if size < 200 or times < 4)
    if not data:
        return
    whole, pieces = pack([data]), pack(cut(data, cuts))
    assert pieces == whole
    assert gzip.decompress(whole.data) == data
    assert unpacked(whole) == data
    assert (whole.records, whole.raw_bytes) == (data.count(b"\n"), len(data))
    assert whole.sha256 == hashlib.sha256(whole.data).hexdigest()
    longest = max(sizes) + 1
    for lines, raw, _ in whole.points:
        assert lines <= SEGMENT_RECORDS
        assert raw < SEGMENT_BYTES + longest
    # No segment ends before it has to.
    assert all(lines == SEGMENT_RECORDS or raw >= SEGMENT_BYTES for lines, raw, _ in whole.points[:-1])


def test_it_is_one_gzip_member_without_a_time():
    data = pack([b"{}\n" * 2500]).data
    inflater = zlib.decompressobj(wbits=31)
    assert inflater.decompress(data) == b"{}\n" * 2500
    assert inflater.eof
    assert inflater.unused_data == b""
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no record"),
        ([b""], "no record"),
        ([b"{}"], "does not end in a newline"),
        ([b"{}\n", b"{}"], "does not end in a newline"),
        ([b"\n"], "empty line"),
        ([b"{}\n\n{}\n"], "empty line"),
        ([b"{}\n" * SEGMENT_RECORDS + b"\n"], "empty line"),
    ],
)
def test_what_is_no_ndjson_is_refused(lines, reason):
    with pytest.raises(ValueError, match=reason):
        pack(lines)


def test_a_damaged_segment_is_told():
    packed = pack([b'{"a":1}\n' * 10])
    (point,) = packed.points
    with pytest.raises(StorageError, match="damaged"):
        read_segment(packed.data[:10] + b"\xff" * 20, point, first=True)
    with pytest.raises(StorageError, match=r"damaged.*80 bytes, and its entry says 81"):
        read_segment(packed.data, (10, 81, point[2]), first=True)
    with pytest.raises(StorageError, match="damaged"):
        read_segment(packed.data, (10, 79, point[2]), first=True)
