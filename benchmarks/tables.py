"""Plain-text tables, and a line about the machine they were made on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-http",
    "pydantic",
    "msgspec",
    "pycurl",
    "requests",
    "dlt",
    "drt-core",
)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is aligned left, the others right."""
    widths = [max(len(row[number]) for row in [heads, *rows]) for number in range(len(heads))]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def machine() -> str:
    """Describe machine and versions in a few lines."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    system = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return f"machine: {system}, {platform.python_implementation()} {platform.python_version()}\n{', '.join(found)}"
