"""Debian's or anybody's ``redis-server``, with nothing kept on a disk."""

from __future__ import annotations

import shutil
import subprocess
import time

import redis

from airflow_provider_osmosdest.testing.servers import free_port


def no_redis() -> str | None:
    """Return why there is no server to run, ``None`` where there is one."""
    return None if shutil.which("redis-server") else "there is no redis-server on this machine (Debian: redis-server)"


class RedisServer:
    """A server that can be stopped, and started again without what it kept."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.client().ping()
            except redis.AuthenticationError:
                return
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("redis-server has not answered within 30 s")

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
