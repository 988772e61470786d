"""
Fetching a mailbox over HTTP beside nginx, which serves the same bytes from the same disk as static files.

Reports requests and bytes a second, their ratio to nginx's, and what memory the server takes while a mailbox of
2 GB is fetched. Client on one processor, server on the other; the rows without nginx are left out where there is none.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data import generate
from figures import BENCHMARKS_PAGE, show
from mailbox_server import MAILBOX_ID, READ_TOKEN, mailbox
from processes import HERE, cores, server
from tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH = f"/osmos/v1/mailboxes/{MAILBOX_ID}"
PAGES = (500, 5000)
BATCH_RECORDS = 250_000
READ_SIZE = 2**20


@dataclass(frozen=True)
class Rate:
    """
    How fast one contender answered.

    :param requests: a second
    :param megabytes: of bodies a second
    """

    requests: float
    megabytes: float


class Client:
    """Fetches over one connection, and keeps nothing of what it gets."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._headers = dict(headers)
        self._buffer = memoryview(bytearray(READ_SIZE))

    def close(self) -> None:
        """Close the connection; the next fetch opens another."""
        self._connection.close()

    def fetch(self, path: str) -> tuple[int, Mapping[str, str]]:
        """Fetch, and return how many bytes the body had, and the headers."""
        answer = self._get(path)
        size = 0
        while count := answer.readinto(self._buffer):
            size += count
        return size, answer.headers

    def read(self, path: str) -> bytes:
        """Fetch, and return the body."""
        return self._get(path).read()

    def _get(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {answer.status} {answer.read(500)!r}")
        return answer


def publish(folder: Path, gigabytes: float, chance: random.Random) -> int:
    """Fill a mailbox with batches that hardly shrink; return how many."""
    box = mailbox(folder)
    orders = folder / "orders.ndjson"
    generate(orders, BATCH_RECORDS)
    lines = []
    with orders.open("rb") as file:
        # A note that gzip makes little of: what is stored is then about as large as what is served unpacked.
        lines = [b'%s,"noise":"%s"}\n' % (line[:-2], chance.randbytes(120).hex().encode()) for line in file]
    orders.unlink()
    size, number = 0, 0
    while size < gigabytes * 1e9:
        size += box.publish(lines, batch_id=f"batch-{number}").entry.bytes
        number += 1
    return number


def measured(client: Client, paths: list[str], seconds: float) -> Rate:
    """Fetch paths in turn for some seconds, and each of them once at least."""
    client.close()
    requests = size = 0
    begun = time.perf_counter()
    while requests < len(paths) or time.perf_counter() - begun < seconds:
        size += client.fetch(paths[requests % len(paths)])[0]
        requests += 1
    taken = time.perf_counter() - begun
    return Rate(requests / taken, size / taken / 1e6)


def resident(pid: int, name: str) -> float:
    """Return VmRSS or VmHWM of a process in MB; only Linux tells."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return float("nan")


@contextmanager
def nginx(folder: Path, on: set[int]) -> Iterator[str]:
    """Serve a folder with one worker of nginx."""
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "nginx.conf"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config.write_text(
            f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n"
            f"{'user root;' if os.getuid() == 0 else ''}\n"
            "events {}\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n"
            f"client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home};\n"
            f"uwsgi_temp_path {home}; scgi_temp_path {home};\n"
            f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        )
        pinned = ["taskset", "-c", ",".join(map(str, sorted(on)))] if on and shutil.which("taskset") else []
        process = subprocess.Popen([*pinned, "nginx", "-p", home, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def medians(rates: list[Rate]) -> Rate:
    return Rate(statistics.median(r.requests for r in rates), statistics.median(r.megabytes for r in rates))


def run(folder: Path, gigabytes: float, seconds: float, rounds: int) -> str:
    """Measure, and return the figures."""
    client_on, server_on = cores()
    batches = publish(folder, gigabytes, random.Random(7))
    if client_on:
        os.sched_setaffinity(0, client_on)
    with server("mailbox_server.py", "--folder", str(folder), on=server_on) as url:
        pid = server_pid(url)
        accepts = {"Authorization": f"Bearer {READ_TOKEN}", "Accept": "application/x-ndjson"}
        client, packed = Client(url, accepts), Client(url, {**accepts, "Accept-Encoding": "gzip"})
        client.fetch(f"{PATH}/records?limit=1")
        base = resident(pid, "VmRSS")
        data = [f"{PATH}/batches/{seq}/data" for seq in range(1, batches + 1)]
        contenders = {"whole batches": (packed, data, [f"/{stored(folder, seq)}" for seq in range(1, batches + 1)])}
        for size in PAGES:
            path = f"{PATH}/records?limit={size}"
            (folder / f"page-{size}").write_bytes(client.read(path))
            contenders[f"pages of {size:,}, NDJSON"] = (client, [path], [f"/page-{size}"])
        rows = beside_nginx(contenders, folder, server_on, seconds, rounds)
        whole = (
            (f"all of it, in pages of {max(PAGES):,}", everything(client)),
            ("all of it, unpacked on the way", measured(client, data, 0)),
        )
        rows += [(name, f"{rate.requests:,.1f}", f"{rate.megabytes:,.1f}", "", "", "") for name, rate in whole]
        peak = resident(pid, "VmHWM")
    heads = ("what is fetched", "requests/s", "MB/s", "nginx requests/s", "nginx MB/s", "ours is")
    memory = f"the server's memory: {base:.0f} MB idle, {peak:.0f} MB at most, {peak - base:+.0f} MB"
    return f"a mailbox of {gigabytes:g} GB, median of {rounds}\n\n{table(heads, rows)}\n\n{memory}"


def beside_nginx(
    contenders: Mapping[str, tuple[Client, list[str], list[str]]],
    folder: Path,
    on: set[int],
    seconds: float,
    rounds: int,
) -> list[tuple[str, ...]]:
    """Fetch from both in turn, and return a row of medians for each."""
    ours: dict[str, list[Rate]] = {name: [] for name in contenders}
    theirs: dict[str, list[Rate]] = {name: [] for name in contenders}
    available = shutil.which("nginx") is not None
    if not available:
        print("nginx is not installed: its figures, and the ratios, are left out", file=sys.stderr)
    for _ in range(rounds):
        for name, (client, paths, static) in contenders.items():
            ours[name].append(measured(client, paths, seconds))
            if available:
                with nginx(folder, on) as url:
                    theirs[name].append(measured(Client(url, {}), static, seconds))
    rows: list[tuple[str, ...]] = []
    for name in contenders:
        rate = medians(ours[name])
        row = (name, f"{rate.requests:,.1f}", f"{rate.megabytes:,.1f}")
        if theirs[name]:
            beside = medians(theirs[name])
            ratio = f"{rate.megabytes / beside.megabytes:.2f} x"
            rows.append((*row, f"{beside.requests:,.1f}", f"{beside.megabytes:,.1f}", ratio))
        else:
            rows.append((*row, "", "", ""))
    return rows


def everything(client: Client) -> Rate:
    """Fetch all records in the largest pages."""
    client.close()
    requests = size = 0
    cursor, up_to_date = "", False
    begun = time.perf_counter()
    while not up_to_date:
        count, headers = client.fetch(f"{PATH}/records?limit={max(PAGES)}{cursor}")
        requests, size = requests + 1, size + count
        cursor, up_to_date = f"&cursor={headers['Mailbox-Next-Cursor']}", headers["Mailbox-Up-To-Date"] == "true"
    taken = time.perf_counter() - begun
    return Rate(requests / taken, size / taken / 1e6)


def stored(folder: Path, seq: int) -> str:
    """Return the name of a batch's file."""
    entry = mailbox(folder).log.entry(seq)
    assert entry is not None
    return entry.data


def server_pid(url: str) -> int:
    """Return the process that runs the mailbox's server: the child that is one."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and str(HERE / "mailbox_server.py").encode() in command:
            return int(entry.name)
    raise RuntimeError(f"no process serves {url}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of stored data")
    parser.add_argument("--seconds", type=float, default=3.0, help="a contender, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        found = run(Path(made), arguments.gigabytes, arguments.seconds, arguments.rounds)
    show("fetching", found, write_to=BENCHMARKS_PAGE if arguments.write else None)
