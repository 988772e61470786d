from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.streams import gathered, gunzip, utf8, whole_lines


def pieces(data, size):
    return iter([data[start : start + size] for start in range(0, len(data), size)])


def broken(what):
    return SourceError(f"f.gz: {what}")


def drained(chunks):
    done = b""
    try:
        for chunk in chunks:
            assert chunk
            done += chunk
    except SourceError as e:
        return done, e
    return done, None


@given(
    members=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    padding=st.integers(0, 20),
    size=st.integers(1, 99),
)
def test_gzip_of_any_members_is_unpacked(members, padding, size):
    data = b"".join(gzip.compress(member) for member in members) + b"\0" * padding
    assert drained(gunzip(pieces(data, size), broken)) == (b"".join(members), None)


@given(data=st.data(), size=st.integers(1, 99))
def test_gzip_that_breaks_off_says_so(data, size):
    packed = gzip.compress(b"0123456789" * 20) + gzip.compress(b"abc")
    cut = data.draw(st.integers(0, len(packed) - 1).filter(lambda n: n != len(gzip.compress(b"0123456789" * 20))))
    done, fault = drained(gunzip(pieces(packed[:cut], size), broken))
    assert (b"0123456789" * 20 + b"abc").startswith(done)
    assert f"f.gz: the gzip data breaks off after {len(done)} unpacked bytes" in str(fault)


@pytest.mark.parametrize("change", [lambda d: d[:-6] + b"xx" + d[-4:], lambda d: d + b"garbage"])
def test_damaged_gzip_says_so_after_what_was_sound(change):
    done, fault = drained(gunzip(pieces(change(gzip.compress(b"sound")), 1_000), broken))
    assert done in {b"sound", b""}
    assert "f.gz: the gzip data is damaged after" in str(fault)


def test_a_large_expansion_comes_in_chunks():
    packed = gzip.compress(b"\0" * 10_000_000)
    assert max(map(len, gunzip(iter([packed]), broken))) <= 256 * 1024


@given(
    text=st.text(max_size=50).filter(lambda text: text[:1] != "\0"),
    size=st.integers(4, 20),
    code=st.sampled_from(["utf-16-le", "utf-16-be", "utf-8"]),
)
def test_text_with_a_byte_order_mark_is_brought_to_utf8(text, size, code):
    chunks = gathered(pieces(("\ufeff" + text).encode(code), size), 4)
    assert drained(utf8(chunks, "f")) == (text.encode(), None)


@given(data=st.binary(max_size=50).filter(lambda d: not d.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))))
def test_other_bytes_pass_unchanged(data):
    assert drained(utf8(pieces(data, 10), "f")) == (data, None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("\ufeffab".encode("utf-16-le") + b"c", "its UTF-16 text is damaged after byte 7"),
        ("\ufeffab".encode("utf-16-le") + b"\x00\xd8", "its UTF-16 text is damaged"),
        ("\ufeffab".encode("utf-32-le"), "is UTF-32 text"),
    ],
)
def test_text_that_is_not_what_its_mark_says(data, message):
    assert message in str(drained(utf8(iter([data]), "f"))[1])


@given(data=st.text("ab\n", max_size=60), size=st.integers(1, 20))
def test_runs_are_whole_lines(data, size):
    runs = list(whole_lines(pieces(data.encode(), size), "f"))
    assert b"".join(runs).decode() == data
    assert all(run.endswith(b"\n") for run in runs[:-1])
    assert all(b"\n" not in run for run in runs if not run.endswith(b"\n"))


@given(data=st.binary(max_size=60), size=st.integers(1, 20), head=st.integers(1, 30))
def test_the_first_chunk_is_gathered(data, size, head):
    chunks = list(gathered(pieces(data, size), head))
    assert b"".join(chunks) == data
    assert not chunks or len(chunks[0]) >= min(head, len(data))


def test_a_fault_while_gathering_comes_after_what_was_gathered():
    def failing():
        yield b"ab"
        yield b"cd"
        raise SourceError("gone")

    done, fault = drained(gathered(failing(), 100))
    assert (done, str(fault)) == (b"abcd", "gone")
