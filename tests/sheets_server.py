"""A server that speaks the values API of Google Sheets v4, as far as reading goes."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cell", "Sheet", "serving_sheet"]


@dataclass(frozen=True)
class Cell:
    """A cell whose value is shown otherwise than it is: a formatted number."""

    value: Any
    shown: str


@dataclass
class Sheet:
    """The one sheet there is; ``rows`` may be changed between two requests."""

    spreadsheet_id: str
    rows: list[list[Any]] = field(default_factory=list)
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)

    def values(self, render: str) -> list[list[Any]]:
        """Return the rows as the API does: empty cells at the end of a row, and empty rows at the end, are left out."""
        rows = []
        for row in self.rows:
            cells = [self._rendered(cell, render) for cell in row]
            while cells and cells[-1] == "":
                cells.pop()
            rows.append(cells)
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @staticmethod
    def _rendered(cell: Any, render: str) -> Any:
        unformatted = render == "UNFORMATTED_VALUE"
        if isinstance(cell, Cell):
            return cell.value if unformatted else cell.shown
        return cell if unformatted or isinstance(cell, str) else str(cell)


@contextmanager
def serving_sheet(spreadsheet_id: str) -> Iterator[Sheet]:
    """Serve a sheet on a free port."""
    sheet = Sheet(spreadsheet_id)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            path = parts.path.split("/")
            if len(path) != 6 or path[:3] != ["", "v4", "spreadsheets"] or path[4] != "values":
                self._answer(404, {"error": {"code": 404, "message": "Not found.", "status": "NOT_FOUND"}})
            elif unquote(path[3]) != sheet.spreadsheet_id:
                message = "Requested entity was not found."
                self._answer(404, {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}})
            else:
                sheet.requests.append(options)
                values = sheet.values(options.get("valueRenderOption", "FORMATTED_VALUE"))
                document = {"range": unquote(path[5]), "majorDimension": options.get("majorDimension", "ROWS")}
                self._answer(200, document | ({"values": values} if values else {}))

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sheet.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield sheet
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
