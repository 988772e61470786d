"""
``make stack``: the distributed Airflow of docker-compose.yaml as processes on this machine, until Ctrl-C.

    python -m tests.stack [--demo]

With ``--demo`` it delivers the flights, as ``docker compose run --rm demo`` does, and ends.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_osmosdest.testing.servers import free_port
from tests.stack.compose import load
from tests.stack.machines import namespaces_allowed
from tests.stack.processes import kill_tree, spawn
from tests.stack.stack import CHECKOUT, HEARTBEAT_TIMEOUT, refusal, running_stack, stack_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.stack import Stack

FOLDER = CHECKOUT / ".stack"
DAGS = CHECKOUT / "example_dags"
DAG_ID = "deliver_flights"
# Some of the examples have a schedule, and connections that are not there.
PAUSED = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}


def main() -> int:
    """Run the stack; return the demo's exit code."""
    parser = argparse.ArgumentParser(description="Run the distributed Airflow of docker-compose.yaml as processes.")
    parser.add_argument("--demo", action="store_true", help="deliver the flights, and end")
    args = parser.parse_args()
    if reason := refusal():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what it started ends with it
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    say(f"All but PostgreSQL's data is in {FOLDER.relative_to(CHECKOUT)}")
    with (
        _receiver(FOLDER) as receiver,
        running_stack(FOLDER, DAGS, {DAG_ID}, receiver=receiver, variables=PAUSED, say=say) as stack,
    ):
        say("Starting two Celery workers" + ("" if namespaces_allowed() else "; without namespaces, as one host"))
        stack.workers(1, 2)
        demo = [str(stack_python()), str(DAGS / "run_stack_demo.py")]
        demo += ["--api", stack.api.url, "--receiver", f"http://{receiver}"]
        if args.demo:
            return subprocess.run(demo, env=dict(stack.environment), check=False).returncode
        _describe(stack, receiver, demo)
        signal.pause()
    return 0


def say(text: str) -> None:
    """Tell what happens next."""
    print(f"==> {text}", flush=True)


def _describe(stack: Stack, receiver: str, demo: list[str]) -> None:
    exports = (f"export {name}={shlex.quote(value)}\n" for name, value in stack.environment.items() if _is_ours(name))
    (FOLDER / "env").write_text("".join(exports))
    worker = stack.worker(1)
    logs = worker.log.relative_to(CHECKOUT)
    print(f"""
  Airflow     {stack.api.url}   (no password)
  Mailboxes   {stack.mailboxes}/osmos/v1, and {stack.api.url}/osmos/v1
  Receiver    http://{receiver}/stats
  S3          {stack.s3}, bucket osmosdest
  Workers     {logs}, and the other's beside it

  In another terminal, in this folder:

    . .stack/env && airflow osmosdest mailbox create --conn-id flights_mailbox
    . .stack/env && {shlex.join(demo)}
    pkill -9 --session {worker.pid}

  The first makes a mailbox, the second delivers 336,776 flights and checks the receiver's books, the third kills
  worker-1 with all that it runs: after {HEARTBEAT_TIMEOUT} s Airflow tries its tasks again on worker-2.

  Ctrl-C ends all of it.
""")


def _is_ours(name: str) -> bool:
    return name.startswith("AIRFLOW_") or name in {"PATH", "NO_PROXY", "no_proxy"}


@contextmanager
def _receiver(folder: Path) -> Iterator[str]:
    """Run the examples' receiver with the token that the compose file gives it; yield its address."""
    port = free_port()
    token = load()["services"]["receiver"]["environment"]["RECEIVER_TOKEN"]
    command = [sys.executable, str(DAGS / "receiver.py"), "--port", str(port)]
    environment = {**os.environ, "RECEIVER_TOKEN": token}
    process = spawn(command, log=folder / "receiver.log", environment=environment, cwd=folder)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        kill_tree(process)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nended; nothing is left running", file=sys.stderr)
