from __future__ import annotations

import base64

import pytest

from airflow_provider_osmosdest.hooks.connections.http_fields import secrets_of

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


@pytest.mark.parametrize(
    "echo",
    [r"Super\/Se+cret&Tok", "Super%2fSe%2bcret%26Tok", r"Super/Se\u002Bcret\u0026Tok", "Super/Se+cret&amp;Tok"],
)
def test_secrets_are_known_as_other_languages_spell_them(echo):
    from airflow_provider_osmosdest.hooks.connections.http_fields import secrets_of

    known = secrets_of("https://api.test", {}, None, "Super/Se+cret&Tok\n")
    assert any(secret in echo for secret in known)


def test_a_line_break_at_its_end_is_no_part_of_a_token():
    from airflow_provider_osmosdest.hooks.connections.http_fields import authorization, secrets_of

    assert authorization("bearer", None, "SuperSecretTok\n") == {"Authorization": "Bearer SuperSecretTok"}
    assert "SuperSecretTok" in secrets_of("https://api.test", {}, None, "SuperSecretTok\n")
