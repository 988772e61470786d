"""What stands in the pages of ``docs``: their commands, each with the output that the page shows below it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["DOCS", "Shown", "commands_of", "fenced", "missing_line", "section"]

DOCS = Path(__file__).parents[1] / "docs"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Shown(NamedTuple):
    """Commands of one block, and the lines that the page shows as their output."""

    commands: str
    output: list[str]


def fenced(text: str, language: str) -> list[str]:
    """Return the blocks of a language."""
    return [code for found, code in _FENCE.findall(text) if found == language]


def section(page: str, heading: str) -> str:
    """Return the text below a heading of the second level, up to the next one."""
    text = (DOCS / page).read_text("utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def commands_of(page: str) -> list[Shown]:
    """Return the blocks ``sh`` of a page in order, each with the block ``text`` that follows it, if one does."""
    blocks: list[Shown] = []
    for language, code in _FENCE.findall((DOCS / page).read_text("utf-8")):
        if language == "sh":
            blocks.append(Shown(code, []))
        elif language == "text":
            blocks[-1].output.extend(code.splitlines())
    return blocks


def missing_line(shown: list[str], printed: str) -> str | None:
    """
    Return the first line that a page shows and a command has not printed, ``None`` where it has printed them all.

    :param shown: lines in their order; ``…`` is any text, ``...`` any lines, and others may stand between
    :param printed: what the command has printed
    """
    lines = iter(printed.splitlines())
    for line in shown:
        if line == "...":
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        if not any(pattern.fullmatch(each.rstrip()) for each in lines):
            return line
    return None
