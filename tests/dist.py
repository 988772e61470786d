"""
Build the distribution into ``dist``, check it, and deliver with it: ``make dist``.

The wheel is built twice, from the source distribution and from the checkout, and has to come out the same: so the
source distribution is complete, and a build can be repeated. Then the wheel is installed without extras into a new
environment, at the versions of ``constraints.txt``, and delivers.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

from tests.one_delivery import deliver_with

__all__ = ["faults_of_metadata", "faults_of_sdist", "faults_of_wheel"]

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_osmosdest"

# What Airflow's registry of providers, and Airflow itself, find the package by.
_CLASSIFIERS = ("Framework :: Apache Airflow", "Framework :: Apache Airflow :: Provider")
_ENTRY_POINTS = ("[apache_airflow_provider]", "[airflow.plugins]")
_OF_THE_PACKAGE = (f"{PACKAGE}/get_provider_info.py", f"{PACKAGE}/py.typed")
_OF_THE_METADATA = ("METADATA", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
_MACHINE_PATH = re.compile(rb"(?<![\w/.:-])/(?:home|root|Users|work)/[\w.-]+")

# What Airflow makes of the package that is installed; the schema is the one that Airflow itself validates with.
_AS_INSTALLED = """
import json, sys, jsonschema
from importlib import metadata
from pathlib import Path
import airflow, airflow_provider_osmosdest
from airflow.providers_manager import ProvidersManager
assert airflow_provider_osmosdest.__file__.startswith(sys.prefix), airflow_provider_osmosdest.__file__
(entry,) = metadata.distribution("airflow-provider-osmosdest").entry_points.select(group="apache_airflow_provider")
schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text("utf-8"))
jsonschema.validate(entry.load()(), schema)
found = ProvidersManager().providers["airflow-provider-osmosdest"]
print("Airflow", airflow.__version__, "finds the provider", found.version)
"""


def faults_of_wheel(names: set[str], info: str) -> list[str]:
    """
    Return what is wrong with the files of a wheel.

    :param names: of its files
    :param info: the name of its folder with metadata
    """
    strange = sorted(name for name in names if not name.startswith((f"{PACKAGE}/", f"{info}/")))
    strange += sorted(name for name in names if "__pycache__" in name)
    needed = {*_OF_THE_PACKAGE, *(f"{info}/{name}" for name in _OF_THE_METADATA)}
    return [f"the wheel has {name}, which is not of the package" for name in strange] + [
        f"the wheel lacks {name}" for name in sorted(needed - names)
    ]


def faults_of_sdist(names: set[str], tracked: set[str]) -> list[str]:
    """
    Return what is wrong with the files of a source distribution.

    :param names: of its files, without the folder that they are in
    :param tracked: the files that Git has
    """
    return [f"the source distribution has {name}, which Git has not" for name in sorted(names - tracked - {"PKG-INFO"})]


def faults_of_metadata(metadata: bytes, entry_points: str) -> list[str]:
    """Return what Airflow's registry of providers would miss."""
    fields = message_from_bytes(metadata)
    found = fields.get_all("Classifier", [])
    faults = [f"the metadata lacks the classifier {name!r}" for name in _CLASSIFIERS if name not in found]
    faults += [f"the metadata lacks {name}" for name in ("Requires-Python", "License-Expression") if name not in fields]
    if fields.get("Description-Content-Type") != "text/markdown":
        faults.append("the metadata has no README in Markdown")
    return faults + [f"the wheel has no entry point under {name}" for name in _ENTRY_POINTS if name not in entry_points]


def _run(*words: str | Path, **more: str) -> str:
    done = subprocess.run(words, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, check=False)
    if done.returncode:
        command = " ".join(map(str, words))
        raise SystemExit(f"{done.stdout}{done.stderr}error: {command}: found exit code {done.returncode}, expected 0")
    return done.stdout


def _build(folder: Path, *kinds: str) -> Path:
    """Build into a folder, at the pinned version of the build backend, and return the wheel."""
    # The time of the commit, not of the build.
    commit = _run("git", "log", "-1", "--format=%ct").strip()
    pinned = {"SOURCE_DATE_EPOCH": commit, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    _run(sys.executable, "-m", "build", "--outdir", folder, *kinds, ROOT, **pinned)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _check(wheel: Path, sdist: Path) -> None:
    """Look into both archives, and end where something is wrong with them."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        faults = faults_of_wheel(names, info)
        for name in sorted(names):
            faults += [
                f"the wheel's {name} names the path {path}" for path in _MACHINE_PATH.findall(archive.read(name))
            ]
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        faults += faults_of_metadata(archive.read(f"{info}/METADATA"), entry_points)
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    faults += faults_of_sdist(names, set(_run("git", "ls-files", "-z").split("\0")))
    if faults:
        raise SystemExit("\n".join(f"error: {fault}" for fault in faults))


def main() -> None:
    """Build, check, install and deliver."""
    dist = ROOT / "dist"
    for old in dist.glob("*"):
        old.unlink()
    print("==> building", dist.relative_to(ROOT))
    wheel = _build(dist)
    (sdist,) = dist.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        again = _build(Path(folder), "--wheel")
        if again.read_bytes() != wheel.read_bytes():
            raise SystemExit("error: the wheels built from the source distribution and from the checkout differ")
    print("==> checking", wheel.name, "and", sdist.name)
    _run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    _check(wheel, sdist)
    with tempfile.TemporaryDirectory() as folder:
        print("==> installing the wheel without extras into a new environment (a minute)")
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        _run(python, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", wheel)
        _run(python, "-m", "pip", "check")
        home = {"AIRFLOW_HOME": str(Path(folder) / "airflow"), "PYTHONPATH": ""}
        print(_run(python, "-P", "-c", _AS_INSTALLED, **home).splitlines()[-1])
        print("==> delivering five records with it")
        print(deliver_with(Path(folder)))
    print(f"Ready to be uploaded: {wheel.relative_to(ROOT)} and {sdist.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
