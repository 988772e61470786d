from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_osmosdest.core.schema.importing.naming import field_names


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("US_Gross", "us_gross"),
        ("US Gross", "us_gross"),
        ("E-Mail", "e_mail"),
        ("releaseDate", "release_date"),
        ("HTTPServer", "http_server"),
        ("customerID", "customer_id"),
        (" Größe (cm) ", "grosse_cm"),
        ("Straße", "strasse"),
        ("日付", "日付"),
        ("1st", "_1st"),
        ("%", "field"),
        ("a__b", "a_b"),
        ("id", "id"),
        ("PM2.5", "pm2_5"),
    ],
)
def test_a_name(column, name):
    assert field_names([column]) == {column: name}


def test_names_that_would_be_the_same_are_numbered_and_one_that_is_right_stays():
    assert field_names(["US Gross", "US_Gross", "us_gross", "us_gross_2"]) == {
        "US Gross": "us_gross_3",
        "US_Gross": "us_gross_4",
        "us_gross": "us_gross",
        "us_gross_2": "us_gross_2",
    }


@given(st.lists(st.text(min_size=1), unique=True))
def test_no_two_fields_have_one_name(columns):
    names = field_names(columns)
    assert list(names) == columns
    assert len(set(names.values())) == len(columns)
