"""A client for tests, with the standard library's TLS, so that the two ends do not share their mistakes."""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, Self

from support.machine import DEADLINE_S
from support.server import Event, RunningServer
from telnetsd.administration.users.credentials import user_files

PROMPT = b"> "


_used: set[tuple[int, int]] = set()
"""The port of a server, and a port from which a client has connected to it."""


def connect_from_new_port(port: int, source: str) -> socket.socket:
    """Connect from a port that no client used for this server: a session is found in the log by its port."""
    with contextlib.ExitStack() as passed_over:
        # A socket that is passed over stays open meanwhile, so that the system chooses another port.
        while (pair := (port, (raw := _bound_to(source)).getsockname()[1])) in _used:
            passed_over.enter_context(raw)
    _used.add(pair)
    try:
        raw.settimeout(DEADLINE_S)
        raw.connect(("127.0.0.1", port))
    except BaseException:
        raw.close()
        raise
    return raw


def _bound_to(source: str) -> socket.socket:
    raw = socket.socket()
    raw.bind((source, 0))
    return raw


class Client:
    """A TLS connection to a server on loopback, without a telnet implementation."""

    def __init__(
        self,
        port: int,
        ca: Path,
        credentials: tuple[Path, Path] | None = None,
        *,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        session: ssl.SSLSession | None = None,
        context: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> None:
        self.context = context or client_context(ca, credentials, version)
        raw = connect_from_new_port(port, source or "127.0.0.1")
        self.port: int = raw.getsockname()[1]
        self.tls = self.context.wrap_socket(raw, server_hostname="localhost", session=session)
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tls.close()

    def send(self, data: bytes) -> None:
        self.tls.sendall(data)

    def read_until(self, mark: bytes = PROMPT) -> str:
        """Return the data up to and including the mark; data after it stays for the next read."""
        while mark not in self.received:
            data = self.tls.recv(65536)
            assert data, f"the server closed; before that it said {self.received!r}"
            self.received += data
        end = self.received.index(mark) + len(mark)
        text, self.received = self.received[:end], self.received[end:]
        return text.decode()

    def read_to_end(self) -> str:
        """Return everything up to the server's close_notify; a connection that breaks without it is an error."""
        while data := self.tls.recv(65536):
            self.received += data
        text, self.received = self.received, b""
        return text.decode()

    def command(self, line: str) -> str:
        """Send a line, and return the answer without the next prompt."""
        self.send(line.encode() + b"\r\n")
        return self.read_until().rpartition("\n")[0].replace("\r", "")


def client_context(
    ca: Path, credentials: tuple[Path, Path] | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The server must refuse weak keys, and not our own client.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_verify_locations(ca)
    context.minimum_version = context.maximum_version = version
    if credentials is not None:
        context.load_cert_chain(*credentials)
    return context


def connect_as(server: RunningServer, user: str | None = None, **options: Any) -> Client:
    """Connect to a server, as a user of its home folder or as a guest."""
    files = user_files(server.home, user) if user else None
    credentials = (files.certificate, files.key) if files else None
    return Client(server.port, server.home.ca_certificate, credentials, **options)


def turned_away(server: RunningServer) -> Event | None:
    """Connect and send nothing; return the event when the server closes at once, or None when it does not."""
    port = closed_at_once(server)
    return server.session_from(port, "connection-refused") if port is not None else None


def closed_at_once(server: RunningServer) -> int | None:
    """Connect and send nothing; return our port when the server closes at once, or None when it does not."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.5) as raw:
        try:
            assert raw.recv(1) == b""
        except TimeoutError:
            return None
        port: int = raw.getsockname()[1]
        return port
