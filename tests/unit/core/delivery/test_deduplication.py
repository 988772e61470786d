from __future__ import annotations

import contextlib
import gzip
import json
import random
from collections import Counter

import pytest

from airflow_provider_osmosdest.core.delivery.dry_run import dry_run
from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore, MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import OptionsError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.testing.transports import body_of
from tests.thoroughness import examples

SCHEMA = DestinationSchema.load(
    [{"name": "id", "type": "integer", "nullable": False}, {"name": "note", "type": "string"}]
)
TARGET = Target("http://api.test/v1")
MODES = ("batch", "record")


class Killed(BaseException):
    """Nothing in the package catches it."""


class Api:
    """Takes records, once per idempotency key; refuses what it dislikes; may be down."""

    def __init__(self):
        self.taken = []
        self.dislikes = set()
        self.down = False
        self._answers = {}

    def answer(self, request):
        if self.down:
            return Response(request, 503)
        found = json.loads(body_of(request))
        records = found if isinstance(found, list) else [found]
        key = request.headers["Idempotency-Key"]
        if key not in self._answers:
            refused = any(record["id"] in self.dislikes for record in records)
            self._answers[key] = 422 if refused else 200
            if not refused:
                self.taken += [(record["id"], record["note"]) for record in records]
        return Response(request, self._answers[key])


class Wire:
    def __init__(self, api, dies=lambda: False):
        self._api, self._dies = api, dies

    def exchange(self, starting, wait):
        answers = []
        for request in starting:
            if self._dies():
                raise Killed
            answers.append(self._api.answer(request))
            if self._dies():
                raise Killed
        return answers

    def close(self):
        pass


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def run(tmp_path, api):
    """Return what runs a delivery of some records and returns its report and the lines of its log."""
    numbers = iter(range(1000))

    def go(records, *, name=None, dies=lambda: False, seen=None, run_context=None, **options):
        said = []
        folder = tmp_path / (name or f"run {next(numbers)}")
        settings = {"deduplicate": "records", "max_retries": 1, "backoff": 1e-9, "max_failures": "100%", **options}
        result = deliver(
            Delivery(TARGET, DeliveryOptions(**settings), SCHEMA, folder, seen=seen or tmp_path / "seen"),
            open_source(records),
            lambda target, **needs: Wire(api, dies),
            said.append,
            run_context or RunContext(run_key="o"),
        )
        report = result.report
        outcomes = (report.delivered, report.duplicate, report.invalid, report.rejected, report.unknown, report.unsent)
        assert sum(outcomes) == report.read
        return result, said

    return go


def rows(*pairs):
    return [{"id": number, "note": note} for number, note in pairs]


@pytest.mark.parametrize("mode", MODES)
def test_a_source_that_grows_and_is_edited(run, api, mode):
    result, _ = run(rows((1, "a"), (2, "b")), write_mode=mode)
    assert result.report.delivered == 2
    result, said = run(rows((1, "a"), (2, "edited"), (3, "c")), write_mode=mode)
    assert (result.report.delivered, result.report.duplicate, result.report.failed) == (2, 1, 0)
    assert "1 duplicate not sent: delivered before, or twice in this source." in said
    result, _ = run(rows((1, "a"), (2, "edited"), (3, "c")), write_mode=mode)
    assert (result.report.delivered, result.report.duplicate, result.report.requests) == (0, 3, 0)
    assert result.error is None
    assert api.taken == [(1, "a"), (2, "b"), (2, "edited"), (3, "c")]


@pytest.mark.parametrize("mode", MODES)
def test_what_an_api_that_was_down_missed_goes_out_the_next_time(run, api, mode):
    run(rows((1, "a")), write_mode=mode)
    api.down = True
    result, _ = run(rows((1, "a"), (2, "b")), write_mode=mode)
    assert (result.report.delivered, result.report.duplicate, result.report.failed) == (0, 1, 1)
    api.down = False
    result, _ = run(rows((1, "a"), (2, "b")), write_mode=mode)
    assert (result.report.delivered, result.report.duplicate) == (1, 1)
    assert api.taken == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("mode", MODES)
def test_rejected_and_invalid_records_come_again(run, api, mode):
    api.dislikes = {2}
    records = [*rows((1, "a"), (2, "b")), {"id": "x", "note": "c"}]
    result, _ = run(records, write_mode=mode)
    assert (result.report.delivered, result.report.rejected, result.report.invalid) == (1, 1, 1)
    api.dislikes = set()
    result, _ = run(records, write_mode=mode)
    assert (result.report.delivered, result.report.duplicate, result.report.invalid) == (1, 1, 1)
    assert api.taken == [(1, "a"), (2, "b")]


def test_a_duplicate_is_no_failure(run, api):
    run(rows((1, "a")))
    result, _ = run(rows((1, "a"), (2, "b")), max_failures=0)
    assert result.error is None
    assert result.report.failures_path is None


def test_within_one_file_only(run, api):
    records = rows((1, "a"), (1, "a"), (1, "b"), (1, "a"))
    for _ in range(2):
        result, _ = run(records, deduplicate="in_file")
        assert (result.report.delivered, result.report.duplicate) == (2, 2)
    result, _ = run(records, deduplicate="in_file", record_key="id")
    assert (result.report.delivered, result.report.duplicate) == (1, 3)


def test_by_a_key_an_edited_record_is_no_new_one(run, api):
    run(rows((1, "a")), record_key=["id"])
    result, _ = run(rows((1, "edited"), (2, "b")), record_key="id")
    assert (result.report.delivered, result.report.duplicate) == (1, 1)
    # What goes by the whole record is kept apart.
    result, _ = run(rows((1, "a")))
    assert result.report.delivered == 1


def test_without_deduplication_everything_is_sent(run, api, tmp_path):
    run(rows((1, "a"), (1, "a")), deduplicate="none")
    assert len(api.taken) == 2
    assert not (tmp_path / "seen").exists()


def test_a_dry_run_tells_duplicates_and_takes_none(run, api, tmp_path):
    run(rows((1, "a")))
    delivery = Delivery(
        TARGET, DeliveryOptions(deduplicate="records"), SCHEMA, tmp_path / "dry", seen=tmp_path / "seen"
    )
    before = sorted((tmp_path / "seen").rglob("*"))
    tried = dry_run(delivery, open_source(rows((1, "a"), (2, "b"))), lambda line: None)
    assert (tried.result.report.duplicate, tried.result.report.unsent) == (1, 1)
    assert sorted((tmp_path / "seen").rglob("*")) == before


def test_a_key_that_is_no_field_sends_nothing(run, api):
    with pytest.raises(OptionsError, match="record_key: found 'nr', expected a field of the schema: id, note"):
        run(rows((1, "a")), record_key="nr")
    assert api.taken == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(examples(20)))
def test_mornings_with_kills_send_what_is_new_once(run, api, tmp_path, mode, seed):
    """The model: every content the API likes is taken once, whatever is killed, and however often it comes."""
    draw = random.Random(seed)
    source, expected = [], set()
    for morning in range(4):
        source += [(draw.randrange(60), draw.choice("ab")) for _ in range(draw.choice([0, 5, 40]))]
        if source and draw.random() < 0.5:
            at = draw.randrange(len(source))
            source[at] = (source[at][0], draw.choice("abc"))
        api.dislikes = {draw.randrange(60) for _ in range(draw.choice([0, 3]))}
        path = tmp_path / "in.ndjson"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows(*source)))
        deadly, size = draw.choice([0.02, 0.2]), draw.choice([3, 10, 1000])
        deadly_moments = False
        for attempt in range(200):
            dies = (lambda deadly=deadly: draw.random() < deadly) if attempt < 30 else (lambda: False)
            try:
                result, _ = run(
                    path,
                    name=f"morning {morning}",
                    dies=dies,
                    write_mode=mode,
                    batch_size=size,
                    concurrency=draw.choice([1, 4]),
                    systemic_after=10**6,
                )
            except Killed:
                deadly_moments = True
                continue
            if not result.mendable:
                break
        new = set(source) - expected
        refused = {pair for pair in new if pair[0] in api.dislikes}
        expected |= new - refused
        assert set(api.taken) == expected
        assert max(Counter(api.taken).values(), default=1) == 1
        assert result.report.read == len(source)
        assert result.report.delivered == len(new - refused)
        # What is refused after a send that was broken off may have been taken by that.
        assert result.report.rejected + result.report.unknown == len(refused)
        assert deadly_moments or result.report.unknown == 0


class DyingFolder:
    """A folder whose process dies before the n-th read or change."""

    protocol = "memory"

    def __init__(self, path, touches):
        self._path, self._touches = path, touches
        self.name = path.name

    def _touch(self):
        self._touches[0] -= 1
        if self._touches[0] < 0:
            raise Killed

    def __truediv__(self, name):
        return DyingFolder(self._path / name, self._touches)

    def __str__(self):
        return str(self._path)

    def mkdir(self, **options):
        self._touch()
        self._path.mkdir(**options)

    def glob(self, pattern):
        self._touch()
        return [DyingFolder(path, self._touches) for path in self._path.glob(pattern)]

    def stat(self):
        return self._path.stat()

    def unlink(self):
        self._touch()
        self._path.unlink()

    def open(self, mode):
        self._touch()
        return self._path.open(mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("touches", range(0, 40, 2))
def test_a_kill_at_any_touch_of_what_was_seen_or_of_the_ledger(run, api, tmp_path, mode, touches):
    for number in range(8):
        run(rows((100 + number, "earlier")), write_mode=mode)
    api.taken.clear()
    records = rows(*((number, "a") for number in range(5)), (100, "earlier"), (1, "a"))
    left = [touches]
    ledger = FolderLedgerStore(DyingFolder(tmp_path / "ledger", left))
    with contextlib.suppress(Killed):
        run(
            records,
            name="dying",
            write_mode=mode,
            batch_size=2,
            seen=DyingFolder(tmp_path / "seen", left),
            run_context=RunContext(ledger=ledger, run_key="o"),
        )
    ledger = FolderLedgerStore(tmp_path / "ledger")
    result, _ = run(
        records, name="dying", write_mode=mode, batch_size=2, run_context=RunContext(ledger=ledger, run_key="o")
    )
    assert (result.report.delivered, result.report.duplicate) == (5, 2)
    assert sorted(api.taken) == [(number, "a") for number in range(5)]
    result, _ = run(records, write_mode=mode)
    assert (result.report.delivered, result.report.duplicate) == (0, 7)


class TestFiles:
    def test_a_content_is_taken_once_whatever_the_file_is_called(self, run, api, tmp_path):
        text = "id,note\n1,a\n2,b\n"
        (tmp_path / "one.csv").write_text(text)
        result, _ = run(tmp_path / "one.csv", deduplicate="files")
        assert result.report.delivered == 2
        (tmp_path / "two.csv.gz").write_bytes(gzip.compress(text.encode()))
        result, said = run(tmp_path / "two.csv.gz", deduplicate="files")
        assert (result.report.read, result.report.duplicate, result.report.requests) == (2, 2, 0)
        assert result.error is None
        assert "An earlier run has taken the content of 1 of 1 files; it is not sent again." in said
        (tmp_path / "one.csv").write_text(text + "3,c\n")
        result, _ = run(tmp_path / "one.csv", deduplicate="files")
        assert (result.report.delivered, result.report.duplicate) == (3, 0)

    def test_of_several_files_the_new_ones_are_taken(self, run, api, tmp_path):
        folder = tmp_path / "in"
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.ndjson").write_text(f'{{"id":{number},"note":"a"}}\n')
        assert run(folder / "*.ndjson", deduplicate="files")[0].report.delivered == 3
        (folder / "1b.ndjson").write_text('{"id":7,"note":"a"}\n{"id":8,"note":"a"}\n')
        result, _ = run(folder / "*.ndjson", deduplicate="files")
        assert (result.report.read, result.report.delivered, result.report.duplicate) == (5, 2, 3)
        assert run(folder / "*.ndjson", deduplicate="files")[0].report.duplicate == 5

    def test_a_file_that_was_not_brought_across_comes_again(self, run, api, tmp_path):
        (tmp_path / "one.ndjson").write_text('{"id":1,"note":"a"}\n{"id":2,"note":"a"}\n')
        api.dislikes = {2}
        result, _ = run(tmp_path / "one.ndjson", deduplicate="files", max_failures=0)
        assert result.error is not None
        api.dislikes = set()
        result, _ = run(tmp_path / "one.ndjson", deduplicate="files", max_failures=0)
        assert (result.report.delivered, result.report.duplicate) == (2, 0)

    @pytest.mark.parametrize("touches", range(14))
    def test_a_kill_at_any_touch_of_what_was_taken_or_of_the_ledger(self, run, api, tmp_path, touches):
        folder = tmp_path / "in"
        folder.mkdir()
        for number in range(2):
            (folder / f"{number}.ndjson").write_text(f'{{"id":{number},"note":"a"}}\n')
        left = [touches]
        options = {"name": "dying", "deduplicate": "files", "batch_size": 1}
        with contextlib.suppress(Killed):
            ledger = FolderLedgerStore(DyingFolder(tmp_path / "ledger", left))
            seen = DyingFolder(tmp_path / "seen", left)
            run(folder / "*.ndjson", seen=seen, run_context=RunContext(ledger=ledger, run_key="o"), **options)
        ledger = FolderLedgerStore(tmp_path / "ledger")
        result, _ = run(folder / "*.ndjson", run_context=RunContext(ledger=ledger, run_key="o"), **options)
        assert (result.report.read, result.report.delivered) == (2, 2)
        assert sorted(api.taken) == [(0, "a"), (1, "a")]
        assert run(folder / "*.ndjson", deduplicate="files")[0].report.duplicate == 2

    def test_values_are_no_files(self, run, api):
        with pytest.raises(OptionsError, match="found 'files', and the records are no files"):
            run(rows((1, "a")), deduplicate="files")
        assert api.taken == []


@pytest.mark.parametrize("how", ["records", "files"])
def test_there_must_be_a_place_for_what_was_seen(tmp_path, how):
    (tmp_path / "in.ndjson").write_text('{"id":1}\n')
    delivery = Delivery(TARGET, DeliveryOptions(deduplicate=how), SCHEMA, tmp_path)
    with pytest.raises(OptionsError, match="needs a folder"):
        deliver(
            delivery,
            open_source(tmp_path / "in.ndjson"),
            lambda target, **needs: Wire(Api()),
            lambda line: None,
            RunContext(ledger=MemoryLedgerStore()),
        )
