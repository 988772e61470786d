"""The stores of a mailbox as they are: a disk, S3's protocol, Google's and Azure's, with many processes at once."""

from __future__ import annotations

import itertools

import pytest
from upath import UPath

from airflow_provider_osmosdest.testing.mailbox_stress import Place, stress
from airflow_provider_osmosdest.testing.store_contract import StoreContract
from tests.mailbox_servers import BUCKET
from tests.object_stores import GCSFS_WARNS

_NUMBERS = itertools.count()


class TestS3(StoreContract):
    @pytest.fixture
    def root(self, s3):
        return UPath(f"s3://{BUCKET}/contract-{next(_NUMBERS)}", **s3)

    def test_it_signs(self, store):
        store.put("data/x", b"bytes")
        assert store.sign("data/x", 60).startswith("http://127.0.0.1:")


@GCSFS_WARNS
class TestGcs(StoreContract):
    @pytest.fixture
    def root(self, gcs):
        return UPath(f"gs://{BUCKET}/contract-{next(_NUMBERS)}", **gcs)

    def test_it_signs_with_a_key_only(self, store):
        store.put("data/x", b"bytes")
        assert store.sign("data/x", 60) is None


class TestAzure(StoreContract):
    @pytest.fixture
    def root(self, azure):
        return UPath(f"abfs://{BUCKET}/contract-{next(_NUMBERS)}", **azure)

    def test_it_signs(self, store):
        store.put("data/x", b"bytes")
        assert "sig=" in store.sign("data/x", 60)


def _check(figures, readers):
    # How many there are is the machine's affair; each writer has published one at least.
    assert figures.batches >= readers
    assert figures.read == (figures.records,) * readers
    assert (figures.missing, figures.duplicates, figures.disagreements) == (0, 0, 0)


@pytest.mark.slow
def test_processes_on_a_disk(tmp_path):
    figures = stress(Place(tmp_path.as_uri()), seconds=4, kill_every=0.5)
    _check(figures, 4)
    assert figures.kills > 0


@pytest.mark.slow
def test_processes_over_s3(s3):
    _check(stress(Place(f"s3://{BUCKET}/stress", s3), seconds=8, writers=4, readers=2, kill_every=3), 2)


@GCSFS_WARNS
@pytest.mark.slow
def test_processes_over_gcs(gcs):
    _check(stress(Place(f"gs://{BUCKET}/stress", gcs), seconds=4, writers=3, readers=2, kill_every=2), 2)


@pytest.mark.slow
def test_processes_over_azure(azure):
    _check(stress(Place(f"abfs://{BUCKET}/stress", azure), seconds=8, writers=4, readers=2, kill_every=3), 2)
