"""Figures and health by HTTP, on a loopback port: /metrics for Prometheus, /healthz and /readyz for who starts us.

It has threads of its own, so that it answers when the event loop does not. They are few: of too many who say nothing,
the one that has been here longest makes room.
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
"""After how long without a sign of life whoever takes connections counts as hung."""
REQUEST_TIMEOUT_S: Final = 2.0
REQUESTS_MAX: Final = 16
"""How many connections are open at once."""
_PLAIN: Final = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))

logger = logging.getLogger(__name__)


class Health:
    """How the server is, as its event loop says, and as a thread may ask.

    Args:
        is_writable: Tells whether the audit log can be written.
    """

    def __init__(self, is_writable: Callable[[], bool]) -> None:
        self._is_writable = is_writable
        self._turned_at: float | None = None
        """When that was last so; a server that is starting has nothing to be asked for yet."""
        self.takes_connections = False
        """Whether connections are taken."""

    def turn(self) -> None:
        """Note that the event loop runs, and that somebody takes connections."""
        self._turned_at = time.monotonic()

    def what_is_wrong(self) -> str:
        """Say why the server should be started anew; nothing where it should not."""
        silent_s = 0.0 if self._turned_at is None else time.monotonic() - self._turned_at
        return f"nobody who takes connections has been heard of for {silent_s:.0f} s" if silent_s > SILENT_S else ""

    def why_not_ready(self) -> str:
        """Say why nobody should be sent here now; nothing where somebody may."""
        if not self.takes_connections:
            return "no connections are taken"
        return self.what_is_wrong() or ("" if self._is_writable() else "the audit log cannot be written")


class _Handler(WSGIRequestHandler):
    def handle(self) -> None:
        """Answer one request, and cut off who takes too long over it, however slowly they go on."""
        clock = threading.Timer(REQUEST_TIMEOUT_S, _cut_off, (self.connection,))
        clock.daemon = True
        clock.start()
        try:
            super().handle()
        finally:
            clock.cancel()

    def get_stderr(self) -> io.StringIO:
        """What goes wrong with a request is its own matter: whoever is on this machine could fill our journal."""
        return io.StringIO()

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 -- the base class's signature
        """Nobody is to read of each request."""


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
        # What binding would have done; it would also have asked the name service for our name.
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the base class's
        """Begin with a request; the connection that is open for longest makes room for it."""
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
        """Who asks wrongly, or goes away meanwhile, makes no words."""


@contextlib.contextmanager
def monitoring(listen: str, registry: CollectorRegistry, health: Health) -> Iterator[None]:
    """Answer by HTTP, while the block runs; nothing where `listen` is empty.

    Raises:
        OperatorError: The address cannot be had.
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
            return [b"only GET is answered\n"]
        if path == "/metrics":
            # The plain format, which all understand: what else could be asked for is not worth an error.
            found: Iterable[bytes] = metrics({**environ, "HTTP_ACCEPT": "text/plain"}, start_response)
            return found
        if path not in {"/healthz", "/readyz"}:
            start_response("404 Not Found", list(_PLAIN))
            return [b"there are /metrics, /healthz and /readyz\n"]
        wrong = health.what_is_wrong() if path == "/healthz" else health.why_not_ready()
        start_response("503 WorkerPool Unavailable" if wrong else "200 OK", list(_PLAIN))
        return [f"{wrong or 'ok'}\n".encode()]

    return answer
