"""Splitting a stream into whole TLS records, by their headers alone (RFC 8446 section 5.1).

OpenSSL reads on through every record that carries no text, such as a key update: what it gets at once, it processes
at once. If it gets one record at a time, a peer cannot decide how much that is. The engine also tries no read that
would find nothing, which would cost as much as one that finds something.
"""

from typing import Final

RECORD_MAX_BYTES: Final = 16384
"""The most plaintext that one record carries."""
RECORD_HEADER_BYTES: Final = 5
RECORD_WIRE_MAX_BYTES: Final = RECORD_MAX_BYTES + 2048
"""The most that a record's header may announce (RFC 5246 section 6.2.3; TLS 1.3 allows less)."""


class RecordSplitter:
    """Buffers received bytes, and returns them record by record."""

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0

    @property
    def has_record(self) -> bool:
        """Whether a whole record is available."""
        return 0 < self._next_length() <= len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Add bytes as they were received, split at any point."""
        self._buffer, self._start = self._buffer[self._start :] + data, 0

    def take(self) -> bytes:
        """Return the next record; for use only if there is one."""
        end = self._start + self._next_length()
        record, self._start = self._buffer[self._start : end], end
        if end == len(self._buffer):
            self._buffer, self._start = b"", 0
        return record

    def _next_length(self) -> int:
        """Return the length of the next record with its header, or 0 if it is not known yet."""
        body = self._start + RECORD_HEADER_BYTES
        if len(self._buffer) < body:
            return 0
        length = int.from_bytes(self._buffer[body - 2 : body])
        if length > RECORD_WIRE_MAX_BYTES:
            # No record is that long. The engine tells the peer; there is nothing to wait for.
            return len(self._buffer) - self._start
        return RECORD_HEADER_BYTES + length
