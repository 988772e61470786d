"""What Airflow reads of this package is what Airflow's own schemas, form and masker expect."""

from __future__ import annotations

import importlib
import itertools
import json
from importlib import metadata
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.sdk import Connection

import airflow_provider_osmosdest
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.mailbox.settings import MailboxSettings
from airflow_provider_osmosdest.get_provider_info import get_provider_info
from airflow_provider_osmosdest.hooks.connections.check import check_fields
from airflow_provider_osmosdest.hooks.connections.mailbox_fields import settings_of
from airflow_provider_osmosdest.hooks.delivery import TaskRequest
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook

DISTRIBUTION = "airflow-provider-osmosdest"
INFO = get_provider_info()
OSMOS_HTTP = next(kind for kind in INFO["connection-types"] if kind["connection-type"] == "osmos_http")
FIELDS = OSMOS_HTTP["conn-fields"]
OSMOS_MAILBOX = next(kind for kind in INFO["connection-types"] if kind["connection-type"] == "osmos_mailbox")
ALL_FIELDS = [
    pytest.param(name, spec, id=f"{kind['connection-type']}-{name}")
    for kind in INFO["connection-types"]
    for name, spec in kind["conn-fields"].items()
]
OPTIONS = sorted(set(FIELDS) & set(DeliveryOptions.names()))
_SENDS = {
    "none": (),
    "basic": ("login", "password"),
    "bearer": ("password",),
    "oauth2": ("login", "password"),
    "signature": ("password",),
}


def _airflow_schema(name):
    return json.loads((Path(airflow.__file__).parent / name).read_text("utf-8"))


def test_provider_info_is_valid():
    jsonschema.validate(INFO, _airflow_schema("provider_info.schema.json"))


def test_connection_types_are_valid():
    schema = _airflow_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(INFO["connection-types"], schema)


def test_the_entry_point_leads_here():
    distribution = metadata.distribution(DISTRIBUTION)
    (entry,) = distribution.entry_points.select(group="apache_airflow_provider")
    assert entry.load() is get_provider_info
    assert INFO["package-name"] == distribution.name == DISTRIBUTION
    assert distribution.version == airflow_provider_osmosdest.__version__


@pytest.mark.parametrize(
    "name",
    [
        *(kind["hook-class-name"] for kind in INFO["connection-types"]),
        *(decorator["class-name"] for decorator in INFO["task-decorators"]),
        *INFO["cli"],
    ],
)
def test_every_name_can_be_imported(name):
    module, _, attribute = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize(
    "module",
    [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for group in INFO[kind]
        for module in group["python-modules"]
    ],
)
def test_every_module_can_be_imported(module):
    assert importlib.import_module(module).__all__


@pytest.mark.parametrize("kind", INFO["connection-types"], ids=lambda kind: kind["connection-type"])
def test_the_hook_has_the_names_of_the_connection_type(kind):
    module, _, name = kind["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (kind["connection-type"], kind["hook-name"])


@pytest.mark.parametrize(("field", "spec"), ALL_FIELDS)
def test_a_field_explains_itself(field, spec):
    assert spec["label"]
    assert spec["description"].endswith((".", "FILE"))
    assert "null" in spec["schema"]["type"], "a field may be left empty"


@pytest.mark.parametrize(("field", "spec"), ALL_FIELDS)
def test_a_default_satisfies_its_own_schema(field, spec):
    schema = spec["schema"]
    jsonschema.validate(schema.get("default"), schema if "default" in schema else {"type": schema["type"]})
    assert set(schema.get("values_display", {})) <= set(schema.get("enum", []))


@pytest.mark.parametrize(("field", "spec"), ALL_FIELDS)
def test_airflow_does_not_mask_a_setting(field, spec):
    # Airflow hides every extra whose name holds a word like "token"; the form would show *** for it.
    from airflow._shared.secrets_masker import should_hide_value_for_key

    assert should_hide_value_for_key("token_url")
    assert not should_hide_value_for_key(field)


def test_there_are_write_options_in_the_form():
    assert {"write_mode", "batch_size", "on_batch_failure", "concurrency"} <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_form_and_the_options_agree(option):
    schema = FIELDS[option]["schema"]
    default = getattr(DeliveryOptions(), option)
    assert schema.get("default") == default
    for choice in schema.get("enum", []):
        assert getattr(DeliveryOptions(**{option: choice}), option) == choice
    for bound in ("minimum", "maximum"):
        if bound in schema:
            DeliveryOptions(**{option: schema[bound]})
    if "integer" in schema["type"]:
        with pytest.raises(OptionsError, match=option):
            DeliveryOptions(**{option: schema["minimum"] - 1})
    if "maximum" in schema:
        with pytest.raises(OptionsError, match=option):
            DeliveryOptions(**{option: schema["maximum"] + 1})


@pytest.mark.parametrize("field", FIELDS)
def test_every_choice_and_example_in_the_form_can_be_used(field, set_connection):
    host = OSMOS_HTTP["ui-field-behaviour"]["placeholders"]["host"]
    for value in (*FIELDS[field]["schema"].get("enum", []), *FIELDS[field]["schema"].get("examples", [])):
        oauth2 = {"auth": "oauth2", "oauth2_url": "https://x.test/token"} if field.startswith("oauth2") else {}
        extra = {**oauth2, field: value}
        sends = _SENDS[extra.get("auth", "none")]
        extra |= {"oauth2_url": "https://x.test/token"} if value == "oauth2" else {}
        given = dict.fromkeys(sends, "d2hhdGV2ZXI=")
        set_connection("api", host=host, **given, extra=extra)
        hook = HttpDestinationHook(http_conn_id="api")
        check_fields(hook.connector(), hook.transport(), TaskRequest())


def test_what_the_form_saves_unchanged_can_be_used(set_connection):
    extra = {name: spec["schema"].get("default") for name, spec in FIELDS.items()}
    set_connection("api", host="https://api.example.com/v1", password="a-token", extra=extra)
    connector = HttpDestinationHook(http_conn_id="api").connector()
    assert connector.target.headers == {"Authorization": "Bearer a-token"}
    assert DeliveryOptions.layered([connector.options]) == DeliveryOptions()


_MODES = ("Batch mode: ", "Record mode: ", "Both modes")


def test_the_form_is_in_the_order_in_which_it_is_filled_in():
    sections = list(dict.fromkeys(spec["schema"]["section"] for spec in FIELDS.values()))
    assert sections == ["Signing in", "What is sent", "Batch mode", "Record mode", "Limits", "Rarely needed"]
    assert next(iter(FIELDS)) == "auth"


@pytest.mark.parametrize("field", [name for name in FIELDS if name in OPTIONS and name != "write_mode"])
def test_a_help_text_says_for_which_mode_it_is(field):
    description, section = FIELDS[field]["description"], FIELDS[field]["schema"]["section"]
    assert description.startswith(_MODES)
    if section in ("Batch mode", "Record mode"):
        assert description.startswith(f"{section}: ")
    else:
        assert description.startswith("Both modes")


@pytest.mark.parametrize("kind", INFO["connection-types"], ids=lambda kind: kind["connection-type"])
def test_the_fields_of_a_section_stand_together(kind):
    sections = [spec["schema"]["section"] for spec in kind["conn-fields"].values()]
    assert [name for name, _ in itertools.groupby(sections)] == list(dict.fromkeys(sections))


def test_the_form_is_served():
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "osmos_http"]
    assert form.hook_name == "Osmos HTTP API"
    assert list(form.extra_fields) == list(FIELDS)
    assert form.extra_fields["auth"]["schema"]["section"] == "Signing in"
    assert form.standard_fields.host.title == "Base URL"
    assert form.standard_fields.url_schema.hidden
    assert form.standard_fields.port.hidden


def test_the_form_of_a_mailbox_is_served():
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "osmos_mailbox"]
    assert form.hook_name == "Osmos Mailbox"
    assert list(form.extra_fields) == list(OSMOS_MAILBOX["conn-fields"])
    assert form.standard_fields.password.title == "Signing secrets"
    assert all(getattr(form.standard_fields, name).hidden for name in ("host", "login", "port", "url_schema"))


@pytest.mark.parametrize("name", ["page_limit", "page_bytes", "on_invalid", "max_body_bytes"])
def test_the_form_and_the_settings_of_a_mailbox_agree(name):
    assert OSMOS_MAILBOX["conn-fields"][name]["schema"]["default"] == getattr(MailboxSettings("a"), name)


def test_every_choice_and_example_of_a_mailbox_can_be_used():
    for name, spec in OSMOS_MAILBOX["conn-fields"].items():
        for value in (*spec["schema"].get("enum", []), *spec["schema"].get("examples", [])):
            settings_of(Connection(conn_id="a", conn_type="osmos_mailbox", extra=json.dumps({name: value})))
