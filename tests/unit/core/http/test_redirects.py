from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.http.redirects import next_url

HERE = "https://api.test/v1/records?x=1"


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://api.test/v2", "https://api.test/v2"),
        ("https://API.test:443/v2", "https://API.test:443/v2"),
        ("/v2?y=2", "https://api.test/v2?y=2"),
        ("other", "https://api.test/v1/other"),
        ("//api.test/v2", "https://api.test/v2"),
    ],
)
@pytest.mark.parametrize("status", [307, 308])
def test_to_the_same_origin(status, location, there):
    assert next_url(status, location, HERE, 0) == there


@pytest.mark.parametrize(
    "location",
    [
        "https://other.test/v1",
        "//other.test/v1",
        "http://api.test/v1",
        "https://api.test:8443/v1",
        "https://api.test@other.test/v1",
        "https://api.test.other.test/v1",
        "ftp://api.test/v1",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[",
        "https://api.test:99999/",
        "https://api.test:x/",
        "",
        None,
    ],
)
def test_to_nowhere_else(location):
    assert next_url(307, location, HERE, 0) is None


@pytest.mark.parametrize("status", [200, 300, 301, 302, 303, 304, 305, 400])
def test_what_would_not_keep_method_and_body_is_not_followed(status):
    assert next_url(status, "/v2", HERE, 0) is None


def test_circles_end():
    assert next_url(307, "/v2", HERE, 4) is not None
    assert next_url(307, "/v2", HERE, 5) is None
