from __future__ import annotations

import logging
import logging.config
from argparse import Namespace

import pytest

from airflow_provider_osmosdest.cli.serve import serve_mailboxes
from airflow_provider_osmosdest.web import serving
from airflow_provider_osmosdest.web.serving import WithoutQuery


def test_the_access_log_has_no_queries():
    args = ("127.0.0.1:5", "GET", "/osmos/v1/mailboxes/box/records?cursor=abc&limit=1", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)
    assert WithoutQuery().filter(record) is True
    assert record.getMessage() == '127.0.0.1:5 - "GET /osmos/v1/mailboxes/box/records HTTP/1.1" 200'


@pytest.mark.parametrize("args", [None, (), ("one",), (1, 2, 3)])
def test_other_lines_pass_as_they_are(args):
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, "text", args, None)
    assert WithoutQuery().filter(record) is True
    assert record.args == args


def test_the_command_hands_over_what_it_was_told(monkeypatch):
    ran = {}
    monkeypatch.setattr(serving.uvicorn, "run", lambda app, **options: ran.update(options, app=app))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    serve_mailboxes(Namespace(host="0.0.0.0", port=1234, workers=3))
    assert (ran["host"], ran["port"], ran["workers"]) == ("0.0.0.0", 1234, 3)
    assert ran["app"] == "airflow_provider_osmosdest.web.serving:make_app"
    assert ran["factory"] is True
    assert ran["server_header"] is False


@pytest.mark.parametrize(("port", "workers"), [(65_536, 1), (-1, 1), (80, 0), (80, -3)])
def test_what_cannot_be_served_is_refused(monkeypatch, capsys, port, workers):
    monkeypatch.setattr(serving.uvicorn, "run", lambda *_, **__: pytest.fail("it was served"))
    with pytest.raises(SystemExit) as left:
        serve_mailboxes(Namespace(host="127.0.0.1", port=port, workers=workers))
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: --")


def test_the_log_says_where_it_listens():
    cut_off = serving._log_config()["loggers"]["uvicorn.error"]
    assert cut_off["propagate"] is True


def test_what_is_served_alone_has_the_paths_of_the_api_server(monkeypatch):
    monkeypatch.setattr(serving.logging.config, "dictConfig", lambda _: None)
    paths = {route.path for route in serving.make_app().routes}
    assert "/osmos/v1/mailboxes/{mailbox_id}/records" in paths
    assert all(path.startswith("/osmos/v1/mailboxes/{mailbox_id}/") for path in paths)
