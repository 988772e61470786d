from __future__ import annotations

import logging
import logging.config
import resource
import signal
from argparse import Namespace

import pytest

from airflow_provider_osmosdest.cli.serve import serve_mailboxes
from airflow_provider_osmosdest.web import serving
from airflow_provider_osmosdest.web.http.protocol import Bounds
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


@pytest.mark.parametrize(("without", "factory"), [(False, "make_app"), (True, "make_app_without_database")])
def test_the_command_hands_over_what_it_was_told(monkeypatch, without, factory):
    ran = {}
    monkeypatch.setattr(serving.uvicorn, "run", lambda app, **options: ran.update(options, app=app))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    before = signal.getsignal(signal.SIGTERM)
    serve_mailboxes(Namespace(host="0.0.0.0", port=1234, workers=3, without_database=without))
    assert signal.getsignal(signal.SIGTERM) == before
    assert (ran["host"], ran["port"], ran["workers"]) == ("0.0.0.0", 1234, 3)
    assert ran["app"] == f"airflow_provider_osmosdest.web.serving:{factory}"
    assert ran["factory"] is True
    assert ran["server_header"] is False
    assert ran["timeout_worker_healthcheck"] == 120, "a worker that still imports Airflow must not be ended"
    assert ran["http"].bounds == Bounds()


def test_the_database_is_asked_unless_there_is_none(monkeypatch):
    made = []
    monkeypatch.setattr(serving.logging.config, "dictConfig", lambda _: None)
    monkeypatch.setattr(serving, "create_app", lambda *_, checks, **__: made.append(checks))
    serving.make_app()
    serving.make_app_without_database()
    assert [each.database for each in made] == [serving.check_database, None]
    assert [each.storage for each in made] == [serving.check_storage] * 2


@pytest.mark.parametrize(
    ("limits", "raised", "expected"),
    [
        ((1024, 100_000), (4096, 100_000), 4096),
        ((1024, resource.RLIM_INFINITY), (4096, resource.RLIM_INFINITY), 4096),
        ((512, 1024), (1024, 1024), 1024),
        ((8192, 8192), None, 4096),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, 4096),
    ],
)
def test_as_many_files_as_are_needed_and_allowed(monkeypatch, limits, raised, expected):
    done = []
    monkeypatch.setattr(serving.resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(serving.resource, "setrlimit", lambda _, both: done.append(both))
    assert serving._raise_file_limit() == expected
    assert done == ([raised] if raised else [])


def test_where_fewer_files_are_allowed_fewer_connections_are():
    assert serving._within(Bounds(), 4096) == Bounds()
    assert serving._within(Bounds(unasked=400, connections=2000), 1024) == Bounds(unasked=100, connections=500)


@pytest.mark.parametrize(("port", "workers"), [(65_536, 1), (-1, 1), (80, 0), (80, -3)])
def test_what_cannot_be_served_is_refused(monkeypatch, capsys, port, workers):
    monkeypatch.setattr(serving.uvicorn, "run", lambda *_, **__: pytest.fail("it was served"))
    with pytest.raises(SystemExit) as left:
        serve_mailboxes(Namespace(host="127.0.0.1", port=port, workers=workers, without_database=False))
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: --")


def test_the_log_says_where_it_listens():
    cut_off = serving._log_config()["loggers"]["uvicorn.error"]
    assert cut_off["propagate"] is True


def test_what_is_served_alone_has_the_paths_of_the_api_server(monkeypatch):
    monkeypatch.setattr(serving.logging.config, "dictConfig", lambda _: None)
    paths = {route.path for route in serving.make_app().routes}
    assert "/osmos/v1/mailboxes/{mailbox_id}/records" in paths
    outside = {path for path in paths if not path.startswith("/osmos/v1/mailboxes/{mailbox_id}/")}
    assert outside == {"/osmos/v1/health"}
