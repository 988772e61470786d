"""A connection and what a task asks for, on the wire."""

from __future__ import annotations

import base64
import json

import pytest
from requests.auth import AuthBase

from airflow_provider_osmosdest.core.delivery.model import RunContext
from airflow_provider_osmosdest.core.errors import ConnectorError, OptionsError, PagingError
from airflow_provider_osmosdest.core.source.pull_runner import run_pull
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.hooks.source import SourceRequest, make_pull
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer, self_signed

INSTANCE = ("dag", "run", "task", "-1")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ScriptedServer(answer(200, b'[{"id": 1}]')) as running:
        yield running


@pytest.fixture
def order(osmos_home):
    """Put together what a task asks for."""

    def make(auth_type=None, **asked):
        hook = HttpDestinationHook(http_conn_id="api", auth_type=auth_type)
        return make_pull(INSTANCE, hook, SourceRequest(**asked), RunContext())

    return make


def pull(order):
    said: list[str] = []
    return run_pull(order, said.append), said


class TestAuthentication:
    def test_basic(self, server, order, set_connection):
        set_connection("api", host=server.url, login="ada", password="secret-4711")
        assert pull(order())[0].error is None
        expected = b"Basic " + base64.b64encode(b"ada:secret-4711")
        assert server.received[0].headers["authorization"] == expected
        assert (server.received[0].method, server.received[0].headers.get("content-type")) == ("GET", None)

    def test_headers(self, server, order, set_connection):
        set_connection("api", host=server.url, extra={"headers": {"X-Api-Key": "key-4711", "Accept": "text/json"}})
        pull(order(headers={"X-Trace": "Zoë"}))
        headers = server.received[0].headers
        assert (headers["x-api-key"], headers["accept"], headers["x-trace"]) == (
            b"key-4711",
            b"text/json",
            "Zoë".encode(),
        )

    def test_an_auth_class(self, server, order, set_connection):
        class Own(AuthBase):
            def __init__(self, login, password):
                self.text = f"{login}/{password}"

            def __call__(self, request):
                request.headers["Authorization"] = self.text
                return request

        set_connection("api", host=server.url, login="ada", password="secret-4711")
        pull(order(auth_type=Own))
        assert server.received[0].headers["authorization"] == b"ada/secret-4711"

    def test_a_token_is_fetched_once_and_renewed_once(self, order, set_connection, tmp_path, monkeypatch):
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        given = []

        def script(talk):
            talk.read_body()
            if talk.request.target == "/token":
                given.append(f"token-{len(given)}-of-the-test")
                talk.reply(200, json.dumps({"access_token": given[-1], "token_type": "bearer"}).encode())
            elif talk.request.headers["authorization"] != b"Bearer token-1-of-the-test":
                talk.reply(401, b"not " + talk.request.headers["authorization"])
            else:
                page = int(talk.request.target.partition("=")[2] or 1)
                talk.reply(
                    200,
                    json.dumps({"items": [{"id": page}], "next": f"?page={page + 1}" if page < 3 else None}).encode(),
                )

        context, certificate = self_signed(tmp_path, "127.0.0.1")
        with ScriptedServer(script, tls=context) as running:
            extra = {"auth": "oauth2", "oauth2_url": f"{running.url}/token", "verify": certificate}
            set_connection("api", host=running.url, login="ada", password="secret-4711", extra=extra)
            result, _ = pull(order(paginator="json_link", data_selector="items"))
            assert (result.report.delivered, len(given)) == (3, 2)
            given[:] = ["x", "y"]
            result, said = pull(order(paginator="json_link", data_selector="items"))
        assert isinstance(result.error, PagingError)
        assert "answered 401: 'not Bearer ***'" in str(result.error)
        assert not any("of-the-test" in line for line in said)

    def test_a_header_beside_oauth2(self, order, set_connection):
        set_connection(
            "api",
            host="https://api.test",
            login="ada",
            password="secret-4711",
            extra={"auth": "oauth2", "oauth2_url": "https://api.test/token", "headers": {"Authorization": "x"}},
        )
        with pytest.raises(ConnectorError, match="leave that out"):
            order()

    def test_a_signed_request(self, server, order, set_connection):
        secret = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
        set_connection("api", host=server.url, password=secret, extra={"auth": "signature"})
        pull(order(method="POST", body={"q": 1}))
        assert server.received[0].headers["webhook-signature"].startswith(b"v1,")
        assert server.received[0].body == b'{"q": 1}'


class TestTls:
    def test_an_untrusted_certificate(self, order, set_connection, tmp_path, monkeypatch):
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        context, _ = self_signed(tmp_path, "127.0.0.1")
        with ScriptedServer(answer(200, b"[]"), tls=context) as running:
            set_connection("api", host=running.url)
            result, _ = pull(order())
            assert isinstance(result.error, PagingError)
            assert "Check the host name and certificate" in str(result.error)
            set_connection("api", host=running.url, extra={"verify": False})
            with pytest.warns(match="Unverified HTTPS"):
                assert pull(order())[0].error is None


class TestSettings:
    def test_the_tasks_retries_and_time_outs_win_over_the_connections(self, order, set_connection):
        set_connection("api", host="https://api.test", extra={"max_retries": 3, "timeout": 7, "batch_size": 5})
        made = order(options={"max_retries": "1"})
        assert (made.options.max_retries, made.options.timeout, made.spec.target.timeout) == (1, 7, 7)

    def test_its_method_and_schema_speak_of_what_is_sent(self, order, set_connection):
        schema = {"fields": [{"name": "id", "type": "integer"}]}
        set_connection("api", host="https://api.test", extra={"method": "PUT", "destination_schema": schema})
        made = order()
        assert (made.spec.target.method, made.schema.fields) == ("GET", ())

    def test_a_key_in_its_url_goes_with_each_request(self, order, set_connection, monkeypatch):
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

        def script(talk):
            talk.read_body()
            talk.reply(200, b'{"items": [{}], "next": "/other?page=2"}' if "page" not in talk.request.target else b"{}")

        with ScriptedServer(script) as running:
            set_connection("api", host=f"{running.url}/v1?api_key=sesame-4711")
            result, said = pull(order(endpoint="/items", data_selector="items", paginator="json_link"))
        assert result.error is None
        assert [each.target for each in running.received] == [
            "/v1/items?api_key=sesame-4711",
            "/other?page=2&api_key=sesame-4711",
        ]
        assert "sesame" not in " ".join(said)

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"query": "[1]"}, "query: found '\\[1\\]', expected an object"),
            ({"body": "{no json"}, "body: '{no json' is not JSON"),
            ({"max_pages": "many"}, "max_pages: found 'many'"),
            ({"response_actions": '[{"status": 1}]'}, "response_actions"),
            ({"endpoint": "https://evil.test/"}, "expected a path below the connection's base URL"),
            ({"options": {"max_retries": -1}}, "max_retries: found -1"),
        ],
    )
    def test_what_cannot_be_used(self, order, set_connection, asked, message):
        set_connection("api", host="https://api.test")
        with pytest.raises((OptionsError, ConnectorError), match=message):
            order(**asked)

    def test_templates_make_text(self, order, set_connection):
        set_connection("api", host="https://api.test")
        spec = order(query='{"a": 1}', paginator='{"type": "offset", "limit": 5}', max_pages="1_000", body="").spec
        assert (spec.query, spec.paging.options["limit"], spec.max_pages, spec.body) == ({"a": 1}, 5, 1000, None)
