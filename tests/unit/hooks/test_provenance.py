"""What a report says of its delivery, and that nothing of it is a secret."""

from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.hooks.provenance import HTTP_DESTINATION, Given, about_delivery, schema_digest

SCHEMA = DestinationSchema.load([{"name": "id", "type": "integer"}])
SECRET = "sesame-open"


def about(instance=("dag", "run", "task", "3"), options=None, **more):
    given = {"options": options or {}, **more.pop("given", {})}
    return about_delivery(
        HTTP_DESTINATION,
        instance,
        "api",
        method="POST",
        url="https://api.test/v1",
        schema=SCHEMA,
        mapping=more.pop("mapping", None),
        options=DeliveryOptions.layered([options or {}]),
        given=Given(**given),
        redact=lambda text: text.replace(SECRET, "***"),
        **more,
    )


def test_of_a_task_and_of_the_command_line():
    told = about()
    assert (told["dag_id"], told["run_id"], told["task_id"], told["map_index"]) == ("dag", "run", "task", 3)
    assert (told["conn_id"], told["method"], told["url"]) == ("api", "POST", "https://api.test/v1")
    assert (told["options"], told["withheld"], told["retry_of"]) == ({}, [], None)
    assert about(("cli", "now"))["dag_id"] is None


def test_the_schema_is_kept_where_it_is_not_the_connections():
    assert about()["schema"] == {"digest": schema_digest(SCHEMA), "document": None}
    document = about(given={"has_schema": True})["schema"]["document"]
    assert DestinationSchema.load(document) == SCHEMA
    assert schema_digest(SCHEMA) != schema_digest(DestinationSchema.any_object())


def test_options_as_they_held_and_as_they_were_given():
    told = about(options={"write_mode": "record", "batch_size": "", "max_failures": None, "record_key": ["id"]})
    assert told["options"] == {"write_mode": "record", "record_key": ["id"]}
    assert told["given"]["options"] == {"write_mode": "record", "record_key": ["id"]}


@pytest.mark.parametrize(
    "envelope",
    [
        {"key": "k3y", "rows": "$records"},
        '{"key": "k3y", "rows": "$records"}',
        {"auth": {"pin": 1234567}, "rows": "$records"},
        {"tags": ["k3y"], "rows": "$records"},
    ],
)
def test_constants_of_an_envelope_are_not_kept(envelope):
    told = about(options={"envelope": envelope})
    assert told["withheld"] == ["envelope"]
    assert "k3y" not in json.dumps(told)
    assert "1234567" not in json.dumps(told)
    assert told["options"]["envelope"]["rows"] == "$records"


@pytest.mark.parametrize("envelope", ["rows", {"rows": "$records", "return": True, "version": 2, "of": None}])
def test_an_envelope_without_texts_is(envelope):
    told = about(options={"envelope": envelope})
    assert (told["withheld"], told["given"]["options"]["envelope"]) == ([], envelope)


def test_headers_queries_and_auth_types_are_named_alone():
    told = about(
        given={
            "endpoint": "/orders?key=k3y&page=1",
            "headers": {"X-Trace": "k3y", "Accept": "text/plain"},
            "auth_type": "requests.auth.HTTPDigestAuth",
        }
    )
    assert told["withheld"] == ["auth_type", "endpoint", "headers"]
    assert told["given"]["endpoint"] == "/orders?***"
    assert told["given"]["headers"] == ["Accept", "X-Trace"]
    assert "k3y" not in json.dumps(told)


def test_what_holds_a_secret_is_masked_and_named():
    told = about(
        mapping={"id": f"column {SECRET}"},
        given={"endpoint": f"/hooks/{SECRET}"},
        options={"success_when": f"token == '{SECRET}'"},
    )
    assert told["withheld"] == ["endpoint", "mapping", "success_when"]
    assert SECRET not in json.dumps(told)


def test_what_a_template_took_from_another_connection(monkeypatch):
    from airflow.sdk._shared.secrets_masker import SecretsMasker
    from airflow.sdk._shared.secrets_masker import secrets_masker as module

    masker = SecretsMasker()
    masker.sensitive_variables_fields = []
    masker.add_mask("of-another-connection")
    monkeypatch.setattr(module, "_secrets_masker", lambda: masker)
    told = about(given={"endpoint": "/hooks/of-another-connection"})
    assert (told["given"]["endpoint"], told["withheld"]) == ("/hooks/***", ["endpoint"])


def test_the_place_of_the_records_is_no_secret_whatever_its_name(monkeypatch):
    from airflow.sdk._shared.secrets_masker import SecretsMasker
    from airflow.sdk._shared.secrets_masker import secrets_masker as module

    masker = SecretsMasker()
    masker.sensitive_variables_fields = ["token"]
    # As Airflow does with the extra of a connection.
    masker.add_mask({"envelope": {"tokens": "$records"}})
    monkeypatch.setattr(module, "_secrets_masker", lambda: masker)
    told = about(options={"envelope": {"tokens": "$records"}})
    assert (told["options"]["envelope"], told["withheld"]) == ({"tokens": "$records"}, [])
