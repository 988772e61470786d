"""The ranges of parts, read from an object store."""

from __future__ import annotations

import pytest

from airflow_provider_osmosdest.core.errors import SourceError
from airflow_provider_osmosdest.core.records.parts import PartSource, plan_parts
from tests.mailbox_servers import BUCKET

UPath = pytest.importorskip("upath").UPath


@pytest.mark.parametrize("suffix", ["ndjson", "csv"])
def test_parts_of_an_object_are_ranges_of_it_as_it_was(s3, suffix):
    path = UPath(f"s3://{BUCKET}/parts/a.{suffix}", **s3)
    count = 30_000
    lines = [b'{"id": %d}\n' % number if suffix == "ndjson" else b"%d,x\n" % number for number in range(count)]
    head = b"" if suffix == "ndjson" else b"id,name\n"
    with path.open("wb") as file:
        file.write(head + b"".join(lines))
    parts = plan_parts(path, parts=3)
    read: list[bytes] = []
    for part in parts:
        for block in PartSource(path, part).blocks():
            if suffix == "ndjson":
                read += block.data.splitlines(keepends=True)
            else:
                read += [b"%s,%s\n" % (row["id"].encode(), row["name"].encode()) for row in block.rows]
    assert read == lines
    with path.open("wb") as file:
        file.write(head + b"".join(reversed(lines)))
    with pytest.raises(SourceError, match="has changed since its parts were planned"):
        PartSource(path, parts[1])
