from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_osmosdest.core.errors import ConfigurationError
from airflow_provider_osmosdest.hooks.shared_storage import check_shared, one_machine_only, remote_executor
from airflow_provider_osmosdest.settings import load_settings


@pytest.fixture
def executor(monkeypatch):
    def use(name):
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", name)

    return use


@pytest.mark.parametrize(
    ("named", "remote"),
    [
        ("LocalExecutor", None),
        ("alias:LocalExecutor", None),
        ("airflow.executors.local_executor.LocalExecutor", None),
        ("CeleryExecutor", "CeleryExecutor"),
        ("LocalExecutor,CeleryExecutor", "CeleryExecutor"),
        ("LocalExecutor, far:KubernetesExecutor", "KubernetesExecutor"),
        ("LocalExecutor;team=airflow.providers.edge3.executors.EdgeExecutor", "EdgeExecutor"),
        ("LocalExecutor;one=LocalExecutor;two=a:my.Own,LocalExecutor", "Own"),
    ],
)
def test_which_executor_runs_tasks_on_other_machines(executor, named, remote):
    executor(named)
    assert remote_executor() == remote


@pytest.mark.parametrize("variable", ["AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER"])
def test_a_container_is_another_machine_whatever_its_own_configuration_says(executor, monkeypatch, variable):
    executor("LocalExecutor")
    monkeypatch.setenv(variable, "True")
    assert remote_executor() is not None


@pytest.mark.parametrize("path", [Path("/srv/osmosdest"), ObjectStoragePath("file:///srv/osmosdest")])
def test_a_local_folder_is_one_machines_where_tasks_run_on_others(executor, path):
    executor("CeleryExecutor")
    assert one_machine_only(path) == f"{path} is a folder of one machine, and CeleryExecutor runs tasks on others"


def test_it_is_not_where_no_task_runs_elsewhere(executor):
    executor("LocalExecutor")
    assert one_machine_only(Path("/srv/osmosdest")) is None


def test_an_object_store_is_shared(executor):
    executor("CeleryExecutor")
    assert one_machine_only(ObjectStoragePath("memory://osmosdest")) is None


@pytest.mark.parametrize("said", ["True", "1", " t "])
def test_a_disk_can_be_declared_shared(executor, monkeypatch, said):
    executor("CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__SHARED_STORAGE", said)
    load_settings.cache_clear()
    assert one_machine_only(Path("/srv/osmosdest")) is None


def test_the_error_says_what_would_happen_and_what_to_set(executor):
    executor("CeleryExecutor")
    with pytest.raises(ConfigurationError) as caught:
        check_shared(Path("/srv/osmosdest"), "nothing is found again")
    assert str(caught.value) == (
        "[osmosdest] storage_path: /srv/osmosdest is a folder of one machine, and CeleryExecutor runs tasks on others, "
        "so nothing is found again. Set [osmosdest] storage_path to a URL of object storage, such as "
        "s3://bucket/osmosdest; or, where all machines have the same disk mounted there, set [osmosdest] "
        "shared_storage = True."
    )


def test_what_is_shared_passes(executor):
    executor("LocalExecutor")
    check_shared(Path("/srv/osmosdest"), "nothing is found again")
