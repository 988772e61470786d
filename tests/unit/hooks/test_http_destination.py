"""The connection type ``osmos_http`` as a hook: what it reads, what it sends, and what it never shows."""

from __future__ import annotations

import base64
import pickle

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_osmosdest.core.errors import ConnectorError
from airflow_provider_osmosdest.core.http.transports.curl import CurlTransport
from airflow_provider_osmosdest.core.http.transports.requests_transport import RequestsTransport
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.testing.servers import ScriptedServer, answer, free_port, self_signed

BASIC = "Basic " + base64.b64encode(b"ada:love-lace").decode()


@pytest.fixture
def masked(monkeypatch):
    """The texts that were registered with Airflow's masker."""
    texts: list[str] = []

    def mask(secret, name=None):
        # Airflow hands over extras as a whole, and goes by their names.
        if isinstance(secret, str):
            texts.append(secret)

    monkeypatch.setattr("airflow.sdk.log.mask_secret", mask)
    return texts


@pytest.fixture
def connect(set_connection):
    """Make a connection of these fields, and return its hook."""

    def make(**fields):
        set_connection("api", **{"host": "https://api.example.com/v1", **fields})
        return HttpDestinationHook(http_conn_id="api")

    return make


class TestConnector:
    def test_what_the_form_saves(self, connect):
        # The form saves every field, those left empty as null.
        connector = connect(
            extra={
                "method": "PUT",
                "headers": {"X-Api-Key": "key-123456"},
                "destination_schema": {"fields": [{"name": "id", "type": "integer"}]},
                "write_mode": "record",
                "batch_size": 1000,
                "max_batch_bytes": None,
                "envelope": None,
                "on_batch_failure": "fail",
                "concurrency": 32,
                "timeout": 5.5,
                "auth": None,
            }
        ).connector()
        assert connector.conn_id == "api"
        assert connector.target.url == "https://api.example.com/v1"
        assert connector.target.method == "PUT"
        assert connector.target.headers == {"X-Api-Key": "key-123456"}
        assert connector.target.timeout == 5.5
        assert connector.destination_schema == {"fields": [{"name": "id", "type": "integer"}]}
        assert connector.options == {
            "write_mode": "record",
            "batch_size": 1000,
            "on_batch_failure": "fail",
            "concurrency": 32,
            "timeout": 5.5,
        }

    def test_a_uri(self, monkeypatch):
        monkeypatch.setenv(
            "AIRFLOW_CONN_API",
            "osmos-http://ada:love-lace@api.example.com:8443/https?method=PATCH&batch_size=500&headers=%7B%22X-A%22%3A+%221%22%7D",
        )
        connector = HttpDestinationHook(http_conn_id="api").connector()
        assert connector.target.url == "https://api.example.com:8443"
        assert connector.target.method == "PATCH"
        assert connector.target.headers == {"Authorization": BASIC, "X-A": "1"}
        assert connector.options == {"batch_size": "500"}

    def test_fields_as_text(self, connect):
        schema = '{"fields": [{"name": "id", "type": "integer"}]}'
        connector = connect(
            extra={"headers": '{"X-A": "one"}', "timeout": "7", "verify": "false", "destination_schema": schema}
        ).connector()
        assert connector.target.headers == {"X-A": "one"}
        assert connector.target.timeout == 7.0
        assert connector.target.verify is False
        assert connector.destination_schema == schema

    def test_an_empty_connection_but_for_its_url(self, connect):
        connector = connect().connector()
        assert connector.target.method == "POST"
        assert connector.target.headers == {}
        assert connector.target.verify is True
        assert connector.options == {}
        assert connector.destination_schema is None

    def test_only_headers_become_headers(self, connect):
        connector = connect(extra={"X-Not-A-Header": "leaks", "headers": {"X-A": "1"}, "batch_size": 5}).connector()
        assert connector.target.headers == {"X-A": "1"}

    @pytest.mark.parametrize(
        ("fields", "headers"),
        [
            ({}, {}),
            ({"login": "ada", "password": "love-lace"}, {"Authorization": BASIC}),
            ({"login": "ada", "password": "love-lace", "extra": {"auth": "basic"}}, {"Authorization": BASIC}),
            ({"password": "love-lace"}, {"Authorization": "Bearer love-lace"}),
            ({"password": "love-lace", "extra": {"auth": None}}, {"Authorization": "Bearer love-lace"}),
            ({"login": "", "password": "love-lace", "extra": {"auth": ""}}, {"Authorization": "Bearer love-lace"}),
            ({"extra": {"auth": "none"}}, {}),
            ({"password": "love-lace", "extra": {"auth": "bearer"}}, {"Authorization": "Bearer love-lace"}),
            ({"password": " love-lace\n", "extra": {"auth": "bearer"}}, {"Authorization": "Bearer love-lace"}),
            *(
                ({**fields, "extra": {"headers": {"Authorization": "Custom x"}}}, {"Authorization": "Custom x"})
                for fields in ({"login": "ada", "password": "love-lace"}, {"login": "ada"}, {"password": "love-lace"})
            ),
        ],
    )
    def test_authentication(self, connect, fields, headers):
        assert connect(**fields).connector().target.headers == headers

    @pytest.mark.parametrize(
        ("auth", "fields", "says"),
        [
            (None, "login", "auth is empty, and there is a login without a password. Fill in the password for basic"),
            ("none", "login", "there is a login, which would not be sent. Empty the login, or fill in the password"),
            ("none", "password", "there is a password, which would not be sent. Empty the password, or set auth to"),
            ("none", "both", "there is a login and password, which would not be sent"),
            ("basic", "", "the login, which holds the user, is empty"),
            ("basic", "login", "the password, which holds the user's password, is empty"),
            ("basic", "password", "the login, which holds the user, is empty"),
            ("bearer", "", "the password, which holds the token, is empty"),
            ("bearer", "login", "the password, which holds the token, is empty"),
            ("bearer", "both", "there is a login, which would not be sent. Empty the login, or set auth to basic"),
            ("oauth2", "", "the login, which holds the client id, is empty"),
            ("oauth2", "login", "the password, which holds the client secret, is empty"),
            ("oauth2", "password", "the login, which holds the client id, is empty"),
            ("oauth2", "both", "oauth2_url: found ''"),
            ("signature", "", "the password, which holds the signing secret, is empty"),
            ("signature", "login", "the password, which holds the signing secret, is empty"),
            ("signature", "both", "there is a login, which would not be sent"),
        ],
    )
    def test_what_is_filled_in_is_sent_or_refused(self, connect, auth, fields, says):
        given = {"login": {"login": "ada"}, "password": {"password": "hush-hush"}}
        given |= {"": {}, "both": {**given["login"], **given["password"]}}
        with pytest.raises(ConnectorError) as raised:
            connect(**given[fields], extra={"auth": auth}).connector()
        assert str(raised.value).startswith("connection 'api': auth is " if "oauth2_url" not in says else "connection")
        assert says in str(raised.value)
        assert "hush-hush" not in str(raised.value)

    @pytest.mark.parametrize("auth", [None, "none", "basic", "bearer", "signature"])
    def test_an_oauth2_field_is_for_oauth2(self, connect, auth):
        fields = {None: {}, "none": {}, "basic": {"login": "ada"}}.get(auth, {}) | (
            {} if auth in (None, "none") else {"password": "whsec_c2VjcmV0"}
        )
        with pytest.raises(ConnectorError, match="Set auth to oauth2, or empty oauth2_url and oauth2_scope"):
            connect(**fields, extra={"auth": auth, "oauth2_url": "https://x.test/t", "oauth2_scope": "a"}).connector()

    def test_an_empty_password_is_sent_as_the_message_says(self, connect):
        with pytest.raises(ConnectorError, match="Basic …"):
            connect(login="sk_live_1234").connector()
        header = {"Authorization": f"Basic {base64.b64encode(b'sk_live_1234:').decode()}"}
        assert connect(extra={"headers": header}).connector().target.headers == header

    @pytest.mark.parametrize("fields", [{"login": "ada"}, {"login": "ada", "password": "x"}, {"password": "x"}])
    def test_an_auth_class_of_the_caller_takes_what_there_is(self, connect, fields):
        connect(**fields, extra={"auth": "none"})
        hook = HttpDestinationHook(http_conn_id="api", auth_type=requests.auth.HTTPDigestAuth)
        assert hook.connector().target.headers == {}

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"password": "Bearer hush-hush"}, "the password begins with 'Bearer '"),
            ({"extra": "[1]"}, "extra is not a JSON object"),
            ({"extra": "{hush-hush"}, "extra is not a JSON object"),
            ({"login": "a", "password": "b", "extra": {"auth": "oauth2", "oauth2_url": ["x"]}}, "oauth2_url is a list"),
            ({"host": ""}, "Base URL"),
            ({"host": "ftp://files.example.com"}, "http"),
            ({"host": "https://api.example.com/a b"}, "spaces"),
            ({"extra": {"headers": "Authorization: hush-hush"}}, "headers"),
            ({"extra": {"headers": ["hush-hush"]}}, "headers"),
            ({"extra": {"headers": {"X-A": {"hush-hush": 1}}}}, "X-A"),
            ({"extra": {"headers": {"X-A": "hush-hush\r\nX-B: 1"}}}, "X-A"),
            ({"extra": {"headers": {"X A": "hush-hush"}}}, "X A"),
            ({"extra": {"auth": "digest"}}, "digest"),
            ({"extra": {"auth": "bearer"}}, "password"),
            ({"extra": {"auth": "basic"}}, "login"),
            ({"extra": {"timeout": "soon"}}, "timeout"),
            ({"extra": {"timeout": -1}}, "timeout"),
            ({"extra": {"proxies": "http://proxy:3128"}}, "proxies"),
            ({"extra": {"method": 7}}, "method"),
            ({"extra": {"method": "GET IT"}}, "method"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, connect, fields, says):
        hook = connect(**fields)
        with pytest.raises(ConnectorError) as raised:
            hook.connector()
        assert says in str(raised.value)
        assert "'api'" in str(raised.value)
        assert "hush-hush" not in str(raised.value)


class TestEndpoint:
    @pytest.mark.parametrize(
        ("base", "endpoint", "url"),
        [
            ("https://api.example.com", "", "https://api.example.com"),
            ("https://api.example.com/v1", "", "https://api.example.com/v1"),
            ("https://api.example.com/v1", "items", "https://api.example.com/v1/items"),
            ("https://api.example.com/v1/", "/items", "https://api.example.com/v1/items"),
            ("https://api.example.com", "items/", "https://api.example.com/items/"),
            ("https://api.example.com/v1?tenant=t", "items?x=1", "https://api.example.com/v1/items?tenant=t&x=1"),
            ("https://api.example.com/v1", "?x=1", "https://api.example.com/v1?x=1"),
            ("https://api.example.com/v1", "/customers/{id}", "https://api.example.com/v1/customers/{id}"),
        ],
    )
    def test_joining(self, connect, base, endpoint, url):
        assert connect(host=base).connector().at(endpoint).url == url

    @pytest.mark.parametrize("endpoint", ["https://evil.example.org/x", "//evil.example.org/x", "ftp://x"])
    def test_another_host_is_refused(self, connect, endpoint):
        with pytest.raises(ConnectorError, match="endpoint"):
            connect().connector().at(endpoint)

    def test_what_the_task_says_wins(self, connect):
        connector = connect(extra={"headers": {"X-Tenant": "one", "X-Other": "two"}, "timeout": 5}).connector()
        target = connector.at("items", method="put", headers={"x-tenant": "mine"}, timeout=9)
        assert target.headers == {"X-Other": "two", "x-tenant": "mine"}
        assert (target.method, target.timeout) == ("PUT", 9)
        assert connector.at("items").timeout == 5


class TestSecrets:
    SECRETS = ("love-lace", "key-123456", "query-secret", "proxy-secret", base64.b64encode(b"ada:love-lace").decode())

    @pytest.fixture
    def connector(self, connect, masked):
        return connect(
            host="https://api.example.com/v1?token=query-secret",
            login="ada",
            password="love-lace",
            extra={"headers": {"X-Api-Key": "key-123456"}, "proxies": {"https": "http://u:proxy-secret@proxy:3128"}},
        ).connector()

    def test_all_are_masked(self, connector, masked):
        assert set(self.SECRETS) <= set(masked)

    def test_none_is_in_a_repr(self, connector):
        for value in (connector, connector.at("items"), connector.target):
            for secret in self.SECRETS:
                assert secret not in repr(value)
                assert secret not in str(value)

    def test_all_are_redacted(self, connector):
        said = connector.target.redact(f"who sent {' '.join(self.SECRETS)}?")
        for secret in self.SECRETS:
            assert secret not in said

    def test_a_bearer_token_is_masked_with_and_without_its_scheme(self, connect, masked):
        connect(extra={"headers": {"Authorization": "Bearer abc-def-ghi"}}).connector()
        assert {"Bearer abc-def-ghi", "abc-def-ghi"} <= set(masked)

    def test_what_is_the_same_for_everybody_is_not_masked(self, connect, masked):
        connect(extra={"headers": {"Accept": "application/json", "Content-Type": "application/json"}}).connector()
        assert masked == []

    def test_the_task_s_own_headers_are_secret_too(self, connector):
        target = connector.at("items", headers={"X-Mine": "mine-123456"})
        assert "mine-123456" not in repr(target)
        assert target.redact("mine-123456") == "***"

    def test_a_connector_crosses_processes(self, connector):
        assert pickle.loads(pickle.dumps(connector)) == connector


class TestTransport:
    def test_libcurl_by_default(self, connect):
        hook = connect()
        transport = hook.transport()(hook.connector().target, in_flight=1, headers={}, answer_bytes=1000)
        assert isinstance(transport, CurlTransport)
        transport.close()

    def test_requests_for_an_auth_class(self, connect):
        class Signed(AuthBase):
            def __call__(self, request):
                request.headers["X-Signed"] = "yes"
                return request

        connect()
        hook = HttpDestinationHook(http_conn_id="api", auth_type=Signed)
        transport = hook.transport()(hook.connector().target, in_flight=1, headers={}, answer_bytes=1000)
        assert isinstance(transport, RequestsTransport)
        transport.close()

    @pytest.mark.parametrize("name", ["Authorization", "authorization"])
    def test_a_request_has_one_authorization(self, connect, name):
        hook = connect(
            login="ada",
            password="love-lace",
            extra={"auth": "oauth2", "oauth2_url": "https://login.example.com/token", "headers": {name: "Custom x"}},
        )
        with pytest.raises(ConnectorError, match=r"^headers: auth is 'oauth2'"):
            hook.transport()(hook.connector().target, in_flight=1, headers={}, answer_bytes=1000, may_repeat=True)

    def test_requests_for_an_adapter(self, connect):
        connect()
        hook = HttpDestinationHook(http_conn_id="api", adapter=HTTPAdapter())
        transport = hook.transport()(hook.connector().target, in_flight=1, headers={}, answer_bytes=1000)
        assert isinstance(transport, RequestsTransport)
        transport.close()


class TestRun:
    """What ``HttpHook`` does goes on working."""

    @pytest.mark.parametrize(
        ("fields", "sent"),
        [
            ({}, None),
            ({"login": "ada", "password": "love-lace"}, BASIC),
            ({"login": "ada", "password": "love-lace", "extra": {"batch_size": 5}}, BASIC),
            ({"extra": {"auth": "none"}}, None),
            ({"password": "love-lace"}, "Bearer love-lace"),
            ({"login": "ada", "extra": {"headers": {"Authorization": "Custom x"}}}, "Custom x"),
        ],
    )
    def test_run_sends_what_deliveries_send(self, connect, requests_mock, fields, sent):
        requests_mock.post("https://api.example.com/v1/items", json={"ok": True})
        response = connect(**fields).run("items", data="{}")
        assert response.json() == {"ok": True}
        assert requests_mock.last_request.headers.get("Authorization") == sent

    def test_only_headers_become_headers(self, connect, requests_mock):
        requests_mock.post("https://api.example.com/v1/items")
        connect(extra={"headers": {"X-A": "1"}, "batch_size": 5, "write_mode": "batch", "secret": "s"}).run("items")
        sent = requests_mock.last_request.headers
        assert sent["X-A"] == "1"
        assert not {"batch_size", "write_mode", "secret", "headers"} & {name.lower() for name in sent}

    def test_the_caller_s_headers_win(self, connect, requests_mock):
        requests_mock.post("https://api.example.com/v1/items")
        connect(extra={"headers": {"X-A": "1"}}).run("items", headers={"X-A": "2"})
        assert requests_mock.last_request.headers["X-A"] == "2"

    def test_an_auth_type_of_the_caller(self, connect, requests_mock):
        requests_mock.post("https://api.example.com/v1/items")
        connect(login="ada", password="love-lace")
        HttpDestinationHook(http_conn_id="api", auth_type=requests.auth.HTTPProxyAuth).run("items")
        assert requests_mock.last_request.headers["Proxy-Authorization"] == BASIC

    def test_no_netrc_takes_the_place_of_the_connection(self, connect, requests_mock, tmp_path, monkeypatch):
        # requests lets ~/.netrc win over an Authorization header; libcurl does not look at it.
        (tmp_path / "netrc").write_text("machine api.example.com login other password somebody-else\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        requests_mock.post("https://api.example.com/v1/items")
        connect(password="love-lace", extra={"auth": "bearer"}).run("items")
        assert requests_mock.last_request.headers["Authorization"] == "Bearer love-lace"


class TestTestConnection:
    """The Test button never sends data."""

    @pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 405])
    def test_any_answer_shows_that_the_url_is_right(self, connect, status):
        with ScriptedServer(answer(status)) as server:
            ok, message = connect(host=f"{server.url}/v1").test_connection()
        assert ok
        assert f"{server.url}/v1" in message
        assert str(status) in message
        assert {request.method for request in server.received} <= {"OPTIONS", "HEAD"}
        assert all(request.length == 0 for request in server.received)

    @pytest.mark.parametrize("status", [401, 403, 407, 500, 503])
    def test_what_shows_that_it_would_not_work(self, connect, status):
        with ScriptedServer(answer(status, b"who is love-lace?")) as server:
            ok, message = connect(host=server.url, password="love-lace", extra={"auth": "bearer"}).test_connection()
        assert not ok
        assert str(status) in message
        assert "love-lace" not in message
        assert len(server.received) == 1

    def test_head_where_options_is_not_known(self, connect):
        def script(talk):
            talk.read_body()
            talk.reply(405 if talk.request.method == "OPTIONS" else 200)

        with ScriptedServer(script) as server:
            ok, message = connect(host=server.url).test_connection()
        assert ok
        assert "200" in message
        assert [request.method for request in server.received] == ["OPTIONS", "HEAD"]

    def test_it_carries_the_credentials(self, connect):
        with ScriptedServer(answer(200)) as server:
            connect(
                host=server.url, login="ada", password="love-lace", extra={"headers": {"X-A": "1"}}
            ).test_connection()
        assert server.received[0].headers["authorization"] == BASIC.encode()
        assert server.received[0].headers["x-a"] == b"1"

    def test_nothing_listens_there(self, connect):
        url = f"http://127.0.0.1:{free_port()}"
        ok, message = connect(host=f"{url}?key=query-secret").test_connection()
        assert not ok
        assert url in message
        assert "query-secret" not in message

    def test_a_connection_that_cannot_be_used(self, connect):
        ok, message = connect(extra={"headers": "Authorization: hush-hush"}).test_connection()
        assert not ok
        assert "headers" in message
        assert "hush-hush" not in message

    @pytest.mark.parametrize(
        ("extra", "says"),
        [
            ({"batch_size": 0}, "batch_size: found 0, expected a whole number from 1 to 250,000"),
            ({"batch_size": "many"}, "batch_size: found 'many'"),
            ({"concurrency": 1000}, "concurrency: found 1000"),
            ({"write_mode": "both"}, "write_mode: found 'both'"),
            ({"envelope": '{"data": 1}'}, "envelope: found"),
            ({"envelope": '{"data": '}, "envelope: "),
            ({"envelope": "data", "batch_format": "ndjson"}, "envelope: NDJSON has no place for one"),
            ({"item_errors": "errors["}, "item_errors: 'errors[' is not a JMESPath"),
            ({"success_when": "=="}, "success_when: "),
            ({"already_exists_when": "status = 409"}, "already_exists_when: "),
            ({"destination_schema": {"fields": [{"name": "id", "type": "whole"}]}}, "whole"),
            ({"destination_schema": "/nowhere.json"}, "destination_schema: '/nowhere.json'"),
            ({"idempotency_header": "two words"}, "idempotency_header: "),
            ({"compression": "brotli"}, "compression: "),
            ({"max_failures": "some"}, "max_failures: "),
            ({"deduplicate": "all"}, "deduplicate: "),
            ({"timeout": 0}, "timeout is 0"),
            ({"cert": 5}, "cert is 5"),
            ({"auth": "signature"}, "the signing secret (password) is not base64"),
            ({"headers": {"Content-Length": "5"}}, "Content-Length is made from the request itself"),
        ],
    )
    def test_each_field_is_checked_as_a_delivery_checks_it(self, connect, extra, says):
        with ScriptedServer(answer(200)) as server:
            ok, message = connect(host=server.url, password="hush-hush!", extra=extra).test_connection()
        assert not ok
        assert message.startswith("connection 'api': ")
        assert says in message
        assert "hush-hush!" not in message
        assert server.received == []

    def test_a_template_needs_its_mode_and_its_field(self, connect):
        ok, message = connect(host="http://127.0.0.1:1/{id}").test_connection()
        assert (ok, "write_mode 'record'" in message) == (False, True)
        schema = {"fields": [{"name": "key", "type": "string"}]}
        extra = {"write_mode": "record", "destination_schema": schema}
        ok, message = connect(host="http://127.0.0.1:1/{id}", extra=extra).test_connection()
        assert (ok, "the schema has no field id" in message) == (False, True)

    @pytest.mark.parametrize(
        ("fields", "went"),
        [
            ({}, "No credentials went along, as there are none."),
            ({"password": "a-token"}, "Authorization went along."),
            ({"extra": {"headers": {"X-Key": "k", "Accept": "a/b"}}}, "X-Key went along."),
            ({"password": "whsec_c2VjcmV0", "extra": {"auth": "signature"}}, "The request was signed."),
        ],
    )
    def test_it_says_what_was_tried_and_what_was_not(self, connect, fields, went):
        with ScriptedServer(answer(204)) as server:
            ok, message = connect(host=server.url, **fields).test_connection()
        assert ok
        assert f"{server.url} is reached, and answered 204 to OPTIONS. {went} Every field was checked" in message
        assert "No data was sent, so whether the API takes the credentials and a record was not tried" in message
        assert "not read" not in message

    def test_it_names_what_is_no_field(self, connect):
        with ScriptedServer(answer(200)) as server:
            extra = {"batchsize": 5, "tenant": "x", "verify_ssl": True, "timeout": 5}
            ok, message = connect(host=server.url, extra=extra).test_connection()
        assert ok
        assert "No fields, and so not read: batchsize (is batch_size meant?), tenant." in message

    def test_a_redirect_says_where_to(self, connect):
        def script(talk):
            talk.read_body()
            talk.reply(301, headers={"Location": "https://new.test/v2?key=hush"})

        with ScriptedServer(script) as server:
            ok, message = connect(host=server.url).test_connection()
        assert ok
        assert (
            "a redirect to https://new.test/v2?*** that a delivery does not follow: if the API has moved, put its new "
            "address into host" in message
        )

    def test_a_token_is_fetched_and_refused_credentials_are_found(self, connect, tmp_path):
        tls, certificate = self_signed(tmp_path, "127.0.0.1")
        status = 200

        def script(talk):
            talk.read_body()
            if talk.request.target == "/token":
                good = b'{"access_token": "made-for-this", "token_type": "Bearer"}'
                talk.reply(status, good if status == 200 else b'{"error": "invalid_client"}')
            else:
                talk.reply(200)

        with ScriptedServer(script, tls=tls) as server:
            extra = {"auth": "oauth2", "oauth2_url": f"{server.url}/token", "verify": certificate}
            hook = connect(host=server.url, login="id", password="hush-hush", extra=extra)
            ok, message = hook.test_connection()
            assert ok, message
            assert f"A token that {server.url}/token gave out went along." in message
            assert server.received[-1].headers["authorization"] == b"Bearer made-for-this"
            status = 401
            ok, message = hook.test_connection()
        assert not ok
        assert "check client id, client secret, scope and audience" in message
        assert "hush-hush" not in message

    def test_a_certificate_that_is_not_trusted(self, connect, tmp_path):
        tls, _ = self_signed(tmp_path, "127.0.0.1")
        with ScriptedServer(answer(200), tls=tls) as server:
            ok, message = connect(host=server.url).test_connection()
        assert not ok
        assert "certificate" in message

    def test_headers_that_are_not_ascii(self, connect):
        with ScriptedServer(answer(200)) as server:
            ok, message = connect(host=server.url, extra={"headers": {"X-A": "näh€"}}).test_connection()
        assert ok, message


def test_the_form_and_the_hook_know_the_same_fields():
    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.get_provider_info import get_provider_info

    (kind,) = [
        each
        for each in get_provider_info()["connection-types"]
        if each["connection-type"] == HttpDestinationHook.conn_type
    ]
    assert kind["hook-name"] == HttpDestinationHook.hook_name
    oauth2 = {"oauth2_url", "oauth2_scope", "oauth2_audience"}
    read_by_the_hook = {"method", "headers", "destination_schema", "auth", *oauth2, *DeliveryOptions.names()}
    assert set(kind["conn-fields"]) <= read_by_the_hook
