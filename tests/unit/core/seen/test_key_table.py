from __future__ import annotations

import os
import random
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.seen.key_table import KeyFilter, KeyTable

# Keys are hashes: any bytes would be found across the border of two others now and then.
SOME = [blake2b(b"%d" % number, digest_size=16).digest() for number in range(40)]
KEYS = st.lists(st.sampled_from(SOME), max_size=60)


@given(KEYS, KEYS, KEYS, st.sampled_from([0, 1, 10_000]))
def test_it_contains_what_a_set_contains(singly, sorted_, asked, expected):
    table = KeyTable(expected)
    table.add(singly)
    table.add_sorted(b"".join(sorted(sorted_)))
    model = {*singly, *sorted_}
    asked = asked + singly + sorted_
    assert table.contains(asked) == [key in model for key in asked]
    assert len(table) == len(singly) + len(sorted_)


def test_it_grows():
    rng = random.Random(1)
    keys = [rng.randbytes(16) for _ in range(30_000)]
    table = KeyTable()
    for start in range(0, 10_000, 1_000):
        table.add(keys[start : start + 1_000])
    table.add_sorted(b"".join(sorted(keys[10_000:20_000])))
    assert table.contains(keys) == [True] * 20_000 + [False] * 10_000


def test_many_sorted_keys_come_in_chunks():
    keys = sorted(os.urandom(16) for _ in range(150_000))
    table = KeyTable(len(keys))
    table.add_sorted(b"".join(keys))
    assert all(table.contains(keys))


@given(st.lists(KEYS, max_size=6), KEYS)
def test_the_filter_finds_duplicates_among_blocks_and_earlier_keys(blocks, earlier):
    table = KeyTable()
    table.add_sorted(b"".join(sorted(earlier)))
    key_filter = KeyFilter(table)
    model = set(earlier)
    for block in blocks:
        expected = []
        for position, key in enumerate(block):
            if key in model:
                expected.append(position)
            model.add(key)
        assert key_filter.duplicates(block) == expected


@given(st.lists(KEYS, max_size=4))
def test_a_filter_finds_the_same_in_the_same_records(blocks):
    one, other = KeyFilter(), KeyFilter()
    assert [one.duplicates(block) for block in blocks] == [other.duplicates(block) for block in blocks]
