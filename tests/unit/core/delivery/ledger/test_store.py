"""The ledger as a file: what an object store's client raises is said in our words."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.failures import Failure, FailuresFile, check_parts
from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import StorageError


class HttpError(Exception):
    """As gcsfs raises for a 503: it is no OSError."""


class FailingFolder:
    """A folder of an object store that answers with 503."""

    protocol = "gs"

    def __truediv__(self, name):
        return self

    def __str__(self):
        return "gs://bucket/delivery"

    def mkdir(self, **_):
        pass

    def _fail(self, *_):
        raise HttpError("503 backend error")

    open = stat = _fail


def write_failures():
    file = FailuresFile(FailingFolder())
    file.write(Failure("rejected", "no"), [(0, b"{}")])
    file.close()


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (FolderLedgerStore(FailingFolder()).load, "the ledger gs://bucket/delivery cannot be read: 503 backend error"),
        (lambda: FolderLedgerStore(FailingFolder()).save(b"{}"), "cannot be written: 503 backend error"),
        (lambda: FolderLedgerStore(FailingFolder()).claim("a"), "cannot be written: 503 backend error"),
        (FolderLedgerStore(FailingFolder()).holder, "cannot be read: 503 backend error"),
        (write_failures, "the failures file in gs://bucket/delivery cannot be written: 503 backend error"),
        (lambda: check_parts(FailingFolder(), ["failures-00000.ndjson"]), "503 backend error"),
    ],
    ids=["load", "save", "claim", "holder", "failures", "parts"],
)
def test_an_error_of_a_store_s_client_is_a_storage_error(use, says):
    with pytest.raises(StorageError, match=says):
        use()
