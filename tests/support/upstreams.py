"""Upstreams for lines: TCP and TLS servers of the standard library that do what a test says."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

Serve = Callable[[socket.socket], None]


def echo_upper(connection: socket.socket) -> None:
    """Greet, and answer everything in capitals."""
    connection.sendall(b"switch-1 console\r\n# ")
    while data := connection.recv(65536):
        connection.sendall(data.upper())


class Upstream:
    """A server on loopback, or at a Unix socket; every connection is served in a thread of its own."""

    def __init__(
        self,
        serve: Serve = echo_upper,
        context: ssl.SSLContext | None = None,
        path: Path | None = None,
        *,
        port: int = 0,
    ) -> None:
        if path is not None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        else:
            self._listener = socket.create_server(("127.0.0.1", port))
        self._serve, self._context = serve, context
        self.port: int = 0 if path is not None else self._listener.getsockname()[1]
        self.closed = threading.Semaphore(0)
        """Released whenever a connection is over."""
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that waits in accept can be woken only in this way.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._connections.append(connection)
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
            self._serve(connection)
        self.closed.release()
