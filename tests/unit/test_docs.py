"""
The documentation names what there is, and its examples run.

That its links lead somewhere, ``make docs`` sees to.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import shlex
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from airflow_provider_osmosdest.cli.definition import get_cli_commands
from airflow_provider_osmosdest.core import errors
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.report import DeliveryReport
from airflow_provider_osmosdest.core.records import FORMATS
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.core.schema.fields import FIELD_TYPES, UNKNOWN_FIELDS, Constraints
from airflow_provider_osmosdest.core.source.fetching.actions import ACTIONS
from airflow_provider_osmosdest.core.source.incremental.cursors import COMPARISONS
from airflow_provider_osmosdest.core.source.incremental.incremental import Incremental
from airflow_provider_osmosdest.core.source.paging.paginator import PAGINATORS
from airflow_provider_osmosdest.core.source.pull_runner import PullReport
from airflow_provider_osmosdest.core.source.selecting import ARRAY_AS
from airflow_provider_osmosdest.get_provider_info import get_provider_info
from airflow_provider_osmosdest.operators.http_destination import HttpDestinationOperator
from airflow_provider_osmosdest.operators.http_source import OUTPUTS, HttpSourceOperator
from airflow_provider_osmosdest.operators.mailbox import MailboxPublishOperator, MailboxReadOperator
from airflow_provider_osmosdest.sensors.mailbox import MailboxSensor
from airflow_provider_osmosdest.triggers.mailbox import MailboxEventTrigger, MailboxTrigger

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MAP = [DOCS / "architecture.md", *sorted((DOCS / "architecture").glob("*.md"))]
# Pages that are there for the site alone.
OF_THE_SITE = {DOCS / "index.md", DOCS / "contributing.md", DOCS / "changelog.md"}
PACKAGE = ROOT / "airflow_provider_osmosdest"
INFO = get_provider_info()
(OSMOS_HTTP,) = [kind for kind in INFO["connection-types"] if kind["connection-type"] == "osmos_http"]
(OSMOS_MAILBOX,) = [kind for kind in INFO["connection-types"] if kind["connection-type"] == "osmos_mailbox"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_MODULE = re.compile(r"`((?:cli|core|decorators|hooks|operators|sensors|testing|triggers|web)/[\w/]+\.py)`")
_PUBLIC = re.compile(r"from (airflow_provider_osmosdest[\w.]*) import")

# What ends a delivery, or keeps one from beginning, in the words of a user whose task failed.
_ENDINGS = [
    name
    for name in errors.__all__
    if not issubclass(getattr(errors, name), errors.TransportError) and not getattr(errors, name).__subclasses__()
]


def prose(page):
    """Return a page's text without its code blocks, in which a # is no heading."""
    return _FENCE.sub("", page.read_text("utf-8"))


def headings(page):
    return _HEADING.findall(prose(page))


def named(page):
    """Return what stands in code marks in the headings of a page."""
    return {name for heading in headings(page) for name in re.findall(r"`([^`]+)`", heading)}


def section(page, name):
    """Return the text under the heading that has a name in code marks, up to the next heading."""
    text = prose(page)
    heading = next(match for match in _HEADING.finditer(text) if f"`{name}`" in match[1])
    end = _HEADING.search(text, heading.end())
    return text[heading.end() : end.start() if end else None]


def blocks(page, language):
    return [code for found, code in _FENCE.findall(page.read_text("utf-8")) if found == language]


def all_blocks(language):
    return [
        pytest.param(code, id=f"{page.name}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, language))
    ]


def commands():
    """Return every command as its words and its parser arguments."""
    found = []

    def walk(node, words):
        words = (*words, node.name)
        if hasattr(node, "subcommands"):
            for each in node.subcommands:
                walk(each, words)
        else:
            found.append((words, node.args))

    for each in get_cli_commands():
        walk(each, ("airflow",))
    return found


def operator_parameters(operator=HttpDestinationOperator):
    signature = inspect.signature(operator.__init__)
    return [name for name, each in signature.parameters.items() if name != "self" and each.kind is not each.VAR_KEYWORD]


@pytest.mark.parametrize("name", INFO["config"]["osmosdest"]["options"])
def test_every_setting_has_a_heading(name):
    assert name in named(DOCS / "settings.md")


@pytest.mark.parametrize("name", ["host", "login", "password", *OSMOS_HTTP["conn-fields"], "verify", "cert", "proxies"])
def test_every_connection_field_has_a_heading(name):
    assert name in named(DOCS / "connection.md")


@pytest.mark.parametrize("name", OSMOS_HTTP["conn-fields"])
def test_every_connection_field_is_called_as_in_the_form(name):
    label = OSMOS_HTTP["conn-fields"][name]["label"]
    assert any(f"{label} (`{name}`)" == heading for heading in headings(DOCS / "connection.md"))


def test_every_field_of_a_mailbox_has_a_heading_and_is_called_as_in_the_form():
    labels = {"password": OSMOS_MAILBOX["ui-field-behaviour"]["relabeling"]["password"]}
    labels |= {name: spec["label"] for name, spec in OSMOS_MAILBOX["conn-fields"].items()}
    known = headings(DOCS / "mailbox-connection.md")
    assert [name for name, label in labels.items() if f"{label} (`{name}`)" not in known] == []


@pytest.mark.parametrize(
    ("kind", "page"), [(OSMOS_HTTP, "connection.md"), (OSMOS_MAILBOX, "mailbox-connection.md")], ids=["http", "mailbox"]
)
def test_the_form_and_its_page_have_one_order(kind, page):
    form = []
    for name, spec in kind["conn-fields"].items():
        form += [name] if form and spec["schema"]["section"] in form else [spec["schema"]["section"], name]
    found = [re.sub(r".*\(`(\w+)`\)$", r"\1", heading) for heading in headings(DOCS / page)]
    assert [heading for heading in found if heading in form] == form


@pytest.mark.parametrize(
    ("kind", "page"), [(OSMOS_HTTP, "connection.md"), (OSMOS_MAILBOX, "mailbox-connection.md")], ids=["http", "mailbox"]
)
def test_a_placeholder_says_what_the_page_says(kind, page):
    for name, text in kind["ui-field-behaviour"]["placeholders"].items():
        words = re.sub(r"\s+", " ", section(DOCS / page, name).replace("`", "")).lower()
        assert text.lower() in words, name


@pytest.mark.parametrize("name", sorted({*operator_parameters(), *DeliveryOptions.names()}))
def test_every_parameter_has_a_heading(name):
    assert name in named(DOCS / "destination.md")


@pytest.mark.parametrize(
    "made", [MailboxPublishOperator, MailboxReadOperator, MailboxSensor, MailboxTrigger, MailboxEventTrigger]
)
def test_every_parameter_has_a_line(made):
    text = section(DOCS / "mailbox-airflow.md", made.__name__)
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == operator_parameters(made)


@pytest.mark.parametrize("name", operator_parameters(HttpSourceOperator))
def test_every_parameter_of_the_source_has_a_heading(name):
    assert name in named(DOCS / "source.md")


def test_the_vocabulary_of_the_source_is_described():
    text = (DOCS / "source.md").read_text("utf-8")
    more = {each.name for each in fields(PullReport)} - {each.name for each in fields(DeliveryReport)}
    options = [each.name for each in fields(Incremental)]
    names = [*PAGINATORS, *options, *COMPARISONS, *ACTIONS, *ARRAY_AS, *OUTPUTS, *sorted(more)]
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("option", fields(DeliveryOptions), ids=lambda option: option.name)
def test_every_write_option_says_its_default(option):
    assert option.default is not MISSING
    text = re.sub(r"\s+", " ", section(DOCS / "destination.md", option.name))
    if option.default is None:
        assert "Default: none." in text
    else:
        plain = isinstance(option.default, (str, bool))
        value = option.default if plain else f"{option.default:,}".removesuffix(".0")
        assert f"Default: `{value}`." in text


@pytest.mark.parametrize(
    ("words", "args"), [pytest.param(words, args, id=" ".join(words)) for words, args in commands()]
)
def test_every_command_and_option_has_a_heading(words, args):
    known = named(DOCS / "command-line.md")
    assert " ".join(words) in known
    assert [flag for arg in args for flag in arg.flags if flag.startswith("-") and flag not in known] == []


@pytest.mark.parametrize("name", _ENDINGS)
def test_every_error_says_what_to_do_at_6_am(name):
    assert any(name in named(page) for page in DOCS.glob("*.md"))


def test_the_report_and_the_failure_record_are_described():
    text = (DOCS / "failures-and-reports.md").read_text("utf-8")
    record = ["index", "outcome", "status", "error", "attempts", "record"]
    missing = [name for name in [*(each.name for each in fields(DeliveryReport)), *record] if f"`{name}`" not in text]
    assert missing == []


def test_the_vocabulary_of_schemas_and_formats_is_described():
    known = named(DOCS / "schema.md")
    constraints = [each.name for each in fields(Constraints)]
    for name in (*FIELD_TYPES, *constraints, *(each.name for each in fields(DestinationSchema))):
        assert name in known, name
    text = (DOCS / "schema.md").read_text("utf-8")
    assert [name for name in UNKNOWN_FIELDS if f"`{name}`" not in text] == []
    text = (DOCS / "records.md").read_text("utf-8")
    assert [name for name in FORMATS if f"`{name}`" not in text] == []
    assert [suffix for each in FORMATS.values() for suffix in each.suffixes if f"`{suffix}`" not in text] == []


@pytest.mark.parametrize("page", sorted(set(DOCS.glob("*.md")) - OF_THE_SITE), ids=lambda page: page.name)
def test_the_readme_leads_to_every_page(page):
    assert f"docs/{page.name}" in (ROOT / "README.md").read_text("utf-8")


def test_the_reference_has_every_module_that_is_imported_from():
    shown = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    read = [*PAGES, *(ROOT / "example_dags").glob("*.py")]
    imported = {name for page in read for name in _PUBLIC.findall(page.read_text("utf-8"))}
    assert "airflow_provider_osmosdest.operators.http_destination" in imported
    assert sorted(name for name in imported if f".. automodule:: {name}\n" not in shown) == []


@pytest.mark.parametrize("page", MAP[1:], ids=lambda page: page.name)
def test_the_map_leads_to_every_page_of_a_room(page):
    assert f"(architecture/{page.name})" in MAP[0].read_text("utf-8")


def test_every_room_has_a_line_on_the_map():
    (tree,) = [block for block in blocks(MAP[0], "text") if block.startswith(f"{PACKAGE.name}/")]
    found = set()
    above = [""]
    for indent, names in re.findall(r"^( +)((?:\w+/ +)+)", tree, re.MULTILINE):
        above = above[: len(indent) // 2]
        rooms = ["/".join([*above[1:], name]) for name in re.findall(r"\w+", names)]
        found.update(rooms)
        above.append(rooms[-1].rpartition("/")[2])
    assert found == {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*/__init__.py")}


@pytest.mark.parametrize("page", MAP, ids=lambda page: page.name)
def test_every_module_that_the_map_names_exists(page):
    assert [name for name in _MODULE.findall(page.read_text("utf-8")) if not (PACKAGE / name).is_file()] == []


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text("utf-8"))}
    asked |= {name for page in PAGES for code in blocks(page, "sh") for name in re.findall(r"^make ([a-z-]+)", code)}
    assert {"demo", "test"} <= asked <= targets


@pytest.mark.parametrize("code", all_blocks("python"))
def test_python_is_python_and_dags_load(code, tmp_path):
    compile(code, "<docs>", "exec")
    if "DAG(" not in code:
        return
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    assert len(bag.dags) == 1


def test_the_readme_shows_a_dag_of_about_20_lines():
    (code,) = blocks(ROOT / "README.md", "python")
    assert "DAG(" in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 22


@pytest.mark.parametrize("code", all_blocks("json"))
def test_json_is_json_and_schemas_can_be_loaded(code):
    document = json.loads(code)
    if isinstance(document, dict) and "fields" in document:
        DestinationSchema.load(document)


@pytest.mark.parametrize("code", all_blocks("sh"))
def test_every_command_shown_is_understood(code):
    parsers = {}
    for words, args in commands():
        parsers[words] = argparse.ArgumentParser(prog=" ".join(words), exit_on_error=False)
        for arg in args:
            arg.add_to_parser(parsers[words])
    for line in code.replace("\\\n", " ").splitlines():
        if not line.startswith("airflow osmosdest "):
            continue
        words = shlex.split(line.partition(" > ")[0], comments=True)
        command = next(each for each in parsers if tuple(words[: len(each)]) == each)
        parsers[command].parse_args(words[len(command) :])
