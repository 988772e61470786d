"""The compose files name what there is: there is no container engine to try them with where the tests run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections import Counter

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf

from airflow_provider_osmosdest.get_provider_info import get_provider_info
from tests.stack.compose import COMPOSE, environment_of, load, nginx_config

FILES = (COMPOSE, COMPOSE.with_name("docker-compose.simple.yaml"))
AIRFLOW_IMAGE = "osmosdest-airflow"
EXAMPLES = COMPOSE.parent / "example_dags"
MOUNTS = {"/opt/airflow/dags": EXAMPLES, "/srv": EXAMPLES}
# What another package defines, which the environment of `make stack` has: the system tests run that.
CELERY = "celery"


def services():
    return [pytest.param(path, name, id=f"{path.stem}-{name}") for path in FILES for name in load(path)["services"]]


def words(value):
    return shlex.split(value) if isinstance(value, str) else list(value or ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_image_is_built_once(path):
    built = Counter(each["image"] for each in load(path)["services"].values() if "build" in each)
    assert set(built.values()) == {1}
    for name, each in load(path)["services"].items():
        if each["image"] in built:
            assert each["pull_policy"] == "never", name


@pytest.mark.parametrize(("path", "name"), services())
def test_a_service_needs_only_what_is_there(path, name):
    document = load(path)
    service = document["services"][name]
    needed = service.get("depends_on", {})
    assert set(needed) <= set(document["services"])
    for other, how in needed.items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in document["services"][other], other
    named = {each.partition(":")[0] for each in service.get("volumes", [])}
    assert {each for each in named if not each.startswith("./")} <= set(document.get("volumes", {}))
    assert all((path.parent / each).is_dir() for each in named if each.startswith("./"))
    assert {each["source"] for each in service.get("configs", [])} <= set(document.get("configs", {}))


@pytest.mark.parametrize(("path", "name"), services())
def test_a_port_is_open_to_this_machine_alone(path, name):
    assert all(each.startswith("127.0.0.1:") for each in load(path)["services"][name].get("ports", []))


@pytest.mark.parametrize(("path", "name"), services())
def test_a_command_and_its_options_exist(path, name):
    service = load(path)["services"][name]
    command = [*words(service.get("entrypoint")), *words(service.get("command"))]
    if not service["image"].startswith(AIRFLOW_IMAGE) and "python" not in command:
        return
    if command[:2] == ["bash", "-c"]:
        command = shlex.split(command[2].partition("&&")[0])[1:]
    if command[0] == "python":
        folder, _, script = command[1].rpartition("/")
        done = subprocess.run(
            [sys.executable, str(MOUNTS[folder] / script), "--help"], capture_output=True, text=True, check=True
        )
        assert {each for each in command if each.startswith("--")} <= set(re.findall(r"--[\w-]+", done.stdout))
    elif command[0] != CELERY:
        get_parser().parse_args(command)


@pytest.mark.parametrize(("path", "name"), services())
def test_a_variable_is_a_setting_or_a_connection(path, name):
    environment = load(path)["services"][name].get("environment", {})
    known = {
        (section, option) for section, each in conf.configuration_description.items() for option in each["options"]
    }
    known |= {("osmosdest", option) for option in get_provider_info()["config"]["osmosdest"]["options"]}
    for variable, value in environment.items():
        if variable.startswith("AIRFLOW__"):
            section, _, option = variable.removeprefix("AIRFLOW__").lower().partition("__")
            assert (section, option) in known or section == CELERY, variable
        elif variable.startswith("AIRFLOW_CONN_"):
            assert json.loads(value)["conn_type"] in {"aws", "osmos_http", "osmos_mailbox"}


def test_every_address_inside_is_a_service_and_gets_one_on_this_machine():
    text = json.dumps(load()["services"]["worker-1"]["environment"]) + load()["configs"]["nginx"]["content"]
    inside = set(re.findall(r"(?<=[/@])([\w-]+:\d+)", text)) - {"localhost:8080"}
    assert {each.partition(":")[0] for each in inside} <= set(load()["services"])
    here = {each: f"127.0.0.1:{number}" for number, each in enumerate(sorted(inside), 40_000)}
    left = json.dumps(environment_of("worker-1", here)) + nginx_config(here)
    assert [each for each in inside if each in left] == []
    assert "$$" not in left


def test_its_commands_name_services():
    for path in FILES:
        for line in path.read_text("utf-8").splitlines():
            if found := re.search(r"docker compose .*?(?:exec|kill|run --rm) ([\w-]+)", line):
                assert found[1] in load(path)["services"], line


def test_the_image_is_of_the_airflow_that_is_tested():
    (pinned,) = re.findall(
        r"^apache-airflow==(.+)$", (COMPOSE.parent / "constraints.txt").read_text("utf-8"), re.MULTILINE
    )
    assert f"FROM apache/airflow:{pinned}\n" in (COMPOSE.parent / "Dockerfile").read_text("utf-8")
    images = {each["image"] for path in FILES for each in load(path)["services"].values()}
    assert {each for each in images if each.startswith(AIRFLOW_IMAGE)} == {f"{AIRFLOW_IMAGE}:{pinned}"}
