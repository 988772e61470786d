from __future__ import annotations

import gzip
import hashlib
from urllib.parse import urljoin

import pytest

from tests.unit.web.conftest import lines


def stored(web, seq):
    return web.mailbox.store.get(web.mailbox.log.entry(seq).data)


def raw(web, path, **headers):
    headers.setdefault("Accept_Encoding", "gzip")
    return web.raw(path, **headers)


def test_the_list_leads_to_the_files(web):
    first = web.get("/batches?limit=2")
    document = first.json()
    assert [batch["seq"] for batch in document["batches"]] == [1, 2]
    assert document["up_to_date"] is False
    for batch in document["batches"]:
        url = urljoin(str(first.url), batch["url"])
        answer, content = raw(web, url.partition("/mailboxes/box")[2])
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Length"] == str(batch["bytes"])
        assert hashlib.sha256(content).hexdigest() == batch["sha256"]
        assert gzip.decompress(content).count(b"\n") == batch["records"]
        assert batch["signed"] is False
    rest = web.get(f"/batches?cursor={document['cursor']}").json()
    assert [batch["seq"] for batch in rest["batches"]] == [3]
    assert rest["up_to_date"] is True
    assert web.get(f"/batches?cursor={rest['cursor']}").json()["batches"] == []


def test_what_names_us_inside_is_not_listed(web):
    assert "b0" not in web.get("/batches").text


def test_who_takes_no_gzip_gets_ndjson(web):
    answer, content = raw(web, "/batches/2/data", Accept_Encoding="identity")
    assert content == b"".join(lines(3, 5))
    assert answer.headers["Content-Length"] == str(len(content))
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["ETag"] != raw(web, "/batches/2/data")[0].headers["ETag"]


def test_a_large_batch_goes_out_in_pieces_both_ways(web):
    many = [b'{"id":%d,"name":"%s"}\n' % (n, hashlib.sha256(b"%d" % n).hexdigest().encode()) for n in range(60_000)]
    web.mailbox.publish(many, batch_id="large")
    assert len(stored(web, 4)) > 2 * 2**20
    assert raw(web, "/batches/4/data")[1] == stored(web, 4)
    assert raw(web, "/batches/4/data", Accept_Encoding="identity")[1] == b"".join(many)


def test_a_download_resumes(web):
    whole = stored(web, 3)
    answer, content = raw(web, "/batches/3/data", Range="bytes=10-")
    assert answer.status_code == 206
    assert content == whole[10:]
    assert answer.headers["Content-Range"] == f"bytes 10-{len(whole) - 1}/{len(whole)}"
    etag = answer.headers["ETag"]
    assert raw(web, "/batches/3/data", Range="bytes=10-", If_Range=etag)[1] == whole[10:]
    assert raw(web, "/batches/3/data", Range="bytes=10-", If_Range='"other"')[1] == whole
    answer, _ = raw(web, "/batches/3/data", Range="bytes=100000-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(whole)}"
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_304_and_head(web, coding):
    answer, _ = raw(web, "/batches/1/data", Accept_Encoding=coding)
    again, content = raw(web, "/batches/1/data", Accept_Encoding=coding, If_None_Match=answer.headers["ETag"])
    assert (again.status_code, content) == (304, b"")
    head = web.get("/batches/1/data", method="HEAD", Accept_Encoding=coding)
    assert head.headers == answer.headers


@pytest.mark.parametrize("seq", ["0", "4", "x", "-1", "01", "9" * 30])
def test_a_batch_that_is_none_is_404(web, seq):
    answer = web.get(f"/batches/{seq}/data")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_purged_batch_is_410(web):
    web.mailbox.store.delete([web.mailbox.log.entry(1).data])
    assert web.get("/batches/1/data").status_code == 410
    assert web.get("/batches/2/data").status_code == 200


def test_a_url_that_opens_by_itself_says_so(web, monkeypatch):
    monkeypatch.setattr(web.mailbox.store, "sign", lambda name, seconds: f"https://store.example/{name}?for={seconds}")
    (batch, *_) = web.get("/batches").json()["batches"]
    assert batch["url"].startswith("https://store.example/data/")
    assert batch["signed"] is True
