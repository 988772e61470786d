"""What ``make dist`` finds wrong with a distribution."""

from __future__ import annotations

from tests.dist import faults_of_metadata, faults_of_sdist, faults_of_wheel

INFO = "airflow_provider_osmosdest-1.0.0.dist-info"
OF_THE_METADATA = {"METADATA", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
PACKAGE = {"__init__.py", "get_provider_info.py", "py.typed", "testing/servers.py"}
WHEEL = {f"airflow_provider_osmosdest/{name}" for name in PACKAGE} | {f"{INFO}/{name}" for name in OF_THE_METADATA}
METADATA = b"""\
Metadata-Version: 2.4
Classifier: Framework :: Apache Airflow
Classifier: Framework :: Apache Airflow :: Provider
License-Expression: Apache-2.0
Requires-Python: >=3.11
Description-Content-Type: text/markdown

# Title
"""
ENTRY_POINTS = "[airflow.plugins]\na = b:C\n\n[apache_airflow_provider]\nd = e:f\n"


def test_nothing_is_wrong():
    assert faults_of_wheel(WHEEL, INFO) == []
    assert faults_of_sdist({"PKG-INFO", "README.md"}, {"README.md", "tests/dist.py"}) == []
    assert faults_of_metadata(METADATA, ENTRY_POINTS) == []


def test_a_wheel_has_the_package_and_nothing_else():
    strange = {"tests/dist.py", "airflow_provider_osmosdest/__pycache__/settings.cpython-311.pyc"}
    faults = faults_of_wheel((WHEEL | strange) - {f"{INFO}/licenses/NOTICE"}, INFO)
    assert [fault.split()[3].strip(",") for fault in faults] == [
        *sorted(strange, reverse=True),
        f"{INFO}/licenses/NOTICE",
    ]


def test_a_source_distribution_has_what_git_has():
    (fault,) = faults_of_sdist({"PKG-INFO", "README.md", "secret.env"}, {"README.md"})
    assert "secret.env" in fault


def test_the_registry_finds_what_it_looks_for():
    faults = faults_of_metadata(b"Metadata-Version: 2.4\n\n", "[console_scripts]\na = b:c\n")
    assert len(faults) == 7
    named = " ".join(faults)
    assert "'Framework :: Apache Airflow :: Provider'" in named
    assert "Requires-Python" in named
    assert "[apache_airflow_provider]" in named
