"""
A Celery worker on a machine of its own, as far as one machine can show it.

In a mount namespace it has an ``AIRFLOW_HOME`` and a ``/tmp`` that no other process sees, under the paths that all
machines have, and a host name. Where namespaces are not allowed, the folders have paths of their own instead, and the
host name is this machine's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack.processes import kill_tree, signal_tree, spawn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Machine", "namespaces_allowed"]

TMP = Path("/tmp")

# The name, the machine's own folder, the AIRFLOW_HOME of all; the folders below /tmp that all share; "--"; the command.
BECOME = """
set -eu
name=$1 own=$2 home=$3; shift 3
hostname "$name"
mount --bind "$own/home" "$home"
while [ "$1" != -- ]; do
  mkdir -p "$own$1"
  mount --rbind "$1" "$own$1"
  shift
done
mount --rbind "$own/tmp" /tmp
shift
exec "$@"
"""


def _unshare() -> list[str]:
    mapped = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *mapped, "--mount", "--uts", "--propagation", "private"]


@cache
def namespaces_allowed() -> bool:
    """Tell whether this machine lets this user have mount namespaces."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    script = "hostname worker-0 && mount --bind /tmp /tmp"
    return subprocess.run([*_unshare(), "sh", "-c", script], capture_output=True, check=False).returncode == 0


class Machine:
    """
    A worker and its disk, which outlasts it.

    :param name: of the machine, such as ``worker-1``
    :param folder: where its disk lies
    :param seen_home: ``AIRFLOW_HOME``, as the machine sees it
    :param shared: folders that all machines see
    """

    def __init__(self, name: str, folder: Path, seen_home: Path, shared: Sequence[Path]) -> None:
        self.name = name
        self.storage = ""
        self.home = folder / "home"
        self.log = folder / "worker.log"
        self._starts = 0
        self._folder, self._seen_home, self._shared = folder, seen_home, shared
        self._process: subprocess.Popen[bytes] | None = None
        for each in (self.home, folder / "tmp"):
            each.mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)

    @property
    def running(self) -> bool:
        """Whether its worker runs, or is stopped."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The worker's process, which is in a session of its own."""
        assert self._process is not None
        return self._process.pid

    def start(self, python: str, environment: dict[str, str], storage: str) -> None:
        """
        Start its worker.

        :param python: of the environment with Celery
        :param storage: kept in :attr:`storage`, by which the stack tells what the environment says of it
        """
        assert not self.running, f"{self.name} runs already"
        self.storage = storage
        self._starts += 1
        self.log = self._folder / f"worker-{self._starts}.log"
        command = [python, "-m", "airflow", "celery", "worker", "--celery-hostname", self.name, "--skip-serve-logs"]
        command += ["--without-gossip", "--without-mingle"]
        if namespaces_allowed():
            below_tmp = [str(each) for each in self._shared if each.is_relative_to(TMP)]
            become = ["sh", "-c", BECOME, "become", self.name, str(self._folder), str(self._seen_home), *below_tmp]
            command = [*_unshare(), *become, "--", *command]
            around = {**environment, "TMPDIR": str(TMP)}
        else:
            around = {**environment, "AIRFLOW_HOME": str(self.home), "TMPDIR": str(self._folder / "tmp")}
        self._process = spawn(command, log=self.log, environment=around, cwd=Path("/"))

    def takes_tasks(self) -> bool:
        """Tell whether its worker has come so far."""
        said = self.log.read_text(errors="replace")
        assert self.running, f"{self.name} has ended: {said[-5000:]}"
        return f"{self.name} ready." in said

    def kill(self) -> None:
        """``kill -9`` all that runs on it, as when its power fails; its disk stays as it is."""
        if self._process is not None:
            kill_tree(self._process)

    def freeze(self) -> None:
        """Stop all that runs on it, as when its virtual machine is suspended."""
        assert self._process is not None
        signal_tree(self._process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all that runs on it go on."""
        assert self._process is not None
        signal_tree(self._process, signal.SIGCONT)

    def has_log(self, name: str) -> bool:
        """Tell whether a task has written a log on its disk."""
        return (self.home / "logs" / name).exists()
