from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.whole_numbers import whole_number


@pytest.mark.parametrize(("value", "number"), [(1, 1), (1_000, 1_000), ("7", 7), (" 7 ", 7), ("1_000", 1_000)])
def test_numbers_and_their_text_are_read(value, number):
    assert whole_number("max_records", value) == number


@pytest.mark.parametrize("value", [0, -1, "0", "x", "", "1.5", 1.0, True, None, "9" * 5_000])
def test_anything_else_is_refused_with_its_name(value):
    with pytest.raises(OptionsError, match=r"^max_records: found .*, expected a whole number of at least 1$"):
        whole_number("max_records", value)
