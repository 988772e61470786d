"""Whole pulls against a real server: resumed, refused, guarded, and cut off at every write."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from airflow_provider_osmosdest.core.delivery.ledger.store import FolderLedgerStore
from airflow_provider_osmosdest.core.errors import (
    MissingExtraError,
    OptionsError,
    PagingError,
    StorageError,
    UnavailableError,
)
from airflow_provider_osmosdest.core.source import pull_runner as running
from airflow_provider_osmosdest.core.source.pages import Landing
from airflow_provider_osmosdest.core.source.parts import PartsTransport
from airflow_provider_osmosdest.core.storage import private
from airflow_provider_osmosdest.testing.servers import answer
from tests.modes import modes_below, umask
from tests.unit.core.source.scripts import asked, numbered

OFFSET = {"paginator": {"type": "offset", "limit": 10, "total_path": "total"}, "data_selector": "items"}
ITEM = {"fields": [{"name": "id", "type": "integer", "nullable": False}]}


def ids(records):
    return [record["id"] for record in records]


class TestPages:
    def test_all_of_them(self, pulling):
        pull = pulling(numbered(35))
        result = pull(**OFFSET, schema=ITEM)
        assert result.error is None
        assert ids(pull.records) == list(range(35))
        report = result.report.to_xcom()
        assert (report["read"], report["delivered"], report["pages"], report["requests"]) == (35, 35, 4, 4)
        assert report["bytes_received"] > 35 * 10
        assert json.loads((pull.folder / "report.json").read_text())["pages"] == 4
        assert len({each.connection for each in pull.server.received}) == 1

    def test_one_page_that_shows_a_next_is_an_error(self, pulling):
        pull = pulling(numbered(35))
        result = pull(data_selector="items")
        assert isinstance(result.error, PagingError)
        assert "paginator={'type': 'offset', 'limit': 10, 'total_path': 'total'}" in str(result.error)
        assert result.report.records_path is None
        assert pull(data_selector="items", paginator="single_page").report.delivered == 10

    @pytest.mark.parametrize(
        "paginator",
        [
            {"type": "json_link", "next_url_path": "paging.next"},
            {"type": "cursor", "cursor_path": "meta.cursor"},
            "header_link",
            {"type": "header_cursor", "cursor_key": "X-Next"},
        ],
    )
    def test_a_paginator_that_looks_elsewhere_does_not_take_the_first_page_for_all(self, pulling, paginator):
        result = pulling(numbered(35, next="/items?offset=10"))(data_selector="items", paginator=paginator)
        assert isinstance(result.error, PagingError)
        assert "finds no next page, and there is one. It has next = '/items?offset=10'" in str(result.error)
        # What only may be a sign of one, such as a total of more than what was asked for, is told.
        pull = pulling(numbered(35, scroll_id="x"))
        assert pull(data_selector="items", paginator=paginator, occasion="1").error is None
        assert any("finds no next page, and the answer may say" in line for line in pull.said)

    @pytest.mark.parametrize(
        ("paginator", "more"),
        [
            ({"type": "json_link", "next_url_path": "links.following"}, {"links": {"following": None}}),
            (
                {"type": "cursor", "cursor_path": "cursor", "has_more_path": "has_more"},
                {"has_more": False, "next_token": "x"},
            ),
            ("single_page", {"next": "/items?offset=10"}),
            ({"type": "offset", "limit": 10, "maximum_offset": 10}, {"next": "/items?offset=10"}),
        ],
    )
    def test_a_paginator_that_was_told_the_end_is_believed(self, pulling, paginator, more):
        pull = pulling(numbered(35, **more))
        result = pull(data_selector="items", paginator=paginator)
        assert (result.error, result.report.delivered) == (None, 10)
        assert not any("finds no next page" in line for line in pull.said)

    def test_post_with_a_body(self, pulling):
        seen = []

        def script(talk):
            seen.append(json.loads(talk.read_body()))
            talk.reply(
                200, json.dumps({"hits": [{"id": len(seen)}], "next": len(seen) if len(seen) < 3 else None}).encode()
            )

        pull = pulling(script)
        paginator = {"type": "cursor", "cursor_path": "next", "cursor_body_path": "page"}
        pull(method="POST", body={"q": "x"}, paginator=paginator, data_selector="hits")
        assert seen == [{"q": "x"}, {"q": "x", "page": 1}, {"q": "x", "page": 2}]
        assert ids(pull.records) == [1, 2, 3]

    def test_no_content(self, pulling):
        def script(talk):
            talk.read_body()
            talk.reply(204)

        result = pulling(script)(data_selector="items")
        assert (result.error, result.report.read) == (None, 0)

    def test_invalid_records_are_failure_records(self, pulling):
        def script(talk):
            talk.read_body()
            talk.reply(200, b'[{"id": 1}, {"id": "x"}, 7]')

        result = pulling(script)(schema=ITEM)
        lines = [json.loads(line) for line in Path(result.report.failures_path).read_text().splitlines()]
        assert [(line["index"], line["outcome"], line["record"]) for line in lines] == [
            (1, "invalid", {"id": "x"}),
            (2, "invalid", 7),
        ]
        assert "max_failures allows 0" in str(result.error)

    def test_without_dlt(self, pulling, monkeypatch):
        pull = pulling(numbered(1))
        monkeypatch.setitem(sys.modules, "dlt.sources.helpers.rest_client", None)
        with pytest.raises(MissingExtraError, match=r"airflow-provider-osmosdest\[source\]"):
            pull(data_selector="items")


class TestRetries:
    def test_what_passes_is_asked_again(self, pulling):
        state = {"failed": 0}

        def script(talk):
            talk.read_body()
            if state["failed"] < 2:
                state["failed"] += 1
                talk.reply(429, b"slow down", {"Retry-After": "7"})
                return
            talk.reply(200, b'[{"id": 1}]')

        pull = pulling(script)
        result = pull()
        assert (result.report.requests, result.report.retries) == (3, 2)
        assert sum(pull.slept) >= 14
        assert any("answered 429: 'slow down'. Retry 1 of 2 in 7.0 s" in line for line in pull.said)

    def test_broken_off_and_reset(self, pulling):
        state = {"count": 0}

        def script(talk):
            talk.read_body()
            state["count"] += 1
            if state["count"] == 1:
                talk.reset()
            elif state["count"] == 2:
                talk.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"id"')
                talk.close()
            else:
                talk.reply(200, b'[{"id": 1}]')

        assert pulling(script)().report.delivered == 1

    def test_spent(self, pulling):
        def script(talk):
            talk.read_body()
            talk.reply(503, b"down")

        pull = pulling(script)
        result = pull()
        assert isinstance(result.error, UnavailableError)
        assert result.ended.mendable
        assert "stayed unavailable through 2 retries; it last answered 503: 'down'" in str(result.error)
        assert len(pull.server.received) == 3

    @pytest.mark.parametrize(
        ("status", "advice"), [(401, "token or password"), (404, "endpoint"), (400, "query and body")]
    )
    def test_refusals_are_not_retried(self, pulling, status, advice):
        def script(talk):
            talk.read_body()
            talk.reply(status, b"no: tok-123456")

        pull = pulling(script)
        result = pull(secrets=("tok-123456",))
        assert isinstance(result.error, PagingError)
        assert advice in str(result.error)
        assert "no: ***" in str(result.error)
        assert len(pull.server.received) == 1

    def test_redirects_within_the_host_only(self, pulling):
        def script(talk):
            talk.read_body()
            if talk.request.target.startswith("/there"):
                talk.reply(200, b'[{"id": 1}]')
            elif talk.request.target.startswith("/away"):
                talk.reply(307, b"", {"Location": "http://evil.test/"})
            else:
                talk.reply(307, b"", {"Location": "/there"})

        pull = pulling(script)
        assert pull().report.delivered == 1
        assert "It points to http://evil.test/" in str(pull(path="/away", occasion="1").error)


class TestActions:
    @pytest.fixture
    def ending(self, pulling):
        def script(talk):
            talk.read_body()
            page = int(asked(talk).get("page", 1))
            if page == 2 and asked(talk).get("hole"):
                talk.reply(500, b"hole")
            elif page > 3:
                talk.reply(404, b'{"error": "no such page"}')
            else:
                talk.reply(200, json.dumps([{"id": page}]).encode())

        return pulling(script)

    PAGES = {"paginator": {"type": "page_number", "base_page": 1}}  # noqa: RUF012

    def test_without_any(self, ending):
        assert isinstance(ending(**self.PAGES).error, PagingError)

    def test_stop(self, ending):
        result = ending(**self.PAGES, response_actions=[{"status": 404, "action": "stop"}])
        assert (result.error, ids(ending.records)) == (None, [1, 2, 3])

    def test_ignore_goes_on_where_pages_are_counted(self, ending):
        actions = [{"content": "hole", "action": "ignore"}, {"status": "4xx", "action": "stop"}]
        result = ending(**self.PAGES, query={"hole": 1}, response_actions=actions)
        assert (result.error, ids(ending.records)) == (None, [1, 3])

    def test_fail_and_retry(self, ending):
        result = ending(**self.PAGES, response_actions=[{"content": '"id": 2', "action": "fail"}])
        assert "response_actions say that this is a failure" in str(result.error)
        result = ending(**self.PAGES, response_actions=[{"content": '"id": 2', "action": "retry"}], occasion="1")
        assert isinstance(result.error, UnavailableError)


class TestGuards:
    def test_a_cursor_that_repeats(self, pulling):
        def script(talk):
            talk.read_body()
            page = int(asked(talk).get("cursor", 0))
            talk.reply(200, json.dumps({"items": [{"id": page}], "next": page % 3 + 1}).encode())

        result = pulling(script)(data_selector="items", paginator={"type": "cursor", "cursor_path": "next"})
        assert "its next page is one that was fetched before" in str(result.error)
        assert result.report.pages == 3

    def test_more_pages_than_allowed_can_be_gone_on_with(self, pulling):
        pull = pulling(numbered(35))
        result = pull(**OFFSET, max_pages=2)
        assert "there are more than 2, the bound of max_pages" in str(result.error)
        assert pull(**OFFSET, max_pages=4, occasion="1").error is None
        assert ids(pull.records) == list(range(35))
        assert len(pull.server.received) == 4

    def test_a_page_that_is_too_long_also_when_packed(self, pulling):
        def script(talk):
            talk.read_body()
            talk.reply(200, gzip.compress(b'["' + b"x" * 50_000_000 + b'"]'), {"Content-Encoding": "gzip"})

        result = pulling(script)(max_page_bytes=1_000_000)
        assert "longer than max_page_bytes, 1,000,000" in str(result.error)
        assert result.report.bytes_received < 10_000_000

    def test_what_is_packed_twice_is_not_unpacked(self, pulling):
        twice = gzip.compress(gzip.compress(b"[]"))
        pull = pulling(answer(200, twice, {"Content-Encoding": "gzip, gzip"}))
        assert "packed more than once" in str(pull().error)

    def test_what_the_api_says_is_shown_without_secrets(self, pulling):
        for body in (b"<html>s3cr3t</html>", b'{"next": "/x?key=s3cr3t"}'):
            error = str(pulling(answer(200, body))(secrets=("s3cr3t",), data_selector=None).error)
            assert "s3cr3t" not in error
            assert "***" in error

    def test_a_number_beyond_any_float_does_not_stop_paging(self, pulling):
        pull = pulling(answer(200, b'{"items": [{"id": 1}], "most": 1e400}'))
        assert pull(data_selector="items").error is None
        assert pull.records == [{"id": 1}]

    @pytest.mark.parametrize("name", ["max_pages", "max_page_bytes"])
    def test_bounds_are_numbers(self, pulling, name):
        with pytest.raises(OptionsError, match=f"{name}: found 0, expected a whole number of at least 1"):
            pulling(numbered(1))(**{name: 0})


class TestResuming:
    def test_a_wish_to_stop(self, pulling):
        pull = pulling(numbered(35))
        pull.stopping = lambda: "The task was told to stop" if len(pull.server.received) >= 2 else None
        result = pull(**OFFSET)
        assert str(result.error) == "The task was told to stop"
        pull.stopping = None
        assert pull(**OFFSET).error is None
        assert ids(pull.records) == list(range(35))

    def test_what_is_complete_is_not_asked_again_in_a_retry(self, pulling):
        pull = pulling(numbered(35))
        first = pull(**OFFSET).report
        second = pull(**OFFSET).report
        assert (second.delivery_id, second.delivered, second.pages) == (first.delivery_id, 35, 4)
        assert len(pull.server.received) == 4
        assert pull(**OFFSET, occasion="1").report.delivery_id != first.delivery_id
        assert len(pull.server.received) == 8
        assert ids(pull.records) == list(range(35))

    def test_a_changed_question_begins_anew(self, pulling):
        pull = pulling(numbered(35))
        pull(**OFFSET, max_pages=2)
        result = pull(**OFFSET, query={"color": "red"})
        assert ids(pull.records) == list(range(35))
        assert result.report.pages == 4
        assert any("What is asked for has changed" in line for line in pull.said)

    def test_secrets_in_a_next_link_are_not_stored(self, pulling):
        def script(talk):
            talk.read_body()
            page = int(asked(talk).get("page", 1))
            more = {"next": f"/items?page={page + 1}&key=sesame%2Fopen"} if page < 3 else {}
            talk.reply(200, json.dumps({"items": [{"id": page}], **more}).encode())

        pull = pulling(script)
        parameters = {"path": "/items?key=sesame%2Fopen", "secrets": ("sesame/open", "sesame%2Fopen")}
        parameters |= {"data_selector": "items", "paginator": "json_link"}
        pull(**parameters, max_pages=2)
        states = [path.read_text() for path in (pull.folder / "state").iterdir()]
        assert states
        assert not any("sesame" in text for text in states)
        assert pull(**parameters).error is None
        assert ids(pull.records) == [1, 2, 3]

    def test_a_page_that_is_gone_is_noticed(self, pulling):
        pull = pulling(numbered(35))
        pull(**OFFSET, max_pages=2)
        next((pull.folder / "pages").iterdir()).unlink()
        with pytest.raises(StorageError, match="1 of 2 pages are gone"):
            pull(**OFFSET)

    def test_a_page_that_lost_its_end_is_noticed(self, pulling):
        pull = pulling(numbered(35))
        pull(**OFFSET, max_pages=2)
        min((pull.folder / "pages").iterdir()).write_bytes(b"")
        with pytest.raises(StorageError, match="has 0 bytes, and had 100"):
            pull(**OFFSET)

    def test_a_state_that_lost_its_end_is_as_if_it_had_not_been(self, pulling):
        pull = pulling(numbered(35))
        pull(**OFFSET, max_pages=2)
        newest = max((pull.folder / "state").iterdir())
        newest.write_bytes(newest.read_bytes()[:-5])
        assert pull(**OFFSET).error is None
        assert ids(pull.records) == list(range(35))
        assert len(pull.server.received) == 5

    def test_a_ledger_that_is_gone_is_noticed(self, pulling):
        pull = pulling(numbered(35))
        pull(**OFFSET)
        (pull.folder / "ledger.json").unlink()
        with pytest.raises(StorageError, match="the ledger that says so is gone"):
            pull(**OFFSET)

    def test_an_incremental_pull_that_is_cleared_takes_its_records_again(self, pulling):
        records = [{"id": 1}, {"id": 2}]

        def script(talk):
            talk.read_body()
            since = int(asked(talk).get("since", 0))
            talk.reply(200, json.dumps([each for each in records if each["id"] >= since]).encode())

        pull = pulling(script)
        new = {"cursor_path": "id", "param": "since"}
        assert pull(incremental=new).error is None
        records.append({"id": 3})
        # What comes after it may have failed, and be cleared with it.
        assert pull(incremental=new, occasion="1").error is None
        assert pull.records == records
        pull.folder = pull.folder.parent / "the next run"
        assert pull(incremental=new).report.dropped == 1
        assert pull.records == []

    @pytest.mark.parametrize("part_bytes", [60, 10**6])
    @pytest.mark.parametrize("incremental", [None, {"cursor_path": "id", "param": "since", "overlap": 3}])
    def test_cut_off_at_every_write(self, pulling, monkeypatch, incremental, part_bytes):
        """Whatever write is the last, the next attempt brings each record once, and asks for no kept page again."""

        class Cut(BaseException):
            pass

        left = [10**9]

        def counted(original):
            def write(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    raise Cut
                return original(*args, **kwargs)

            return write

        monkeypatch.setattr(running, "_PART_BYTES", part_bytes)
        writes = [(Landing, "land"), (Landing, "save"), (Landing, "clear"), (FolderLedgerStore, "save")]
        for owner, name in [*writes, (PartsTransport, "_write"), (running, "write_report")]:
            monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
        monkeypatch.setattr(running, "finish_parts", counted(running.finish_parts))
        pull = pulling(numbered(35))
        ends = 0
        for cut in range(1, 100):
            pull.folder = pull.folder.parent / f"delivery-{cut}"
            state = pull.folder.parent / "state" / "incremental.json"
            state.unlink(missing_ok=True)
            pull.server.received.clear()
            left[0] = cut
            try:
                pull(**OFFSET, incremental=incremental)
                ends = cut
            except Cut:
                left[0] = 10**9
                assert pull(**OFFSET, incremental=incremental).error is None
            left[0] = 10**9
            assert ids(pull.records) == list(range(35)), cut
            assert len(pull.server.received) <= 5, cut
            if incremental is not None:
                assert json.loads(state.read_text())["value"] == 34
                assert len(json.loads(state.read_text())["seen"]) == 4
            if ends:
                break
        assert ends > 10
        assert len(list((pull.folder / "records").iterdir())) == (1 if part_bytes > 1000 else 6)


def test_pages_records_and_what_is_known_of_them_are_private(pulling, tmp_path):
    pull = pulling(numbered(35))
    pull.folder = private(tmp_path / "disk") / "delivery"
    with umask(0):
        assert pull(**OFFSET, schema=ITEM, incremental={"cursor_path": "id", "param": "since"}).error is None
    assert modes_below(tmp_path / "disk") == {"files": {"0600"}, "folders": {"0700"}}


def test_nothing_is_asked_for_where_nothing_can_be_kept(pulling, tmp_path):
    pull = pulling(numbered(35))
    (tmp_path / "file").write_bytes(b"")
    pull.folder = tmp_path / "file" / "delivery"
    with pytest.raises(StorageError, match=r"tried first, and a file in it cannot be written"):
        pull(**OFFSET, schema=ITEM)
    assert pull.server.received == []
