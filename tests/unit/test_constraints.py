"""The files of pinned versions have what ``pyproject.toml`` asks for, and the floor has the least of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(name):
    """Return the version of each package that a file of constraints pins, by its canonical name."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all([each.operator for each in requirement.specifier] == ["=="] for requirement in found)
    return {canonicalize_name(each.name): Version(str(each.specifier).removeprefix("==")) for each in found}


def asked(*extras):
    """Return what the package and some extras, with the extras in them, ask for."""
    todo, found = [*PROJECT["dependencies"]], []
    for extra in extras:
        todo += EXTRAS[extra]
    while todo:
        requirement = Requirement(todo.pop())
        if requirement.name == PROJECT["name"]:
            todo += [each for extra in sorted(requirement.extras) for each in EXTRAS[extra]]
        else:
            found.append(requirement)
    return found


FLOOR = pins("constraints-3.2.txt")


@pytest.mark.parametrize("requirement", asked("all", "test"), ids=lambda requirement: requirement.name)
def test_the_floor_has_the_lower_bound(requirement):
    (bound,) = [each.version for each in requirement.specifier if each.operator == ">="]
    assert FLOOR[canonicalize_name(requirement.name)] == Version(bound)


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_the_checkout_is_built_with_is_pinned(extra):
    pinned = pins("constraints.txt")
    wanted = {canonicalize_name(each.name): each.specifier for each in asked(extra)}
    assert [name for name, specifier in wanted.items() if pinned.get(name) not in specifier] == []


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-3.2.txt"])
def test_no_index_is_named(name):
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())
