"""Measured numbers in the documentation are written by the program that measured them."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks.figures import (
    BENCHMARKS_PAGE,
    RELIABILITY_PAGE,
    ROOT,
    SCALING_PAGE,
    Place,
    measured_on,
    places,
    show,
    write,
)

PAGES = [BENCHMARKS_PAGE, RELIABILITY_PAGE, SCALING_PAGE]
# A table of numbers: in Markdown with a column aligned right, in plain text with a line of dashes.
TABLE = re.compile(r"^(\|.*---:.*\||-{3,}(  +-{3,})+)$", re.MULTILINE)
HERE = "<!-- figures: here, by benchmarks/run.py --only ours -->"
THERE = "<!-- figures: there, by benchmarks/run.py -->"
END = "<!-- end of figures -->"


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "benchmarks" / "run.py"), "--only", "ours", "--write"])
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{HERE}\n\nold\n\n{END}\n\nBetween.\n\n{THERE}\n\nolder\n\n{END}\n\nBelow.\n", "utf-8")
    return path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_table_of_numbers_stands_where_a_program_writes_it(page):
    text = page.read_text("utf-8")
    found = places(page)
    assert len({place.name for place in found}) == len(found) == text.count(END) == text.count("<!-- figures: ")
    assert sum(len(TABLE.findall(place.text)) for place in found) == len(TABLE.findall(text)) > 0
    for place in found:
        program = (ROOT / place.called.split()[0]).read_text("utf-8")
        assert "show(" in program
        assert '"--write"' in program
        family = place.name.rpartition("-")[0]
        assert f'"{place.name}"' in program or f'f"{family}-{{' in program, place.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_table_says_what_it_was_measured_on(page):
    measured = re.compile(r"Measured on .+; commit [0-9a-f]{7}( with changes)?, \d{4}-\d\d-\d\d\.\n\n\Z")
    assert not [place.name for place in places(page) if not measured.search(place.text)]


def test_only_the_figures_of_that_name_are_replaced(page):
    before = page.read_text("utf-8")
    show("here", "new", write_to=page)
    here, there = places(page)
    assert here.text.startswith("\n```text\nnew\n```\n\nMeasured on ")
    assert there.text == "\nolder\n\n"
    assert page.read_text("utf-8").replace(here.text, "\nold\n\n") == before


def test_how_the_program_was_called_is_noted(page, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "benchmarks" / "seen.py"), "--write", "--keys", "20", "--of", "a b"])
    show("there", "new", write_to=page)
    here, there = places(page)
    assert there.called == "benchmarks/seen.py --keys 20 --of 'a b'"
    assert here == Place("here", "benchmarks/run.py --only ours", "\nold\n\n")


def test_a_table_in_markdown_stays_one(page):
    show("there", "| a |\n|---|\n| 1 |", about="1 run.", write_to=page)
    assert places(page)[1].text.startswith("\n| a |\n|---|\n| 1 |\n\n1 run. Measured on ")


def test_writing_again_what_is_there_changes_nothing(page):
    for name in ("here", "there"):
        show(name, "| a |\n|---|\n| 1 |", write_to=page)
    once = page.read_text("utf-8")
    show("here", "| a |\n|---|\n| 1 |", write_to=page)
    assert page.read_text("utf-8") == once


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_writing_what_the_page_holds_changes_nothing(page, tmp_path):
    copy = tmp_path / page.name
    copy.write_text(page.read_text("utf-8"), "utf-8")
    for place in places(page):
        write(copy, place)
    assert copy.read_text("utf-8") == page.read_text("utf-8")


def test_figures_without_a_place_are_an_error_that_says_how_to_make_one(page):
    with pytest.raises(
        LookupError, match=r"page\.md has 0 places for the figures 'nowhere'.*<!-- figures: nowhere, by"
    ):
        show("nowhere", "new", write_to=page)


def test_the_machine_is_told_without_its_name_or_a_path():
    told = measured_on(["pydantic", "no-such-package"])
    machine = r"[^/]+, \d+ cores, \d+ GiB of memory, a load of \d+, \w+ [\d.]+"
    assert re.match(rf"Measured on {machine}, \w+ 3\.[\d.]+, pydantic [\d.]+; commit ", told)
