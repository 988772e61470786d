"""The arrows of docs/architecture.md: which room may import which, and what an import may not load."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import airflow_provider_osmosdest

PACKAGE = "airflow_provider_osmosdest"
ROOT = Path(airflow_provider_osmosdest.__file__).parent

CORE = {
    "core.errors",
    "core.storage",
    "core.webhooks",
    "core.schema",
    "core.records",
    "core.seen",
    "core.delivery",
    "core.mailbox",
    "core.source",
}

# Each room, and the rooms it may import besides itself. A room that is not here may not exist.
ARROWS: dict[str, set[str]] = {
    "": set(),
    "get_provider_info": set(),
    "settings": set(),
    "core": set(),
    "core.errors": set(),
    "core.storage": {"core.errors"},
    "core.webhooks": set(),
    "core.schema": {"core.errors"},
    "core.records": {"core.errors", "core.schema"},
    "core.seen": {"core.errors", "core.schema", "core.storage"},
    "core.delivery": {"core.errors", "core.schema", "core.records", "core.seen", "core.storage", "core.webhooks"},
    "core.mailbox": {"core.errors", "core.schema", "core.records", "core.seen", "core.storage", "core.webhooks"},
    "core.source": {"core.errors", "core.schema", "core.records", "core.seen", "core.delivery", "core.storage"},
    "hooks": CORE | {"settings"},
    "operators": CORE | {"hooks"},
    # A sensor hands its wait over to a trigger.
    "sensors": CORE | {"hooks", "triggers"},
    "triggers": CORE | {"hooks"},
    "decorators": CORE | {"hooks", "operators"},
    "web": CORE | {"hooks", "settings"},
    "cli": CORE | {"get_provider_info", "hooks", "settings", "web"},
    "testing": CORE,
}

# What a DAG file would pay for on every parse, and what a core that stands alone has no business with.
HEAVY = (
    "dlt",
    "fastapi",
    "jmespath",
    "openpyxl",
    "pandas",
    "pyarrow",
    "pycurl",
    "python_calamine",
    "zstandard",
)
NOT_IN_CORE = ("airflow", "fastapi", "starlette")

# What a DAG file or the command line's parser imports.
PARSED_WITH_A_DAG = {"hooks", "operators", "sensors", "triggers", "decorators", "cli"}

# Imported when a delivery starts and not before; the tests of the rooms that import it would see it otherwise.
IMPORTED_WHEN_RUN = {
    f"{PACKAGE}.core.delivery.curl",
    f"{PACKAGE}.core.delivery.curl_errors",
    f"{PACKAGE}.cli.commands",
    f"{PACKAGE}.cli.seen",
    f"{PACKAGE}.cli.serve",
}


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    line: int
    at_load: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def _runs_at_load(tree: ast.Module) -> set[ast.stmt]:
    """Every statement that runs when the module is loaded: not in a function, not under TYPE_CHECKING."""
    found: set[ast.stmt] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.stmt):
            found.add(node)
        waiting.extend(ast.iter_child_nodes(node))
    return found


def _imports(module: str) -> list[Import]:
    path = MODULES[module]
    tree = ast.parse(path.read_text("utf-8"))
    at_load = _runs_at_load(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
            # `from package import module` imports the module.
            names = [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]
        else:
            continue
        found.extend(Import(module, name, node.lineno, node in at_load) for name in names)
    return found


IMPORTS = [found for module in MODULES for found in _imports(module)]


def _room(module: str) -> str:
    inside = module.removeprefix(PACKAGE).removeprefix(".")
    parts = inside.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def _is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


@functools.cache
def _loaded_by(code: str) -> frozenset[str]:
    """Run the code in a fresh interpreter and return what is in its ``sys.modules`` then."""
    script = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def test_every_room_is_on_the_map():
    assert {_room(module) for module in MODULES} <= set(ARROWS)


def test_every_arrow_is_on_the_map():
    strange = [
        str(found)
        for found in IMPORTS
        if _is_ours(found.imported)
        # Anybody may read the version.
        and _room(found.imported) not in {"", _room(found.importer), *ARROWS.get(_room(found.importer), set())}
    ]
    assert strange == [], "either the import is wrong, or ARROWS and docs/architecture.md are to be changed together"


def test_core_stands_alone():
    strange = [
        str(found)
        for found in IMPORTS
        if _room(found.importer).startswith("core") and found.imported.split(".")[0] in NOT_IN_CORE
    ]
    assert strange == []


def test_no_module_needs_itself():
    graph = {module: {i.imported for i in IMPORTS if i.importer == module and i.at_load} for module in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


def test_provider_info_imports_nothing():
    loaded = _loaded_by(f"import {PACKAGE}.get_provider_info") - _loaded_by("pass")
    assert loaded <= {"__future__", PACKAGE, f"{PACKAGE}.get_provider_info"}


def test_core_loads_neither_airflow_nor_anything_heavy():
    core = [module for module in MODULES if _room(module).startswith("core") and module not in IMPORTED_WHEN_RUN]
    loaded = _loaded_by("\n".join(f"import {module}" for module in core))
    assert loaded & {*NOT_IN_CORE, *HEAVY} == set()


ROOMS = {
    room: [module for module in MODULES if _room(module) == room and module not in IMPORTED_WHEN_RUN]
    for room in sorted({_room(module) for module in MODULES} & PARSED_WITH_A_DAG)
}

# Airflow and its HTTP provider take seconds to import and are paid for already, whatever they load. So one interpreter
# imports them, and each room is imported by a copy of it.
IN_COPIES = """
import importlib, json, os, sys
import airflow.sdk, airflow.cli.cli_config
import airflow.providers.http.hooks.http, airflow.providers.http.operators.http
before = set(sys.modules)
for room, modules in json.loads(sys.argv[1]).items():
    copy = os.fork()
    if not copy:
        for module in modules:
            importlib.import_module(module)
        print("\\n" + json.dumps([room, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    if os.waitpid(copy, 0)[1]:
        sys.exit(f"{room} cannot be imported")
"""


@pytest.fixture(scope="module")
def loaded_by_rooms():
    command = [sys.executable, "-c", IN_COPIES, json.dumps(ROOMS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["'))


@pytest.mark.parametrize("room", ROOMS)
def test_a_dag_file_loads_nothing_heavy(room, loaded_by_rooms):
    assert set(ROOMS[room]) <= set(loaded_by_rooms[room])
    assert set(HEAVY).isdisjoint(loaded_by_rooms[room])
