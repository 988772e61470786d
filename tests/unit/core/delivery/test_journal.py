"""How an attempt finds the ledger of those before it."""

from __future__ import annotations

from airflow_provider_osmosdest.core.delivery.engine import Delivery, Surroundings, deliver
from airflow_provider_osmosdest.core.delivery.journal import begin
from airflow_provider_osmosdest.core.delivery.ledger import Entry
from airflow_provider_osmosdest.core.delivery.ledger_store import MemoryLedgerStore
from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
from airflow_provider_osmosdest.core.delivery.ranges import RangeSet
from airflow_provider_osmosdest.core.delivery.target import Target
from airflow_provider_osmosdest.core.delivery.transport import Answer
from airflow_provider_osmosdest.core.records import open_source
from airflow_provider_osmosdest.core.schema import DestinationSchema


def found(entry, fingerprint, occasion):
    store = MemoryLedgerStore()
    store.save(entry.to_json())
    said = []
    return begin(store, fingerprint, said.append, occasion), " ".join(said)


class TestBegin:
    def entry(self, **values):
        return Entry("d", "f", settled=RangeSet([(0, 7)]), counts={"delivered": 7}, occasion="1", **values)

    def test_an_unfinished_delivery_goes_on_whoever_asks(self):
        for occasion in ("1", "2", None):
            entry, said = found(self.entry(), "f", occasion)
            assert (entry.delivery_id, entry.occasion) == ("d", occasion)
            assert "7 records are settled" in said

    def test_a_complete_one_is_done_again_only_when_asked_again(self):
        for occasion in ("2", None):
            entry, said = found(self.entry(complete=True), "f", occasion)
            assert entry.delivery_id != "d"
            assert (len(entry.settled), entry.occasion, said) == (0, occasion, "")

    def test_a_retry_of_a_complete_one_finds_it_complete(self):
        # Also where the source has changed or cannot be told apart: nothing of it is read any more.
        for fingerprint in ("f", "other", None):
            entry, said = found(self.entry(complete=True), fingerprint, "1")
            assert (entry.delivery_id, entry.complete) == ("d", True)
            assert "d is complete already" in said
            assert "Nothing is sent" in said


class Accepting:
    def __init__(self):
        self.requests = 0

    def exchange(self, starting, wait):
        self.requests += len(starting)
        return [Answer(request, 200) for request in starting]

    def close(self):
        pass


class TestCompleteDelivery:
    """An attempt that is killed behind its last record, and the retry after it."""

    def deliver(self, folder, store, occasion, records):
        schema = DestinationSchema.load([{"name": "id", "type": "integer"}])
        options = DeliveryOptions(max_failures=1, retry_rejected=True)
        delivery = Delivery(Target("http://api.test"), options, schema, folder)
        transport = Accepting()
        surroundings = Surroundings(ledger=store, occasion=occasion)
        source = open_source(records)
        result = deliver(delivery, source, lambda *_, **__: transport, lambda _: None, surroundings)
        assert result.error is None
        return result.report, transport.requests

    def test_the_retry_sends_nothing_and_tells_the_same(self, tmp_path):
        store = MemoryLedgerStore()
        first, requests = self.deliver(tmp_path, store, "1", iter([{"id": 1}, {"id": "none"}]))
        assert (requests, first.read, first.delivered, first.invalid) == (1, 2, 1, 1)
        second, requests = self.deliver(tmp_path, store, "1", iter([]))
        assert requests == 0
        assert second.to_dict() == {**first.to_dict(), "seconds": second.seconds}
        assert len((tmp_path / "failures-00000.ndjson").read_text().splitlines()) == 1

    def test_asked_for_again_it_is_another_delivery(self, tmp_path):
        store = MemoryLedgerStore()
        first, _ = self.deliver(tmp_path, store, "1", [{"id": 1}])
        second, requests = self.deliver(tmp_path, store, "2", [{"id": 1}])
        assert requests == 1
        assert second.delivery_id != first.delivery_id
