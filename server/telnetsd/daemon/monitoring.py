"""Metrics and health by HTTP on a loopback port: /metrics for Prometheus, /healthz and /readyz for an orchestrator.

It has threads of its own, so that it answers when the event loop does not. There are few of them: if too many
connections are open, the oldest one is closed to make room.
"""

import contextlib
import io
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from telnetsd.config.address import parse_address
from telnetsd.listener.sockets import open_listener, shown_address

SILENT_S: Final = 5.0
"""After how long without a sign of life the processes that accept connections count as hung."""
REQUEST_TIMEOUT_S: Final = 2.0
REQUESTS_MAX: Final = 16
"""How many connections are open at once."""
_PLAIN: Final = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))

logger = logging.getLogger(__name__)


class Health:
    """The health of the server: its event loop reports it, and any thread may ask for it.

    Args:
        is_writable: Tells whether the audit log can be written.
    """

    def __init__(self, is_writable: Callable[[], bool]) -> None:
        self._is_writable = is_writable
        self._turned_at: float | None = None
        """When `turn` was last called; None for a server that is still starting, which does not count as hung."""
        self.takes_connections = False
        """Whether connections are accepted."""

    def turn(self) -> None:
        """Note that the event loop runs, and that a process accepts connections."""
        self._turned_at = time.monotonic()

    def what_is_wrong(self) -> str:
        """Return why the server should be restarted; empty if it should not be."""
        silent_s = 0.0 if self._turned_at is None else time.monotonic() - self._turned_at
        return f"no process that accepts connections responded for {silent_s:.0f} s" if silent_s > SILENT_S else ""

    def why_not_ready(self) -> str:
        """Return why no clients should be sent here now; empty if they may be."""
        if not self.takes_connections:
            return "no connections are accepted"
        return self.what_is_wrong() or ("" if self._is_writable() else "the audit log cannot be written")


class _Handler(WSGIRequestHandler):
    def handle(self) -> None:
        """Answer one request, and cut off a client that takes too long over it, even if it still sends slowly."""
        clock = threading.Timer(REQUEST_TIMEOUT_S, _cut_off, (self.connection,))
        clock.daemon = True
        clock.start()
        try:
            super().handle()
        finally:
            clock.cancel()

    def get_stderr(self) -> io.StringIO:
        """Discard the errors of a request: otherwise any local user could fill our journal."""
        return io.StringIO()

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 -- the base class's signature
        """Do not log each request."""


def _cut_off(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers on a socket that listens already, each request in a thread."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket) -> None:
        self._open: deque[socket.socket] = deque()
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # Binding would have done this; it would also have asked the name service for our name.
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the base class's
        """Start a request; if there is no room for it, cut off the oldest connection."""
        while len(self._open) >= REQUESTS_MAX:
            _cut_off(self._open.popleft())
        self._open.append(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 -- the base class's signature
        """Close a connection that was answered."""
        with contextlib.suppress(ValueError):
            self._open.remove(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 -- the base class's signature
        """Log nothing about a client that sends a bad request or disconnects meanwhile."""


@contextlib.contextmanager
def monitoring(listen: str, registry: CollectorRegistry, health: Health) -> Iterator[None]:
    """Answer by HTTP while the block runs; do nothing if `listen` is empty.

    Raises:
        OperatorError: The server cannot listen on the address.
    """
    if not listen:
        yield
        return
    listener = open_listener(*parse_address(listen))
    listener.setblocking(True)
    server = _Server(listener)
    server.set_app(_make_app(registry, health))
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="monitoring", daemon=True)
    thread.start()
    logger.info("metrics at http://%s/metrics", shown_address(listener.getsockname()))
    try:
        yield
    finally:
        server.shutdown()
        thread.join(REQUEST_TIMEOUT_S)
        server.server_close()


def _make_app(registry: CollectorRegistry, health: Health) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 -- WSGI
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") != "GET":
            start_response("405 Method Not Allowed", list(_PLAIN))
            return [b"only GET is supported\n"]
        if path == "/metrics":
            # The plain format, which all clients understand: a request for another format is not worth an error.
            found: Iterable[bytes] = metrics({**environ, "HTTP_ACCEPT": "text/plain"}, start_response)
            return found
        if path not in {"/healthz", "/readyz"}:
            start_response("404 Not Found", list(_PLAIN))
            return [b"use /metrics, /healthz or /readyz\n"]
        wrong = health.what_is_wrong() if path == "/healthz" else health.why_not_ready()
        start_response("503 Service Unavailable" if wrong else "200 OK", list(_PLAIN))
        return [f"{wrong or 'ok'}\n".encode()]

    return answer
