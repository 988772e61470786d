"""
Figures in the documentation: written by the program that measured them, with the machine and the commit.

A page marks where they stand by name. What writes them notes there how it was called, but for ``--write``, so that a
run with less than by default shows:

    <!-- figures: kills-airflow, by tests/integration/kills/hundred.py --airflow --runs 12 -->
    ...
    <!-- end of figures -->
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS_PAGE = ROOT / "docs" / "benchmarks.md"
RELIABILITY_PAGE = ROOT / "docs" / "reliability.md"
SCALING_PAGE = ROOT / "docs" / "scaling.md"

_PLACE = re.compile(
    r"^<!-- figures: (?P<name>[\w-]+), by (?P<called>[^\n]+) -->\n(?P<text>.*?)^<!-- end of figures -->$",
    re.MULTILINE | re.DOTALL,
)


class Place(NamedTuple):
    """Where figures stand in a page: their name, how the program was called that wrote them, and what it wrote."""

    name: str
    called: str
    text: str


def places(page: Path) -> list[Place]:
    """Return where a page has figures, from top to bottom."""
    return [Place(*found.group("name", "called", "text")) for found in _PLACE.finditer(page.read_text("utf-8"))]


def show(name: str, text: str, *, about: str = "", packages: Sequence[str] = (), write_to: Path | None = None) -> None:
    """
    Print figures and what they were measured on, and write both into a page where one is named.

    :param name: of the place in the page
    :param text: a table, in Markdown where it begins with ``|``, and plain text otherwise
    :param about: a line about how much was measured, for below the table
    :param packages: whose versions count
    """
    measured = f"{about} {measured_on(packages)}".strip()
    print(f"{text}\n\n{measured}\n", flush=True)
    if write_to is not None:
        shown = text if text.startswith("|") else f"```text\n{text}\n```"
        write(write_to, Place(name, _called(), f"\n{shown}\n\n{measured}\n\n"))


def write(page: Path, new: Place) -> None:
    """
    Replace the figures of one name in a page, and nothing else.

    :raises LookupError: when the page has no place for them, or more than one
    """
    old = page.read_text("utf-8")
    found = [place for place in _PLACE.finditer(old) if place["name"] == new.name]
    if len(found) != 1:
        raise LookupError(
            f"{page.name} has {len(found)} places for the figures {new.name!r}, expected one. Mark it with "
            f"'<!-- figures: {new.name}, by PROGRAM -->' and '<!-- end of figures -->', each on a line of its own"
        )
    (called, called_end), (text, text_end) = found[0].span("called"), found[0].span("text")
    page.write_text(old[:called] + new.called + old[called_end:text] + new.text + old[text_end:], "utf-8")


def measured_on(packages: Sequence[str] = ()) -> str:
    """Return a line about the machine, how busy it is, Python, the versions of packages, commit and day."""
    found = [
        _processor(),
        f"{os.cpu_count()} cores",
        f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB of memory",
        f"a load of {os.getloadavg()[0]:.0f}",
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"{platform.python_implementation()} {platform.python_version()}",
        *(each for package in packages if (each := _installed(package))),
    ]
    return f"Measured on {', '.join(found)}; commit {_commit()}, {datetime.now(UTC):%Y-%m-%d}."


def _called() -> str:
    program, *options = sys.argv
    name = Path(program).resolve().relative_to(ROOT).as_posix()
    return shlex.join([name, *(option for option in options if option != "--write")])


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Return the processor's name, where Linux tells it, and else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """Return the commit that is checked out, and whether the code is another by now."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], check=True, capture_output=True, text=True)
        code = ["airflow_provider_osmosdest", "benchmarks", "tests"]
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *code], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + (" with changes" if changed else "")
