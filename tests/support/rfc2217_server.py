"""A server of a serial port by RFC 2217: that of pyserial, on a pty."""

import os
import select
import socket
import threading
import tty
from typing import Any, cast

import serial
from serial import rfc2217


class Port(serial.Serial):
    """A port on a pty, with the modem signals that a pty does not have."""

    cts = dsr = cd = property(lambda _: True)
    ri = property(lambda _: False)


class PortServer:
    """Serves one client at a time.

    Attributes:
        settings: The port, as clients have set it up.
        device: The other end of the port, as a descriptor.
    """

    def __init__(self) -> None:
        self.device, self._slave = os.openpty()
        tty.setraw(self.device)
        self.settings = Port(os.ttyname(self._slave), timeout=0)
        self.breaks: list[bool] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self._listener.settimeout(0.1)
        while not self._is_over.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        class Connection:
            """The client's connection, as pyserial's manager wants it."""

            def write(self, data: bytes) -> None:
                client.sendall(data)

        manager: Any = cast("Any", rfc2217.PortManager)(self.settings, Connection())
        while not self._is_over.is_set():
            ready, _, _ = select.select([client.fileno(), self.settings.fileno()], [], [], 0.1)
            self.breaks.append(self.settings.break_condition)
            if client.fileno() in ready:
                data = client.recv(4096)
                if not data:
                    return
                self.settings.write(b"".join(manager.filter(data)))
            if self.settings.fileno() in ready:
                client.sendall(b"".join(manager.escape(self.settings.read(4096))))

    def close(self) -> None:
        """Stop serving."""
        self._is_over.set()
        self._thread.join()
        self._listener.close()
        self.settings.close()
        os.close(self.device)
        os.close(self._slave)
