"""The tutorial, command by command as it stands in docs/tutorial.md, with the output that the page shows."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from airflow_provider_osmosdest.testing.servers import free_port
from tests.doc_pages import commands_of, missing_line
from tests.standalone import airflow_environment

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
SECONDS = 600


def test_every_command_does_what_the_page_shows(tmp_path):
    (tmp_path / "airflow-provider-osmosdest").symlink_to(ROOT)
    install, *blocks = commands_of("tutorial.md")
    assert "pip install" in install.commands
    if not os.environ.get("CI"):
        # What takes a minute or two to install is what these tests run with.
        install = install._replace(commands="mkdir tutorial\ncd tutorial\n")
    environment = airflow_environment(tmp_path)
    # Other ports than the page's are free.
    ports = {"8001": str(free_port()), "8080": environment["AIRFLOW__API__PORT"]}
    script = install.commands + "".join(
        f"{{\n{_going_on(_replaced(block.commands, ports))}}} > ../block-{at}.txt 2>&1\n"
        for at, block in enumerate(blocks, 1)
    )
    # As with a new Airflow; and the first of these are the page's own matter.
    for name in ("AIRFLOW_HOME", "AIRFLOW__CORE__LOAD_EXAMPLES", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"):
        del environment[name]
    code, printed = _run(script, tmp_path, environment)
    for at, block in enumerate(blocks, 1):
        path = tmp_path / f"block-{at}.txt"
        assert path.exists(), f"what comes before this ended with {code}:\n{block.commands}\nprinted\n{printed}"
        printed = _replaced(path.read_text("utf-8"), {there: page for page, there in ports.items()})
        assert missing_line(block.output, printed) is None, f"{block.commands}\nprinted\n{printed}"
    assert code == 0, f"the last commands ended with {code}, and printed\n{printed}"


def _going_on(commands: str) -> str:
    """Let commands that show an exit code have one."""
    return f"set +e\n{commands}set -e\n" if "$?" in commands else commands


def _replaced(text: str, words: dict[str, str]) -> str:
    for before, after in words.items():
        text = text.replace(f":{before}", f":{after}").replace(f"--port {before}", f"--port {after}")
    return text


def _run(script: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run commands in one shell, which ends with the first that fails, and then end what it has left running."""
    path = folder / "commands.sh"
    path.write_text(script, encoding="utf-8")
    with subprocess.Popen(
        ["bash", "-e", str(path)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=SECONDS)
            return shell.returncode, output
        finally:
            for process in psutil.process_iter():
                with suppress(psutil.Error, ProcessLookupError):
                    if os.getsid(process.pid) == shell.pid:
                        process.send_signal(signal.SIGKILL)
