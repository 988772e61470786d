from __future__ import annotations

import json

import pytest

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.core.storage import PrivatePath
from airflow_provider_osmosdest.hooks.delivery import (
    TaskRequest,
    delivery_folder,
    landing_folder,
    make_delivery,
    seen_folder,
    watermark_folder,
)
from airflow_provider_osmosdest.hooks.http_destination import HttpDestinationHook
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from tests.modes import modes_below, umask

INSTANCE = ("dag", "run", "task", "-1")


def write_everywhere():
    for folder in (delivery_folder(INSTANCE), landing_folder(INSTANCE), seen_folder("crm"), watermark_folder(INSTANCE)):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "file").open("wb") as file:
            file.write(b"records")
    MailboxHook("orders").publish([{"id": 1}])


@pytest.mark.parametrize(
    ("said", "modes"),
    [
        ("", ("0600", "0700")),
        ("none", ("0600", "0700")),
        (" Read ", ("0640", "0750")),
        ("write", ("0660", "0770")),
    ],
)
def test_whatever_is_below_the_storage_path_is_for_whom_the_setting_says(
    tmp_path, monkeypatch, set_connection, said, modes
):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", str(tmp_path / "a" / "storage"))
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__GROUP_ACCESS", said)
    set_connection("orders", conn_type="osmos_mailbox")
    with umask(0):
        write_everywhere()
    assert {path.name for path in (tmp_path / "a" / "storage").iterdir()} == {
        "deliveries", "landed", "mailboxes", "seen", "sources",
    }  # fmt: skip
    assert modes_below(tmp_path) == {"files": {modes[0]}, "folders": {modes[1]}}


def test_a_folder_that_is_there_keeps_its_mode(osmos_home, set_connection):
    osmos_home.chmod(0o755)
    set_connection("orders", conn_type="osmos_mailbox")
    write_everywhere()
    assert osmos_home.stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("osmos_home")
@pytest.mark.parametrize("as_text", [False, True], ids=["object", "text"])
def test_what_an_envelope_holds_under_a_secret_name_is_taken_out_of_answers(set_connection, as_text):
    envelope = {"auth": [{"api_key": "sk-live-77"}], "token": "$records", "action": "create"}
    extra = {"envelope": json.dumps(envelope) if as_text else envelope}
    set_connection("crm", conn_type="osmos_http", host="http://api.test", extra=json.dumps(extra))
    delivery = make_delivery(INSTANCE, HttpDestinationHook("crm").connector(), TaskRequest())
    echoed = '{"api_key": "sk-live-77", "token": "$records", "action": "create"}'
    assert delivery.target.redact(echoed) == echoed.replace("sk-live-77", "***")


@pytest.mark.usefixtures("osmos_home")
def test_another_setting_is_named(monkeypatch, set_connection):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__GROUP_ACCESS", "0640")
    set_connection("orders", conn_type="osmos_mailbox")
    for use in (lambda: delivery_folder(INSTANCE), lambda: MailboxHook("orders").mailbox()):
        with pytest.raises(ConfigurationError, match=r"group_access: found '0640', expected one of none, read, write"):
            use()


@pytest.mark.parametrize("form", ["{}", "file://{}", "local://{}"])
def test_a_path_of_this_machine_is_one_however_it_is_written(tmp_path, monkeypatch, form):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", form.format(tmp_path))
    assert delivery_folder(INSTANCE) == tmp_path / "deliveries" / "dag" / "run" / "task" / "-1"
    assert isinstance(delivery_folder(INSTANCE), PrivatePath)


def test_an_object_store_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", "memory://bucket/osmosdest")
    assert str(delivery_folder(INSTANCE)) == "memory://bucket/osmosdest/deliveries/dag/run/task/-1"
