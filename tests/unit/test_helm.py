"""What docs/helm names is there: settings, commands, what its files share. check.sh there has the chart's schema."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf

from airflow_provider_osmosdest.get_provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[2]
HELM = ROOT / "docs" / "helm"
VALUES = ("values", "celery")
# What the Celery provider alone defines, which is not installed here.
CELERY = {("celery_broker_transport_options", "visibility_timeout")}


def load(name):
    return yaml.safe_load((HELM / f"{name}.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def serve():
    """The objects of serve.yaml, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((HELM / "serve.yaml").read_text("utf-8"))}


def container(serve):
    (found,) = serve["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


def options():
    known = {
        (section, option) for section, each in conf.configuration_description.items() for option in each["options"]
    }
    return known | CELERY | {("osmosdest", option) for option in get_provider_info()["config"]["osmosdest"]["options"]}


@pytest.mark.parametrize("name", VALUES)
def test_what_becomes_airflow_cfg_are_options_in_words(name):
    for section, each in load(name)["config"].items():
        for option, value in each.items():
            assert (section, option) in options()
            # The chart puts it into a file as it is: a number of YAML might come out as 8.64e+04.
            assert isinstance(value, str), option


def test_a_variable_is_a_setting_or_a_connection(serve):
    names = [each["envName"] for each in load("values")["secret"]] + [each["name"] for each in container(serve)["env"]]
    for name in names:
        if name.startswith("AIRFLOW__"):
            assert tuple(name.removeprefix("AIRFLOW__").lower().split("__")) in options()
        else:
            assert name.startswith("AIRFLOW_CONN_")


def test_the_mailboxes_are_served_from_the_same_image_and_secrets(serve):
    values = load("values")
    assert container(serve)["image"] == f"{values['defaultAirflowRepository']}:{values['defaultAirflowTag']}"
    used = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container(serve)["env"]}
    assert used["AIRFLOW__CORE__FERNET_KEY"]["name"] == values["fernetKeySecretName"]
    assert used["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]["name"] == values["data"]["metadataSecretName"]
    for each in values["secret"]:
        assert used[each["envName"]] == {"name": each["secretName"], "key": each["secretKey"]}
    assert serve["Deployment"]["spec"]["template"]["spec"]["securityContext"] == values["securityContexts"]["pod"]
    assert container(serve)["securityContext"] == values["securityContexts"]["containers"]


def test_the_command_exists_and_its_port_is_the_one_that_is_open(serve):
    arguments = get_parser().parse_args(container(serve)["args"])
    (port,) = container(serve)["ports"]
    assert int(arguments.port) == port["containerPort"]
    assert container(serve)["readinessProbe"]["httpGet"]["port"] == port["name"]
    assert container(serve)["livenessProbe"]["tcpSocket"]["port"] == port["name"]
    (outside,) = serve["Service"]["spec"]["ports"]
    assert outside["targetPort"] == port["name"]
    (rule,) = serve["Ingress"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {
        "name": serve["Service"]["metadata"]["name"],
        "port": {"name": outside["name"]},
    }


def test_everything_selects_the_pods_of_the_deployment(serve):
    labels = serve["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert serve["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert serve["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert serve["Service"]["spec"]["selector"] == labels


def test_the_image_is_of_the_airflow_that_is_tested():
    (pinned,) = re.findall(r"^apache-airflow==(.+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert load("values")["airflowVersion"] == load("values")["defaultAirflowTag"] == pinned
