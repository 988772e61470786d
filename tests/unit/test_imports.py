"""The arrows of docs/architecture.md: which room may import which, and what an import may not load."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

import airflow_provider_osmosdest

PACKAGE = "airflow_provider_osmosdest"
ROOT = Path(airflow_provider_osmosdest.__file__).parent

# Each room, and the rooms its modules import beside their own, for types alone too. A room that is not here may not
# exist. Beside its sub-rooms, a room has modules that those sub-rooms need: each of these is a room of its own here.
ARROWS: dict[str, set[str]] = {
    "": set(),
    "cli": {
        "core.delivery",
        "core.delivery.ledger",
        "core.delivery.model",
        "core.delivery.options",
        "core.errors",
        "core.mailbox",
        "core.mailbox.cursor",
        "core.mailbox.mailbox",
        "core.mailbox.retention",
        "core.records",
        "core.schema",
        "core.schema.importing",
        "core.seen",
        "get_provider_info",
        "hooks",
        "hooks.connections",
        "operators",
        "settings",
        "web",
    },
    "core": set(),
    "core.delivery": {
        "core.delivery.endpoint",
        "core.delivery.flow",
        "core.delivery.ledger",
        "core.delivery.model",
        "core.delivery.options",
        "core.delivery.progress",
        "core.delivery.report",
        "core.delivery.responses",
        "core.delivery.sending",
        "core.errors",
        "core.http",
        "core.records",
        "core.schema.validation",
        "core.seen",
        "core.storage",
    },
    "core.delivery.batching": {"core.delivery.envelope", "core.delivery.ledger", "core.http"},
    "core.delivery.endpoint": {"core.errors", "core.http", "core.schema.validation"},
    "core.delivery.envelope": {"core.errors"},
    "core.delivery.flow": {"core.delivery.options", "core.delivery.responses", "core.errors", "core.http"},
    "core.delivery.ledger": {
        "core.delivery.report",
        "core.delivery.responses",
        "core.errors",
        "core.http",
        "core.schema.validation",
        "core.seen",
        "core.storage",
    },
    "core.delivery.model": {
        "core.delivery.ledger",
        "core.delivery.options",
        "core.delivery.report",
        "core.errors",
        "core.http",
        "core.schema",
        "core.seen",
        "core.storage",
    },
    "core.delivery.options": {"core.delivery.envelope", "core.errors", "core.http", "core.seen"},
    "core.delivery.parts": {
        "core.delivery.ledger",
        "core.delivery.report",
        "core.errors",
        "core.records.parts",
        "core.seen",
        "core.storage",
    },
    "core.delivery.progress": {"core.delivery.report"},
    "core.delivery.report": {"core.errors", "core.storage"},
    "core.delivery.responses": {"core.http"},
    "core.delivery.sending": {
        "core.delivery.batching",
        "core.delivery.endpoint",
        "core.delivery.envelope",
        "core.delivery.flow",
        "core.delivery.ledger",
        "core.delivery.model",
        "core.delivery.options",
        "core.delivery.progress",
        "core.delivery.responses",
        "core.errors",
        "core.http",
        "core.schema.validation",
        "core.seen",
    },
    "core.errors": set(),
    "core.http": {"core.errors"},
    "core.http.transports": {"core.errors", "core.http"},
    "core.mailbox": {"core.errors", "core.mailbox.cursor"},
    "core.mailbox.cursor": {"core.errors"},
    "core.mailbox.inbox": {
        "core.errors",
        "core.http",
        "core.mailbox.mailbox",
        "core.mailbox.settings",
        "core.mailbox.store",
        "core.records.input",
        "core.records.readers",
        "core.records.streams",
        "core.schema",
        "core.schema.validation",
    },
    "core.mailbox.log": {"core.errors", "core.mailbox.cursor", "core.mailbox.store"},
    "core.mailbox.mailbox": {
        "core.errors",
        "core.mailbox",
        "core.mailbox.cursor",
        "core.mailbox.inbox",
        "core.mailbox.log",
        "core.mailbox.settings",
        "core.mailbox.store",
    },
    "core.mailbox.retention": {"core.errors", "core.mailbox.log", "core.mailbox.mailbox", "core.mailbox.store"},
    "core.mailbox.settings": {"core.errors", "core.mailbox", "core.schema"},
    "core.mailbox.store": {"core.errors", "core.storage"},
    "core.records": {
        "core.errors",
        "core.records.input",
        "core.records.readers",
        "core.records.rows",
        "core.schema.schema",
        "core.schema.validation",
    },
    "core.records.input": {"core.errors", "core.records.streams"},
    "core.records.parts": {
        "core.errors",
        "core.records",
        "core.records.input",
        "core.records.readers",
        "core.records.streams",
        "core.schema.validation",
    },
    "core.records.readers": {
        "core.errors",
        "core.records.input",
        "core.records.rows",
        "core.records.streams",
        "core.schema.validation",
    },
    "core.records.rows": {"core.errors", "core.schema.validation"},
    "core.records.streams": {"core.errors"},
    "core.schema": {
        "core.errors",
        "core.schema.fields",
        "core.schema.record_schema",
        "core.schema.schema",
        "core.schema.types",
        "core.schema.validation",
    },
    "core.schema.fields": {"core.schema.types"},
    "core.schema.importing": {"core.errors", "core.schema.fields", "core.schema.schema", "core.schema.types"},
    "core.schema.record_schema": {"core.errors", "core.schema.fields", "core.schema.types"},
    "core.schema.schema": {"core.errors", "core.schema", "core.schema.fields"},
    "core.schema.types": {"core.schema.fields"},
    "core.schema.validation": {
        "core.schema.fields",
        "core.schema.record_schema",
        "core.schema.schema",
        "core.schema.types",
    },
    "core.seen": {"core.errors", "core.schema", "core.storage"},
    "core.source": {
        "core.delivery",
        "core.delivery.ledger",
        "core.delivery.model",
        "core.delivery.options",
        "core.delivery.report",
        "core.errors",
        "core.http",
        "core.schema",
        "core.schema.validation",
        "core.seen",
        "core.source.fetching",
        "core.source.incremental",
        "core.source.paging",
        "core.storage",
        "core.whole_numbers",
    },
    "core.source.fetching": {"core.delivery.options", "core.errors", "core.http"},
    "core.source.incremental": {"core.errors"},
    "core.source.paging": {"core.errors", "core.http", "core.source.fetching"},
    "core.storage": {"core.errors"},
    "core.whole_numbers": {"core.errors"},
    "decorators": {"operators"},
    "get_provider_info": set(),
    "hooks": {
        "core.delivery.envelope",
        "core.delivery.ledger",
        "core.delivery.model",
        "core.delivery.options",
        "core.errors",
        "core.http",
        "core.http.transports",
        "core.mailbox.cursor",
        "core.mailbox.log",
        "core.mailbox.mailbox",
        "core.mailbox.retention",
        "core.mailbox.store",
        "core.records",
        "core.records.input",
        "core.schema",
        "core.seen",
        "core.source",
        "core.source.fetching",
        "core.source.incremental",
        "core.source.paging",
        "core.storage",
        "core.whole_numbers",
        "hooks.connections",
        "settings",
    },
    "hooks.connections": {
        "core.delivery",
        "core.delivery.model",
        "core.delivery.options",
        "core.errors",
        "core.http",
        "core.mailbox",
        "core.mailbox.settings",
        "core.records",
        "hooks",
        "settings",
    },
    "operators": {
        "core.delivery",
        "core.delivery.ledger",
        "core.delivery.model",
        "core.delivery.options",
        "core.delivery.parts",
        "core.delivery.report",
        "core.errors",
        "core.mailbox.log",
        "core.mailbox.mailbox",
        "core.mailbox.store",
        "core.records",
        "core.records.input",
        "core.records.parts",
        "core.source",
        "core.storage",
        "core.whole_numbers",
        "hooks",
    },
    "sensors": {"core.errors", "core.whole_numbers", "triggers"},
    "settings": {"core.errors"},
    "testing": {
        "core.errors",
        "core.http",
        "core.mailbox.mailbox",
        "core.mailbox.settings",
        "core.mailbox.store",
        "core.records",
        "core.schema.validation",
    },
    "triggers": {"core.mailbox.cursor", "core.mailbox.log", "core.mailbox.mailbox", "hooks"},
    "web": {
        "core.errors",
        "core.http",
        "core.mailbox",
        "core.mailbox.cursor",
        "core.mailbox.inbox",
        "core.mailbox.log",
        "core.mailbox.mailbox",
        "core.mailbox.settings",
        "core.mailbox.store",
        "core.schema",
        "hooks",
        "hooks.connections",
        "web.http",
        "web.routes",
    },
    "web.http": {"core.errors", "web"},
    "web.routes": {
        "core.mailbox",
        "core.mailbox.cursor",
        "core.mailbox.inbox",
        "core.mailbox.log",
        "core.mailbox.mailbox",
        "core.mailbox.settings",
        "web",
        "web.http",
    },
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
    "redis",
    "zstandard",
)
NOT_IN_CORE = ("airflow", "fastapi", "starlette")

# What a DAG file or the command line's parser imports.
PARSED_WITH_A_DAG = {"hooks", "operators", "sensors", "triggers", "decorators", "cli"}

# Imported when a delivery starts and not before; the tests of the rooms that import it would see it otherwise.
IMPORTED_WHEN_RUN = {
    f"{PACKAGE}.core.http.transports.curl",
    f"{PACKAGE}.core.http.transports.curl_errors",
    f"{PACKAGE}.cli.commands",
    f"{PACKAGE}.cli.connection_test",
    f"{PACKAGE}.cli.delivery",
    f"{PACKAGE}.cli.ledgers",
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
    while inside and inside not in ARROWS:
        inside = inside.rpartition(".")[0]
    return inside


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
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES.values()}
    assert folders <= set(ARROWS)


def test_every_arrow_is_on_the_map():
    used: dict[str, set[str]] = {room: set() for room in ARROWS}
    for found in IMPORTS:
        # Any room may read the version.
        if _is_ours(found.imported) and (room := _room(found.imported)) not in ("", _room(found.importer)):
            used[_room(found.importer)].add(room)
    assert used == ARROWS, "either an import is wrong, or ARROWS and docs/architecture.md are to be changed together"


def test_core_stands_alone():
    strange = [
        str(found)
        for found in IMPORTS
        if _room(found.importer).startswith("core") and found.imported.split(".")[0] in NOT_IN_CORE
    ]
    assert strange == []


def test_no_module_needs_itself():
    """Not even for its types: what two modules need of each other belongs into a third."""
    graph = {module: {i.imported for i in IMPORTS if i.importer == module} - {module} for module in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


def test_provider_info_imports_nothing():
    loaded = _loaded_by(f"import {PACKAGE}.get_provider_info") - _loaded_by("pass")
    assert loaded <= {"__future__", PACKAGE, f"{PACKAGE}.get_provider_info"}


def test_core_loads_neither_airflow_nor_anything_heavy():
    core = [module for module in MODULES if _room(module).startswith("core") and module not in IMPORTED_WHEN_RUN]
    loaded = _loaded_by("\n".join(f"import {module}" for module in core))
    assert loaded & {*NOT_IN_CORE, *HEAVY} == set()


# Polls that are shared came with Airflow 3.3, whose triggerer alone imports this.
NOT_HERE = set() if find_spec("airflow.triggers.shared_stream") else {f"{PACKAGE}.triggers.shared"}

ROOMS = {
    room: [module for module in MODULES if _room(module) == room and module not in IMPORTED_WHEN_RUN | NOT_HERE]
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
