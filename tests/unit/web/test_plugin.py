from __future__ import annotations

import json
import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.testclient import TestClient

from airflow_provider_osmosdest.web import connections
from airflow_provider_osmosdest.web.plugin import LazyApp, OsmosPlugin


def test_airflow_finds_it_and_its_import_costs_nothing():
    script = (
        "import json, sys, airflow.plugins_manager as manager\n"
        "before = set(sys.modules)\n"
        "import airflow_provider_osmosdest.web.plugin\n"
        "loaded = sorted(set(sys.modules) - before)\n"
        "apps, _ = manager.get_fastapi_plugins()\n"
        "print(json.dumps([loaded, [[app['name'], app['url_prefix']] for app in apps]]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded, apps = json.loads(done.stdout.splitlines()[-1])
    assert {name.split(".")[0] for name in loaded} == {"airflow_provider_osmosdest"}
    assert "airflow_provider_osmosdest.web.app" not in loaded
    assert ["Osmos mailboxes", "/osmos"] in apps


def test_the_app_is_made_by_the_first_request_and_once(monkeypatch):
    monkeypatch.setattr(connections, "open_mailbox", lambda conn_id: None)
    monkeypatch.setattr("airflow_provider_osmosdest.web.rate_limits._FIRST_DELAY", 0.0)
    lazy = LazyApp()
    assert lazy._app is None
    with TestClient(Starlette(routes=[Mount("/osmos", lazy)])) as client:
        assert client.get("/osmos/v1/mailboxes/orders/records").status_code == 401
        made = lazy._app
        assert client.get("/osmos/v1/nothing").status_code == 404
        assert lazy._app is made


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer ours"}])
def test_the_token_airflow_adds_for_an_all_admin_is_not_the_senders(monkeypatch, sent):
    from airflow.api_fastapi.auth.managers.simple.middleware import SimpleAllAdminMiddleware
    from airflow.api_fastapi.auth.managers.simple.services.login import SimpleAuthManagerLogin

    monkeypatch.setattr(SimpleAuthManagerLogin, "create_token_all_admins", lambda: "airflows")
    seen = []

    async def app(scope, receive, send):
        seen.append([value for name, value in scope["headers"] if name == b"authorization"])
        await Response()(scope, receive, send)

    lazy = LazyApp()
    lazy._app = app
    outer = Starlette(routes=[Mount("/osmos", lazy)], middleware=[Middleware(SimpleAllAdminMiddleware)])
    with TestClient(outer) as client:
        assert client.get("/osmos/x", headers=sent).status_code == 200
    assert seen == [[value.encode() for value in sent.values()]]


def test_health_is_told_below_the_api_servers_prefix(monkeypatch):
    asked = []
    monkeypatch.setattr(connections, "check_database", lambda: asked.append("database"))
    monkeypatch.setattr(connections, "check_storage", lambda: asked.append("storage"))
    with TestClient(Starlette(routes=[Mount("/osmos", LazyApp())])) as client:
        assert client.get("/osmos/v1/health").status_code == 200
        assert client.get("/osmos/v1/health").json()["status"] == "ok"
    assert sorted(asked) == ["database", "storage"]


def test_the_prefix_is_none_that_airflow_reserves():
    from airflow.api_fastapi.app import RESERVED_URL_PREFIXES

    (mounted,) = OsmosPlugin.fastapi_apps
    assert not any(mounted["url_prefix"].startswith(prefix) for prefix in RESERVED_URL_PREFIXES)
