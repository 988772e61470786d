from __future__ import annotations

import base64

import pytest

from airflow_provider_osmosdest.hooks.connection_fields import secrets_of

PLAIN = 'p/a+s&"w%'
ENCODED = "p%2Fa%2Bs%26%22w%25"
IN_JSON = 'p/a+s&\\"w%'


@pytest.mark.parametrize("where", ["password", "header", "scheme", "query", "url", "proxy"])
def test_a_secret_is_known_in_every_form_a_server_may_echo(where):
    url, headers, password, proxies = "https://api.test/v1", {}, None, []
    if where == "password":
        password = PLAIN
    elif where == "header":
        headers = {"X-Api-Key": PLAIN}
    elif where == "scheme":
        headers = {"Authorization": f"Token {PLAIN}"}
    elif where == "query":
        url = f"https://api.test/v1?page=1&key={ENCODED}"
    elif where == "url":
        url = f"https://ada:{ENCODED}@api.test/v1"
    else:
        proxies = [f"http://ada:{ENCODED}@proxy.test:3128"]
    found = secrets_of(url, headers, "ada", password, proxies)
    assert {PLAIN, ENCODED, IN_JSON} <= set(found)
    if where in ("password", "url", "proxy"):
        # What goes out as Authorization or Proxy-Authorization.
        assert base64.b64encode(f"ada:{PLAIN}".encode()).decode() in found


def test_what_everybody_has_is_no_secret():
    assert secrets_of("https://api.test/v1?a=1", {"Content-Type": "application/json"}, "ada", None) == ()
