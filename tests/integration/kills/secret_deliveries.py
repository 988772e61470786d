"""Deliveries that use every kind of secret there is, to a server that says back whatever it was sent."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_provider_osmosdest.testing.servers import Conversation

__all__ = ["CONN_IDS", "DAG_ID", "DAG_TEXT", "ENDPOINTS", "connections", "echo", "traces"]

DAG_ID = "secret"
ENDPOINTS = ("accept", "refuse", "deny")

_KINDS = ("basic", "bearer", "header", "api_key", "oauth2", "oauth2_wrong", "signature", "proxy", "query")
CONN_IDS = tuple(f"with_{kind}" for kind in _KINDS)

# The middle of each secret is made anew, so that any trace of it is one; around it stands what must be encoded.
_CORES = {kind: secrets.token_hex(10) for kind in _KINDS}
_SECRETS = {kind: f'a/b+{core}&"c%' for kind, core in _CORES.items()}
_SIGNING_KEY = base64.b64encode(secrets.token_bytes(24)).decode()
_ACCESS_TOKEN = secrets.token_hex(20)

DAG_TEXT = f"""
from airflow.sdk import DAG

from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator

with DAG({DAG_ID!r}, schedule=None, max_active_tasks=4):
    for conn_id in {CONN_IDS!r}:
        for endpoint in {ENDPOINTS!r}:
            HttpDestinationOperator(
                task_id=f"{{conn_id}}_{{endpoint}}",
                http_conn_id=conn_id,
                endpoint=endpoint,
                records=[{{"id": 1}}, {{"id": 2}}],
                write_mode="record" if endpoint == "refuse" else "batch",
                headers={{"X-Copy": f"{{{{{{{{ conn.{{conn_id}}.password }}}}}}}}"}},
            )
"""


def echo(talk: Conversation) -> None:
    """Do to a request what its path says, and say back all of it."""
    body = talk.read_body()
    request = talk.request
    said = {
        "target": request.target,
        "body": body.decode(),
        **{name: value.decode("latin-1") for name, value in request.headers.items()},
    }
    path = request.target.partition("?")[0]
    if path.endswith("/token"):
        said = {"access_token": _ACCESS_TOKEN, "token_type": "bearer", "expires_in": 3600}
        status = 200
    elif path.endswith("/wrong-token"):
        said = {"error": "invalid_client", "error_description": body.decode()}
        status = 401
    else:
        status = {"accept": 200, "refuse": 422, "deny": 401}[path.rpartition("/")[2]]
    talk.reply(status, json.dumps(said).encode(), {"Content-Type": "application/json"})


def connections(url: str, tls_url: str, certificate: str) -> dict[str, str]:
    """
    Return the connections as environment variables.

    :param url: of a server with the script :func:`echo`
    :param tls_url: of another one, which has the certificate
    """
    host = url.partition("//")[2]
    secret = _SECRETS
    oauth2 = {"auth": "oauth2", "oauth2_url": f"{tls_url}/token", "verify": certificate}
    proxy = f"http://ada:{quote(secret['proxy'], safe='')}@{host}"
    fields = {
        "basic": {"login": "ada", "password": secret["basic"]},
        "bearer": {"password": secret["bearer"], "extra": {"auth": "bearer"}},
        "header": {"extra": {"headers": {"Authorization": f"Token {secret['header']}"}}},
        "api_key": {"extra": {"headers": {"X-Api-Key": secret["api_key"]}}},
        "oauth2": {"login": "ada", "password": secret["oauth2"], "extra": oauth2},
        "oauth2_wrong": {
            "login": "ada",
            "password": secret["oauth2_wrong"],
            "extra": {**oauth2, "oauth2_url": f"{tls_url}/wrong-token"},
        },
        "signature": {"password": f"whsec_{_SIGNING_KEY}", "extra": {"auth": "signature"}},
        "proxy": {"host": "http://api.invalid", "extra": {"proxies": {"http": proxy}}},
        "query": {"host": f"{url}/?key={quote(secret['query'], safe='')}"},
    }
    return {
        f"AIRFLOW_CONN_WITH_{kind.upper()}": json.dumps({"conn_type": "osmos_http", "host": url, **each})
        for kind, each in fields.items()
    }


def traces() -> dict[str, bytes]:
    """Return what must be found nowhere, by what it is."""
    return {
        **{kind: core.encode() for kind, core in _CORES.items()},
        **{f"{kind} in base64": base64.b64encode(f"ada:{secret}".encode()) for kind, secret in _SECRETS.items()},
        "signing key": _SIGNING_KEY.encode(),
        "access token": _ACCESS_TOKEN.encode(),
    }
