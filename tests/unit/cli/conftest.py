from __future__ import annotations

import argparse
import json
import re

import pytest

from airflow_provider_osmosdest.cli.definition import get_cli_commands


@pytest.fixture
def command(airflow_db, monkeypatch, capfd):
    """Run a command as ``airflow osmosdest`` does; return its exit code, its document and its talk."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")

    def run(*words):
        capfd.readouterr()
        node, rest = get_cli_commands()[0], list(words)
        while hasattr(node, "subcommands"):
            name = rest.pop(0)
            (node,) = (each for each in node.subcommands if each.name == name)
        parser = argparse.ArgumentParser()
        for arg in node.args:
            arg.add_to_parser(parser)
        code = 0
        try:
            node.func(parser.parse_args(rest))
        except SystemExit as stop:
            code = stop.code
        out, err = capfd.readouterr()
        # Airflow's own remarks, which get past the descriptor to where pytest catches what is printed.
        out = re.sub(r"^\d{4}-.* \[warning .*\n", "", out, flags=re.MULTILINE)
        return code, json.loads(out) if out else None, err

    return run
