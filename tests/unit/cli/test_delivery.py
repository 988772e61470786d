"""``airflow osmosdest delivery``: what its commands show of a ledger, forget and refuse."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import pytest

from airflow_provider_osmosdest.core.delivery.engine import deliver
from airflow_provider_osmosdest.core.delivery.ledger.ledger import Chunk, Ledger, read_ledger
from airflow_provider_osmosdest.core.delivery.ledger.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.delivery.model import Delivery, RunContext
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.errors import StorageError, SupersededError
from airflow_provider_osmosdest.core.http.target import Target
from airflow_provider_osmosdest.core.http.transport import Response
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema
from airflow_provider_osmosdest.settings import load_settings
from airflow_provider_osmosdest.testing.transports import HandlerTransport, body_of

ID = "3ec4352f0b2e415898b77eb19430934f"
RECORDS = [{"id": number} for number in range(10)]


@pytest.fixture
def airflow(command, monkeypatch, tmp_path):
    """Run a command of ``airflow osmosdest delivery``."""
    monkeypatch.setenv("AIRFLOW__OSMOSDEST__STORAGE_PATH", str(tmp_path / "storage"))
    load_settings.cache_clear()
    yield partial(command, "delivery")
    load_settings.cache_clear()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "by hand"


def entry(**values):
    """A delivery that was killed in the middle of a chunk."""
    return Ledger(
        ID,
        settled=RangeSet([(0, 5)]),
        sending=(Chunk(5, 8, (6,)),),
        counts={"delivered": 4, "rejected": 1},
        reasons=Counter({"rejected: no": 1}),
        parts=["failures-00000.ndjson"],
        attempts=2,
        **values,
    )


def keep(folder, entry):
    FolderLedgerStore(folder).save(entry.to_json())


def kept(folder):
    return read_ledger(FolderLedgerStore(folder).load())


class TestShow:
    def test_what_a_ledger_says(self, airflow, folder):
        keep(folder, entry())
        (folder / "report.json").write_text('{"delivered": 4}')
        code, document, err = airflow("show", "--folder", str(folder))
        assert code == 0
        written_at = document.pop("written_at")
        assert written_at.endswith("+00:00")
        counts = document.pop("counts")
        assert (counts["delivered"], counts["rejected"], counts["unknown"]) == (4, 1, 0)
        assert document == {
            "delivery_id": ID,
            "status": "open",
            "task": None,
            "ledger": str(folder / "ledger.json"),
            "attempts": 2,
            "seconds": 0.0,
            "reasons": [{"reason": "rejected: no", "records": 1}],
            "settled": {"records": 5, "ranges": 1, "indexes": [[0, 4]]},
            "in_doubt": {"records": 2, "ranges": 2, "indexes": [[5, 5], [7, 7]]},
            "first_again": [{"records": 2, "indexes": [[5, 5], [7, 7]]}],
            "failures": [str(folder / "failures-00000.ndjson")],
            "folder": str(folder),
            "report": {"delivered": 4},
        }
        assert f"Delivery {ID}: not complete after 2 attempts." in err
        assert "5 records are settled and not sent again: 4 delivered, 1 rejected." in err
        assert "2 records are in doubt" in err
        assert "indexes 5, 7." in err

    def test_long_lists_are_cut(self, airflow, folder):
        keep(folder, Ledger(ID, in_doubt=RangeSet((at, at + 1) for at in range(0, 200, 2))))
        _, document, err = airflow("show", "--folder", str(folder))
        assert (document["in_doubt"]["records"], document["in_doubt"]["ranges"]) == (100, 100)
        assert len(document["in_doubt"]["indexes"]) == 20
        assert "38 and more" in err

    def test_a_complete_one(self, airflow, folder):
        keep(folder, entry(complete=True))
        code, document, err = airflow("show", "--folder", str(folder))
        assert (code, document["status"]) == (0, "complete")
        assert ": complete after 2 attempts." in err

    def test_none_at_all(self, airflow, folder):
        code, document, err = airflow("show", "--folder", str(folder))
        assert (code, document["status"], document["delivery_id"]) == (0, "none", None)
        assert "There is no ledger in" in err

    @pytest.mark.parametrize("damage", ["changed", "cut", "no object"])
    def test_a_damaged_one_is_shown_as_far_as_it_can_be_read(self, airflow, folder, damage):
        document = entry().to_json()
        document = {"changed": document.replace(b'"attempts":2', b'"attempts":3'), "cut": document[:-9]}.get(
            damage, b"[]"
        )
        FolderLedgerStore(folder).save(document)
        code, shown, err = airflow("show", "--folder", str(folder))
        assert (code, shown["status"]) == (1, "damaged")
        assert "the ledger of this delivery is damaged" in shown["error"]
        assert "the ledger of this delivery is damaged" in err
        assert shown["delivery_id"] == (ID if damage == "changed" else None)
        assert shown["readable"].get("attempts") == (3 if damage == "changed" else None)

    @pytest.mark.parametrize(
        "words",
        [(), ("--dag-id", "d"), ("--folder", "x", "--dag-id", "d"), ("--folder", "x", "--map-index", "1")],
        ids=" ".join,
    )
    def test_misuse(self, airflow, words):
        code, document, err = airflow("show", *words)
        assert (code, document) == (2, None)
        assert "error: expected --" in err

    def test_a_task_that_is_not_there(self, airflow):
        code, _, err = airflow("show", "--dag-id", "no", "--run-id", "such", "--task-id", "task")
        assert code == 2
        assert "there is no task 'task' in run 'such' of DAG 'no'" in err


class Server:
    """Takes everything, and keeps what came under which key."""

    def __init__(self):
        self.came = []

    def __call__(self, request):
        self.came.append((request.headers["Idempotency-Key"], json.loads(body_of(request))))
        return Response(request, 200)


def attempt(folder, handler, occasion="1", **options):
    schema = DestinationSchema.load([{"name": "id", "type": "integer"}])
    delivery = Delivery(Target("http://api.test"), DeliveryOptions(batch_size=5, **options), schema, folder)
    transport = HandlerTransport(handler)
    return deliver(delivery, open_source(RECORDS), transport.factory, lambda _: None, RunContext(run_key=occasion))


class TestForget:
    @pytest.mark.parametrize("write_mode", ["batch", "record"])
    @pytest.mark.parametrize("occasion", ["1", "2"], ids=["retried", "cleared"])
    def test_all_is_sent_again_under_the_same_keys(self, airflow, folder, write_mode, occasion):
        first, again = Server(), Server()
        before = attempt(folder, first, write_mode=write_mode)
        code, document, err = airflow("forget", "--folder", str(folder), "--yes")
        assert (code, document) == (
            0,
            {"forgotten": before.report.delivery_id, "delivery_id": before.report.delivery_id},
        )
        assert (
            "All of it, also the 10 records delivered, is sent again by the next attempt, under the same delivery id"
            in err
        )
        after = attempt(folder, again, occasion, write_mode=write_mode)
        assert again.came == first.came != []
        assert after.report.delivery_id == before.report.delivery_id
        assert (after.report.delivered, after.report.read, after.error) == (10, 10, None)

    def test_with_a_new_id_the_keys_are_others(self, airflow, folder):
        first, again = Server(), Server()
        before = attempt(folder, first)
        code, document, err = airflow("forget", "--folder", str(folder), "--yes", "--new-id")
        assert code == 0
        after = attempt(folder, again)
        assert document["delivery_id"] == after.report.delivery_id != before.report.delivery_id
        assert [records for _, records in again.came] == [records for _, records in first.came]
        assert not {key for key, _ in again.came} & {key for key, _ in first.came}
        assert "every API takes again what it has" in err

    def test_what_is_in_doubt_is_forgotten_too(self, airflow, folder):
        keep(folder, entry(in_doubt=RangeSet([(8, 9)]), window=(0, 9)))
        airflow("forget", "--folder", str(folder), "--yes")
        assert kept(folder) == Ledger(ID, counts=kept(folder).counts)
        server = Server()
        result = attempt(folder, server, guarantee="at_most_once")
        assert (result.report.delivered, len(server.came)) == (10, 2)

    def test_a_damaged_one_keeps_its_id_where_that_can_be_read(self, airflow, folder):
        FolderLedgerStore(folder).save(entry().to_json().replace(b'"attempts":2', b'"attempts":3'))
        with pytest.raises(StorageError, match="airflow osmosdest delivery forget"):
            attempt(folder, Server())
        code, document, err = airflow("forget", "--folder", str(folder), "--yes")
        assert (code, document["delivery_id"]) == (0, ID)
        assert "All of it is sent again" in err
        assert attempt(folder, Server()).report.delivered == 10

    def test_one_whose_id_cannot_be_read_needs_another(self, airflow, folder):
        FolderLedgerStore(folder).save(b"{")
        code, document, err = airflow("forget", "--folder", str(folder), "--yes")
        assert (code, document) == (1, None)
        assert "Its delivery id cannot be read either" in err
        code, document, _ = airflow("forget", "--folder", str(folder), "--yes", "--new-id")
        assert (code, document["forgotten"]) == (0, None)
        assert attempt(folder, Server()).report.delivery_id == document["delivery_id"]

    def test_nothing_to_forget(self, airflow, folder):
        code, document, err = airflow("forget", "--folder", str(folder))
        assert (code, document) == (0, {"forgotten": None, "delivery_id": None})
        assert "There is no ledger" in err
        assert not folder.exists()

    def test_a_person_is_asked(self, airflow, folder, monkeypatch):
        keep(folder, entry())
        code, _, err = airflow("forget", "--folder", str(folder))
        assert code == 2
        assert "say --yes" in err
        for answer, expected in (("", 1), ("n", 1), ("y", 0)):
            assert len(kept(folder).settled) == 5
            monkeypatch.setattr("sys.stdin", Terminal(answer))
            code, _, err = airflow("forget", "--folder", str(folder))
            assert code == expected
        assert not kept(folder).settled

    def test_an_attempt_that_runs_still_is_over(self, airflow, folder):
        server = Server()

        def forgetting(request):
            if not server.came:
                airflow("forget", "--folder", str(folder), "--yes")
            return server(request)

        with pytest.raises(SupersededError):
            attempt(folder, forgetting)
        assert not kept(folder).settled


class Terminal:
    """A person at a terminal who gives one answer."""

    def __init__(self, answer):
        self._answer = answer

    def isatty(self):
        return True

    def readline(self):
        return f"{self._answer}\n"
