"""
A real HTTP server for tests, which handles each request by a script, faults included.

::

    def script(talk: Conversation) -> None:
        talk.read_body()
        talk.reply(200, b"{}")

    with ScriptedServer(script) as server:
        ...  # requests to server.url
        assert server.received[0].body == b"[1,2]"

It speaks HTTP/1.1 over plain sockets, so that a script can break off wherever it likes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Conversation", "Received", "ScriptedServer", "answer", "free_port", "self_signed"]

_HEAD_END = b"\r\n\r\n"
_TLS_HANDSHAKE = b"\x16"  # the type of a TLS record that opens a connection, RFC 8446 section 5.1


@dataclass(slots=True)
class Received:
    """
    A request as it came in.

    :param connection: the number of the connection it came on, from 0
    :param method: the method
    :param target: path and query, as sent
    :param headers: value by name in lower case, as the bytes that were sent
    :param body: as much of the body as the script read
    :param whole: the script read all of it
    """

    connection: int
    method: str
    target: str
    headers: dict[str, bytes]
    body: bytes = b""
    whole: bool = False

    @property
    def length(self) -> int:
        """The body's length as the headers state it, in bytes."""
        return int(self.headers.get("content-length", b"0"))


@dataclass(slots=True)
class Conversation:
    """
    One request and what is done with it.

    :param request: the request, its body not read yet
    :param number: how many requests came before it on this connection
    """

    request: Received
    number: int
    _socket: socket.socket
    _buffer: bytearray
    _closing: threading.Event
    ended: bool = field(default=False, init=False)

    def read_body(self, most: int | None = None) -> bytes:
        """Read the body, or ``most`` bytes of it, and return what was read."""
        wanted = self.request.length if most is None else min(most, self.request.length)
        while len(self._buffer) < wanted and _fill(self._socket, self._buffer):
            pass
        self.request.body = bytes(self._buffer[:wanted])
        self.request.whole = len(self.request.body) == self.request.length
        del self._buffer[:wanted]
        return self.request.body

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(raw)

    def reply(self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        lines = {"Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body)

    def close(self) -> None:
        """Close the connection; what came in and was not read makes that a reset."""
        self.ended = True

    def reset(self) -> None:
        """Reset the connection at once, whatever is still under way."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ended = True

    def hang(self) -> None:
        """Send nothing more until the other side leaves or the server is closed."""
        self.ended = True
        self._socket.settimeout(0.05)
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                if not self._socket.recv(65536):
                    return

    def drip(self, raw: bytes = b"x") -> None:
        """Send bytes again and again, 20 times a second, until the other side leaves or the server is closed."""
        self.ended = True
        with contextlib.suppress(OSError):
            while not self._closing.wait(0.05):
                self._socket.sendall(raw)


def answer(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Callable[[Conversation], None]:
    """Return a script that reads every request and answers it alike."""

    def script(talk: Conversation) -> None:
        talk.read_body()
        talk.reply(status, body, headers)

    return script


class ScriptedServer:
    """
    Serve on a free port of 127.0.0.1, a thread for each connection.

    :param script: is given every request, one after another on each connection
    :param tls: the server's side of TLS, ``None`` for plain HTTP
    """

    def __init__(self, script: Callable[[Conversation], None], *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.received: list[Received] = []
        self.connections = 0

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        """Close every connection and wait for the threads."""
        self._closing.set()
        # A shutdown wakes the threads that wait for a connection or for bytes; a close would not.
        with self._lock:
            sockets = [self._listener, *self._open]
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()

    def stop_listening(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                number, self.connections = self.connections, self.connections + 1
                self._open.add(accepted)
            self._start(self._serve, accepted, number)

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.add(connection)
            with connection:
                self._converse(connection, number)
        except OSError:
            pass  # the other side left, as it may
        finally:
            with self._lock:
                self._open -= {plain, connection}
            plain.close()

    def _converse(self, connection: socket.socket, number: int) -> None:
        buffer = bytearray()
        count = 0
        while (received := _read_head(connection, buffer, number)) is not None:
            with self._lock:
                self.received.append(received)
            talk = Conversation(received, count, connection, buffer, self._closing)
            self._script(talk)
            if talk.ended:
                return
            count += 1


def _read_head(connection: socket.socket, buffer: bytearray, number: int) -> Received | None:
    while (end := buffer.find(_HEAD_END)) < 0:
        if buffer[:1] == _TLS_HANDSHAKE:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return None
        if not _fill(connection, buffer):
            return None
    first, *lines = bytes(buffer[:end]).split(b"\r\n")
    del buffer[: end + len(_HEAD_END)]
    method, target, _ = first.decode("latin-1").split(" ", 2)
    pairs = (line.partition(b":") for line in lines)
    headers = {name.decode("latin-1").lower(): value.strip() for name, _, value in pairs}
    return Received(number, method, target, headers)


def _fill(connection: socket.socket, buffer: bytearray) -> bool:
    data = connection.recv(256 * 1024)
    buffer += data
    return bool(data)


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def self_signed(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """
    Make a certificate that vouches for itself.

    :param folder: where its files go
    :param name: a host name or IP address to issue it to
    :return: the server's side of TLS with it, and the path of the certificate for a client that is to trust it
    """
    import ssl
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.crt", folder / f"{name}.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)
