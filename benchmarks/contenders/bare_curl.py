"""pycurl's ``CurlMulti`` in the shortest loop that sends each line as a request: what the transport itself costs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pycurl

IN_FLIGHT = 16


def deliver(url: str, path: Path) -> None:
    """Send the lines; an answer counts if it says 200, and what else it says is dropped."""
    multi = pycurl.CurlMulti()
    free = []
    for _ in range(IN_FLIGHT):
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.WRITEFUNCTION, len)
        free.append(curl)
    with path.open("rb") as file:
        lines = enumerate(file)
        sent = done = 0
        more = True
        while more or done < sent:
            while more and free:
                number, line = next(lines, (0, None))
                if line is None:
                    more = False
                    break
                curl = free.pop()
                curl.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", f"Idempotency-Key: {number}"])
                curl.setopt(pycurl.POSTFIELDS, line[:-1])
                multi.add_handle(curl)
                sent += 1
            multi.perform()
            _, finished, failed = multi.info_read(IN_FLIGHT)
            if failed or any(curl.getinfo(pycurl.RESPONSE_CODE) != 200 for curl in finished):  # noqa: PLR2004
                raise SystemExit("a request was not answered with 200")
            for curl in finished:
                multi.remove_handle(curl)
            free += finished
            done += len(finished)
            if not finished:
                multi.select(1.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    deliver(arguments.url, arguments.file)


if __name__ == "__main__":
    main()
