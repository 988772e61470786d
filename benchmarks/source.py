"""
1 M records at 1,000 a page: what a pull costs beside the bare loop of dlt's ``RESTClient`` on the same server.

``python benchmarks/source.py`` starts a server that answers every page from memory, runs either client as a process of
its own, in turns, and prints the medians, the ratio, and the largest resident set of each for two lengths: a pull's
memory must not grow with it. The bare loop keeps nothing; a pull validates, and writes pages, records and a report.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.figures import BENCHMARKS_PAGE, show  # noqa: E402 - a script finds its neighbours itself
from benchmarks.processes import HERE, measure, server  # noqa: E402
from benchmarks.tables import table  # noqa: E402

PAGE = 1_000
SCHEMA = {
    "fields": [
        {"name": "order_id", "type": "integer", "nullable": False},
        {"name": "customer", "type": "string", "nullable": False},
        {"name": "email", "type": "string"},
        {"name": "amount", "type": "number"},
        {"name": "currency", "type": "string"},
        {"name": "paid", "type": "boolean"},
        {"name": "created_at", "type": "datetime"},
        {"name": "note", "type": "string"},
    ]
}


def record(number: int) -> dict[str, object]:
    """Return one record of eight fields, about 230 bytes."""
    return {
        "order_id": number,
        "customer": f"Customer number {number % 9973} of the shop",
        "email": f"customer.{number % 9973}@example.com",
        "amount": number % 100_000 / 100,
        "currency": "EUR",
        "paid": number % 3 == 0,
        "created_at": "2026-01-31T09:30:00Z",
        "note": "leave it at the door, please, and ring the bell",
    }


def serve(cores: str) -> None:
    """Answer ``?offset=&limit=`` with a page and the total in the path: ``/1000000``; print the port."""
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    # A few different pages are enough to read; to make each anew would be the server's cost, not the clients'.
    pages = [json.dumps([record(page * PAGE + at) for at in range(PAGE)]).encode() for page in range(16)]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ", 2)[1].decode()
                path, _, query = target.partition("?")
                total = int(path.strip("/"))
                offset = int(dict(pair.split("=") for pair in query.split("&"))["offset"])
                data = pages[offset // PAGE % len(pages)] if offset < total else b"[]"
                body = b'{"total":%d,"offset":%d,"items":%s}' % (total, offset, data)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        listening = await asyncio.start_server(talk, "127.0.0.1", 0)
        print(listening.sockets[0].getsockname()[1], flush=True)
        async with listening:
            await listening.serve_forever()

    asyncio.run(main())


def bare(url: str, total: int) -> None:
    """Loop over the pages as dlt's documentation shows it."""
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.paginators import OffsetPaginator

    client = RESTClient(url, paginator=OffsetPaginator(limit=PAGE, total_path="total"), data_selector="items")
    count = 0
    for page in client.paginate(f"/{total}"):
        count += len(page)
    assert count == total, count


def pull(url: str, total: int, folder: str) -> None:
    """Pull the pages as the operator does, but for Airflow itself."""
    import requests
    from upath import UPath

    from airflow_provider_osmosdest.core.delivery.options import DeliveryOptions
    from airflow_provider_osmosdest.core.http.target import Target
    from airflow_provider_osmosdest.core.schema import DestinationSchema
    from airflow_provider_osmosdest.core.source.fetching.http_client import HttpClient
    from airflow_provider_osmosdest.core.source.fetching.page_fetcher import PageFetcher
    from airflow_provider_osmosdest.core.source.paging.paginator import read_paging
    from airflow_provider_osmosdest.core.source.pull_runner import PullOrder, run_pull
    from airflow_provider_osmosdest.core.source.request_spec import RequestSpec

    target = Target(f"{url}/{total}", method="GET")
    paging = read_paging({"type": "offset", "limit": PAGE, "total_path": "total"})
    spec = RequestSpec(target, paging=paging, data_selector="items")
    options = DeliveryOptions()
    order = PullOrder(
        spec=spec,
        options=options,
        schema=DestinationSchema.load(SCHEMA),
        folder=UPath(folder),
        fetcher=lambda traffic: PageFetcher(
            HttpClient(requests.Session(), target, spec.max_page_bytes, traffic=traffic), options
        ),
    )
    result = run_pull(order, print)
    assert result.error is None, result.error
    assert result.report.delivered == total, result.report


def compare(rounds: int, total: int, *, write: bool) -> None:
    """Run both in turns and show what they took."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    script = str(HERE / "source.py")
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with server("source.py", "--serve", on=set(available[1:])) as url, tempfile.TemporaryDirectory() as folder:
        taken: dict[str, list[float]] = {"bare": [], "pull": []}
        spent: dict[str, list[float]] = {"bare": [], "pull": []}
        peaks: dict[tuple[str, int], float] = {}
        for number in range(rounds):
            for count in (total // 10, total) if number == 0 else (total,):
                for who in ("bare", "pull"):
                    where = Path(folder) / f"{who}-{number}-{count}"
                    where.mkdir()
                    command = [sys.executable, script, "--run", who, "--url", url, "--total", str(count)]
                    usage = measure([*command, "--folder", str(where / "out")], environment, where)
                    peaks[who, count] = max(usage.peak, peaks.get((who, count), 0.0))
                    if count == total:
                        taken[who].append(usage.seconds)
                        spent[who].append(usage.processor)
                    cost = f"{usage.seconds:6.2f} s, {usage.processor:6.2f} s of processor, {usage.peak:5.0f} MB"
                    print(f"{who:5} {count:>9,} records: {cost}", flush=True)
    medians = {
        who: (statistics.median(taken[who]), statistics.median(spent[who]), peaks[who, total // 10], peaks[who, total])
        for who in taken
    }
    ratios = [pull / bare for pull, bare in zip(medians["pull"], medians["bare"], strict=True)]
    heads = ("", "seconds", "of processor", f"peak of {total // 10:,}", f"peak of {total:,}", "records/s")
    rows = [
        (who, f"{clock:.2f}", f"{processor:.2f}", f"{few:.0f} MB", f"{all_:.0f} MB", f"{total / clock:,.0f}")
        for who, (clock, processor, few, all_) in medians.items()
    ]
    rows += [
        ("pull / bare", *(f"{ratio:.2f}" for ratio in ratios), ""),
        ("promised, at most", "1.30", "1.30", "", "", ""),
    ]
    what = f"{total:,} records at {PAGE:,} a page, median of {rounds}"
    show(
        "pulling",
        f"{what}\n\n{table(heads, rows)}",
        packages=("dlt", "requests", "msgspec"),
        write_to=BENCHMARKS_PAGE if write else None,
    )


def main() -> None:
    """Be the server, one of the clients, or the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--cores", default="", help="of the server")
    parser.add_argument("--run", choices=("bare", "pull"), help="be a client")
    parser.add_argument("--url")
    parser.add_argument("--folder")
    parser.add_argument("--total", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    options = parser.parse_args()
    if options.serve:
        serve(options.cores)
    elif options.run == "bare":
        bare(options.url, options.total)
    elif options.run == "pull":
        pull(options.url, options.total, options.folder)
    else:
        compare(options.rounds, options.total, write=options.write)


if __name__ == "__main__":
    main()
