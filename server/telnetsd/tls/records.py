"""Counting whole TLS records in a stream that is cut anywhere, by their headers alone (RFC 8446 section 5.1).

A read of the engine that finds nothing costs as much as one that finds something; the count says how many will find
something. It may be too high (a record of the handshake carries no text), and never too low.
"""

from typing import Final

RECORD_MAX_BYTES: Final = 16384
"""The most plaintext that one record carries."""
RECORD_HEADER_BYTES: Final = 5


class RecordCounter:
    """Counts whole records; `whole` is lowered by who takes one."""

    __slots__ = ("_header", "_missing", "whole")

    def __init__(self) -> None:
        self.whole = 0
        self._missing = 0
        self._header = b""

    def feed(self, data: bytes) -> None:
        """Take in bytes as they came, cut anywhere."""
        if not data:
            return
        if self._missing >= len(data):
            self._missing -= len(data)
            self.whole += self._missing == 0
            return
        self.whole += self._missing > 0
        position = self._missing
        data, self._header = self._header + data, b""
        while position + RECORD_HEADER_BYTES <= len(data):
            length = int.from_bytes(data[position + 3 : position + RECORD_HEADER_BYTES])
            position += RECORD_HEADER_BYTES + length
            self.whole += position <= len(data)
        self._missing = max(0, position - len(data))
        self._header = data[position:]
