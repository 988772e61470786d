"""What ``make mutants`` is told still fits the code: renames are noticed now, and not when it is next run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants import PACKAGE, ROOT, listed_mutants, modules


def functions(path):
    """Return the lines of a module's functions by the names that they are listed under."""
    text = path.read_text()
    lines = [line.strip() for line in text.splitlines()]
    found = {}
    for node in ast.parse(text).body:
        owner = [node.name] if isinstance(node, ast.ClassDef) else []
        for each in node.body if owner else [node]:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found[".".join([path.stem, *owner, each.name])] = lines[each.lineno - 1 : each.end_lineno]
    return found


@pytest.mark.parametrize(("module", "tests"), modules().items())
def test_what_is_changed_and_its_tests_are_there(module, tests):
    assert [path for path in (f"{PACKAGE}/{module}", *tests) if not (ROOT / path).is_file()] == []


def test_what_is_listed_stands_in_the_code():
    known = {}
    for module in modules():
        known |= functions(Path(ROOT, PACKAGE, module))
    gone = [str(mutant) for mutant in listed_mutants() if not {*mutant.before} <= {*known.get(mutant.function, [])}]
    assert gone == [], "tests/mutants.txt: rename these, or take them out"
