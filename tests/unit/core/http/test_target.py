from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.target import Target, join_url
from airflow_provider_osmosdest.core.http.urls import masked_url


@pytest.mark.parametrize(
    "url", ["", "api.example.com/x", "ftp://h/x", "file:///etc/passwd", "http://", "http:///x", "https://?a"]
)
def test_a_url_needs_http_and_a_host(url):
    with pytest.raises(ConnectorError, match=r"^URL: found"):
        Target(url)


@pytest.mark.parametrize("url", ["http://h/a b", "http://h/a\r\nX: y", "http://h/\x00", "http://h/\x7f"])
def test_a_url_has_no_spaces_or_control_characters(url):
    with pytest.raises(ConnectorError, match=r"^URL: "):
        Target(url)


@pytest.mark.parametrize("method", ["", "PO ST", "POST\r\n", "PÖST"])
def test_a_method_is_a_token(method):
    with pytest.raises(ConnectorError, match=r"^method: found"):
        Target("http://h", method=method)


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "Ü"])
def test_the_name_of_a_header_is_a_token(name):
    with pytest.raises(ConnectorError, match=r"^headers: "):
        Target("http://h", headers={name: "v"})


@pytest.mark.parametrize("value", ["s3cret\r\nX: y", "s3cret\n", "s3cret\x00", "s3cret\x7f"])
def test_a_header_value_with_control_characters_is_refused_without_quoting_it(value):
    with pytest.raises(ConnectorError, match=r"^headers: the value of X-Key") as caught:
        Target("http://h", headers={"X-Key": value})
    assert "s3cret" not in str(caught.value)


def test_tabs_and_any_letters_may_stand_in_a_header_value():
    assert Target("http://h", headers={"X": "a\tb Zoë 東京"}).headers["X"] == "a\tb Zoë 東京"


def test_secrets_are_in_neither_repr_nor_public_url_nor_errors():
    target = Target(
        "https://user:s3cret@h:8443/path?key=s3cret",
        headers={"Authorization": "Bearer s3cret"},
        proxies={"https": "http://u:s3cret@proxy"},
        secrets=("s3cret",),
    )
    assert target.public_url == "https://h:8443/path?***"
    shown = repr(target).replace(repr(target.url), "")
    assert "s3cret" not in shown
    with pytest.raises(ConnectorError) as caught:
        Target("ftp://user:s3cret@h/x?k=s3cret")
    assert "s3cret" not in str(caught.value)


def test_redact_takes_the_longest_secret_first():
    target = Target("http://h", secrets=("abc", "abcdef", "xyz"))
    assert target.redact("abcdef abc xyz XYZ") == "*** *** *** XYZ"


@pytest.mark.parametrize(
    ("base", "endpoint", "url"),
    [
        ("http://h", "", "http://h"),
        ("http://h", "x", "http://h/x"),
        ("http://h/", "/x", "http://h/x"),
        ("http://h/v1/", "x/{id}?a=b", "http://h/v1/x/{id}?a=b"),
        ("http://h/v1", "?a=b", "http://h/v1?a=b"),
        ("http://h/v1", "redirect?to=http://other", "http://h/v1/redirect?to=http://other"),
    ],
)
def test_an_endpoint_goes_behind_the_base(base, endpoint, url):
    assert join_url(base, endpoint) == url


@pytest.mark.parametrize("endpoint", ["http://evil.example/x", "//evil.example/x", "https://h/x"])
def test_an_endpoint_cannot_leave_the_host(endpoint):
    with pytest.raises(ConnectorError, match=r"^endpoint: found"):
        join_url("http://h", endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "..",
        "/../x",
        "a/../../x",
        "./x",
        "a/.",
        "%2e%2e/x",
        "a/.%2E/x",
        "..%2fx",
        "a%2F..%2Fx",
        "..\\x",
        "{id}/../x?a=b",
    ],
)
def test_an_endpoint_cannot_leave_the_path_of_the_base(endpoint):
    with pytest.raises(ConnectorError, match=r"^endpoint: found .*below the connection's base URL"):
        join_url("http://h/v1", endpoint)


@pytest.mark.parametrize("endpoint", ["a..b", "..a/b.", ".well-known/x", "x?path=../y", "a/%2E%2Ehidden"])
def test_dots_within_a_name_are_no_way_out(endpoint):
    assert join_url("http://h/v1", endpoint) == f"http://h/v1/{endpoint}"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("http://u:p@h/x", "http://h/x"),
        ("http://h/x?token=1#f", "http://h/x?***"),
        ("http://[::1", "(not a URL)"),
    ],
)
def test_masked_url(url, masked):
    assert masked_url(url) == masked


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "HOST"])
def test_headers_that_are_made_from_the_request_cannot_be_set(name):
    with pytest.raises(ConnectorError, match=name):
        Target("http://api.test", headers={name: "1"})
