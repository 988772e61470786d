"""One public surface per module: ``__all__`` names all that has no underscore, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_provider_osmosdest

ROOT = Path(airflow_provider_osmosdest.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def _bound(node: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines; importing a name is not defining it."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign():
            return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.If() | ast.Try():
            return [
                name for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt) for name in _bound(child)
            ]
        case _:
            return []


@pytest.mark.parametrize("module", MODULES)
def test_all_is_what_is_public(module):
    tree = ast.parse((ROOT / module).read_text("utf-8"))
    declared: list[str] | None = None
    public: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            declared = ast.literal_eval(node.value)
        elif module.endswith("__init__.py") and isinstance(node, ast.ImportFrom) and node.module != "__future__":
            # A package's __init__ is the one place where importing a name is publishing it.
            public |= {alias.asname or alias.name for alias in node.names}
        else:
            public |= set(_bound(node))
    public = {name for name in public if not name.startswith("_")}
    assert declared is not None or not public, "there are public names and no __all__"
    # Ruff (RUF022) sees to the order.
    assert sorted(declared or []) == sorted(public)
