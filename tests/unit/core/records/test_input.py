from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.records.input import display


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/a b?.csv", "/data/a b?.csv"),
        ("s3://my_aws@bucket/a.csv", "s3://my_aws@bucket/a.csv"),
        ("ftp://user:pass@host/a.csv", "ftp://user:***@host/a.csv"),
        ("https://host/a.csv?sig=x&e=1", "https://host/a.csv?***"),
        (
            "no https://host/a?sig=x, nor 'https://u:p@host/b?sig=y'",
            "no https://host/a?*** nor 'https://u:***@host/b?***'",
        ),
    ],
)
def test_secrets_of_urls_are_blotted_out(text, shown):
    assert display(text) == shown
