"""Storage that is full, or away for a while: an error that says so, nothing lost, and a retry that goes on."""

from __future__ import annotations

import io
import json
import multiprocessing
import random
import resource
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import StorageError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of
from tests.integration.kills.killing import KINDS, SCHEMA, Plan, attempt, check, read_out

FULL = 7


def plan_with_failures(kind):
    """A delivery whose failures file grows to about 400 kB, and its ledger to some kB."""
    options = {"write_mode": kind[0], "guarantee": kind[1], "max_failures": "100%", "systemic_after": 10_000}
    options |= {"batch_size": 250} if kind[0] == "batch" else {"concurrency": 4}
    return Plan(kind, 3_000, frozenset(range(1, 3_000, 2)), frozenset({0, 1_000}), 0.0, options, ())


@pytest.fixture
def tmpfs(tmp_path):
    """A disk of 100 kB, and what makes it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_full_disk(server, tmp_path, tmpfs, kind):
    disk, enlarge = tmpfs
    plan = plan_with_failures(kind)
    plan.write_records(tmp_path / "in.ndjson")
    name = f"full-{'-'.join(map(str, kind))}"
    url = server.open(name, plan.rules)
    fell = []
    for _ in range(3):
        # However often it is tried again.
        with pytest.raises(StorageError, match=r"cannot be written.*No space left"):
            attempt(url, tmp_path / "in.ndjson", disk / "out", plan.options)
        fell.append(time.monotonic())
    enlarge()
    assert attempt(url, tmp_path / "in.ndjson", disk / "out", plan.options).error is None
    assert check(plan, *read_out(disk / "out"), server.accepted(name), fell).faults == []


def test_a_ledger_on_a_full_disk_stays_whole(tmpfs):
    disk, enlarge = tmpfs
    store = FolderLedgerStore(disk)
    store.save(b"small")
    # The system call takes what has room, and reports no error for that.
    with pytest.raises(StorageError, match=r"the ledger .* cannot be written: .*No space left"):
        store.save(b"large" * 30_000)
    assert store.load() == b"small"
    enlarge()
    store.save(b"large" * 30_000)
    assert store.load() == b"large" * 30_000


def attempt_with_small_files(url, folder, options):
    """Be a child that may write no file larger than 20 kB, as under a quota."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        attempt(url, folder / "in.ndjson", folder / "out", options)
    except StorageError as error:
        raise SystemExit(FULL if "File too large" in str(error) else 1) from error


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_quota(server, tmp_path, kind):
    plan = plan_with_failures(kind)
    plan.write_records(tmp_path / "in.ndjson")
    name = f"quota-{'-'.join(map(str, kind))}"
    url = server.open(name, plan.rules)
    child = multiprocessing.get_context("forkserver").Process(
        target=attempt_with_small_files, args=(url, tmp_path, plan.options)
    )
    child.start()
    child.join()
    assert child.exitcode == FULL
    fell = time.monotonic()
    assert attempt(url, tmp_path / "in.ndjson", tmp_path / "out", plan.options).error is None
    assert check(plan, *read_out(tmp_path / "out"), server.accepted(name), [fell]).faults == []


class Store:
    """An object store whose calls fail now and then, some of them after they have done their work."""

    def __init__(self, draw, failing):
        self.objects = {}
        self._draw, self.failing = draw, failing

    def perhaps_fail(self):
        if self._draw.random() < self.failing:
            raise OSError("503 Slow Down")


class StorePath:
    """A path in it, with what a delivery uses of ``ObjectStoragePath``."""

    protocol = "s3"

    def __init__(self, store, name=""):
        self._store, self.name = store, name

    def __truediv__(self, name):
        return StorePath(self._store, name)

    def __str__(self):
        return f"s3://bucket/{self.name}"

    def mkdir(self, *, parents, exist_ok):
        self._store.perhaps_fail()

    def glob(self, pattern):
        self._store.perhaps_fail()
        return [self / name for name in self._store.objects if Path(name).match(pattern)]

    def unlink(self):
        self._store.perhaps_fail()
        del self._store.objects[self.name]
        self._store.perhaps_fail()

    def stat(self):
        self._store.perhaps_fail()
        return type("Stat", (), {"st_size": len(self._store.objects[self.name])})

    def open(self, mode):
        self._store.perhaps_fail()
        if mode == "wb":
            return Upload(self._store, self.name)
        if self.name not in self._store.objects:
            raise FileNotFoundError(self.name)
        return io.BytesIO(self._store.objects[self.name])


class Upload(io.BytesIO):
    """Appears whole when it is closed, if it does."""

    def __init__(self, store, name):
        super().__init__()
        self._store, self._name = store, name

    def close(self):
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._store.perhaps_fail()
            self._store.objects[self._name] = content
            self._store.perhaps_fail()


class Api:
    """Takes records, refuses poison, and honours keys."""

    def __init__(self, poison):
        self.taken = Counter()
        self._poison, self._answers = poison, {}

    def __call__(self, request):
        found = json.loads(body_of(request))
        ids = [record["id"] for record in (found if isinstance(found, list) else [found])]
        key = request.headers["Idempotency-Key"]
        if key not in self._answers:
            self._answers[key] = 422 if self._poison.intersection(ids) else 200
            if self._answers[key] == 200:
                self.taken.update(ids)
        return Response(request, self._answers[key])


@pytest.mark.parametrize("write_mode", ["batch", "record"])
@pytest.mark.parametrize("seed", range(30))
def test_an_object_store_that_fails_for_a_while(tmp_path, seed, write_mode):
    draw = random.Random(seed)
    count = 120
    invalid = set(draw.sample(range(count), 10))
    poison = set(draw.sample(sorted(set(range(count)) - invalid), 5))
    lines = (json.dumps({"id": "none" if index in invalid else index}) for index in range(count))
    (tmp_path / "in.ndjson").write_text("".join(f"{line}\n" for line in lines))
    store = Store(draw, draw.choice([0.05, 0.2]) if write_mode == "batch" else 0.5)
    api = Api(poison)
    options = DeliveryOptions(write_mode=write_mode, batch_size=draw.choice([7, 50]), max_failures="100%")
    delivery = Delivery(Target("http://api.test"), options, DestinationSchema.load(SCHEMA), StorePath(store))
    errors = []
    for tries in range(1_000):
        if tries == 200:
            store.failing = 0.0
        try:
            result = deliver(
                delivery,
                open_source(tmp_path / "in.ndjson"),
                lambda *_, in_flight, **__: HandlerTransport(api, in_flight=in_flight),
                lambda _: None,
                RunContext(run_key="retries"),
            )
        except StorageError as error:
            errors.append(str(error))
            continue
        assert result.error is None
        break
    assert errors
    assert all("503 Slow Down" in error and "s3://bucket" in error for error in errors)
    report = result.report
    assert (report.read, report.delivered, report.invalid) == (count, count - 15, 10)
    # One that was on its way when the store failed, and is refused after that, may have been taken before.
    assert (report.rejected + report.unknown, report.unsent) == (5, 0)
    names = [name for name in store.objects if name.startswith("failures-")]
    failures = [json.loads(line) for name in names for line in store.objects[name].splitlines()]
    assert sorted(failure["index"] for failure in failures) == sorted(invalid | poison)
    assert set(api.taken) == set(range(count)) - invalid - poison
    assert max(api.taken.values()) == 1
