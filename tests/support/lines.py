"""Lines in a test: their configuration, and a raw client on one."""

import json
import re
from collections.abc import Callable

from support.client import Client
from support.server import RunningServer

CONNECTED = b": ~. leaves, ~? shows help\r\n"
NEGOTIATION = b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x03\xff\xfd\x00\xff\xfd\x1f\xff\xfd\x18"
AGREEMENT = b"\xff\xfd\x01\xff\xfd\x03\xff\xfd\x00\xff\xfb\x03\xff\xfb\x00\xff\xfc\x1f\xff\xfc\x18"
"""The answers to NEGOTIATION of a client that agrees to everything but to describe its terminal."""
BACK_TO_LINES = b"\xff\xfc\x01\xff\xfc\x03\xff\xfc\x00\xff\xfe\x00"


def line(name: str, target: str, **options: object) -> str:
    rows = {"name": name, "target": target, **options}
    return "\n".join(["[[line]]", *(f"{key} = {json.dumps(value)}" for key, value in rows.items()), ""])


class Terminal:
    """A raw client on a line: the bytes as they arrive, without a telnet implementation."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def send(self, data: bytes) -> None:
        self.client.send(data)

    def until(self, mark: bytes) -> bytes:
        """Return the data up to and including the mark; data after it stays for the next call."""
        received, looked_at = bytearray(self.client.received), 0
        while (place := received.find(mark, looked_at)) < 0:
            looked_at = max(0, len(received) - len(mark))
            try:
                data = self.client.tls.recv(2**20)
            except TimeoutError:
                data = b""
            assert data, f"nothing more came; before that the server said {bytes(received[-2000:])!r}"
            received += data
        end = place + len(mark)
        self.client.received = bytes(received[end:])
        return bytes(received[:end])

    def connect(self, words: str) -> bytes:
        """Request a line, and return what was shown up to the connection."""
        self.send(f"connect {words}\r\n".encode())
        return self.until(b"leaves, ~? shows help\r\n")

    def leave(self) -> bytes:
        self.send(b"\r~.")
        return self.until(b"> ")

    def ask(self, words: str) -> str:
        """Request a line that is refused, and return the message."""
        self.send(f"connect {words}\r\n".encode())
        text = re.sub(rb"\xff[\xfb-\xfe].", b"", self.until(b"> "))
        return text.decode().rpartition("\r\n")[0]


OpenTerminal = Callable[[RunningServer, str], Terminal]
