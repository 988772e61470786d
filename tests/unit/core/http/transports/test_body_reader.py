from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.http.transport import Body
from airflow_provider_osmosdest.core.http.transports.body_reader import BodyReader

PIECES = Body([b"ab", memoryview(b"xcdefx")[1:5], b"", b"g"], 7)


def read_all(reader, size):
    parts = []
    while data := reader.read(size):
        parts.append(data)
    return parts


@pytest.mark.parametrize("body", [b"abcdefg", PIECES])
@pytest.mark.parametrize("size", [1, 2, 3, 100, -1])
def test_it_hands_out_all_of_it_in_order(body, size):
    reader = BodyReader(body)
    assert len(reader) == 7
    parts = read_all(reader, size)
    assert b"".join(parts) == b"abcdefg"
    assert all(type(part) is bytes and (size < 0 or len(part) <= size) for part in parts)
    assert reader.taken == 7
    assert (reader.read(size), reader.read(), reader.taken) == (b"", b"", 7)


def test_pieces_are_never_joined():
    assert read_all(BodyReader(PIECES), 3) == [b"ab", b"cde", b"f", b"g"]
    assert read_all(BodyReader(PIECES), -1) == [b"ab", b"cdef", b"g"]
    reader = BodyReader(PIECES)
    assert (reader.read(1), reader.read(), reader.read()) == (b"a", b"b", b"cdef")


def test_by_default_the_rest_of_a_piece_is_read():
    assert BodyReader(b"x" * 200_000).read() == b"x" * 200_000


def test_it_can_be_gone_through_in_blocks_of_64_kilobytes():
    reader = BodyReader(b"x" * 150_000)
    assert iter(reader) is reader
    assert [len(block) for block in reader] == [65_536, 65_536, 18_928]
    with pytest.raises(StopIteration):
        next(reader)


def test_it_counts_what_was_taken_from_the_first_byte_on():
    reader = BodyReader(PIECES)
    assert (reader.begun, reader.taken) == (False, 0)
    reader.read(1)
    assert (reader.begun, reader.taken) == (True, 1)
    reader.read(5)
    assert (reader.begun, reader.taken) == (True, 2)
    reader.read(5)
    assert (reader.begun, reader.taken) == (True, 6)


def test_an_empty_one_has_begun_once_its_end_was_read():
    reader = BodyReader(b"")
    assert (len(reader), reader.begun) == (0, False)
    assert reader.read(10) == b""
    assert (reader.begun, reader.taken) == (True, 0)


def test_rewound_it_is_as_it_was():
    reader = BodyReader(PIECES)
    for stop in (1, 2, 4, 7, 100):
        reader.read(stop)
        reader.read(stop)
        reader.rewind()
        assert (reader.begun, reader.taken) == (False, 0)
        assert b"".join(read_all(reader, 3)) == b"abcdefg"
        assert reader.taken == 7


def test_what_is_cut_off_hands_out_nothing_more_and_counts_nothing_more():
    for before in (0, 3):
        reader = BodyReader(b"abcdefg")
        if before:
            reader.read(before)
        reader.cut()
        for use in (reader.read, reader.rewind, lambda reader=reader: next(reader)):
            with pytest.raises(TimeoutError, match=r"^the time for this request is over$"):
                use()
        assert (reader.begun, reader.taken, len(reader)) == (before > 0, before, 7)


def test_what_is_cut_off_lets_go_of_the_body():
    import weakref

    class Pieces(list):
        pass

    pieces = Pieces([b"abc"])
    gone = weakref.ref(pieces)
    reader = BodyReader(Body(pieces, 3))
    del pieces
    reader.cut()
    assert gone() is None
