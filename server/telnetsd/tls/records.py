"""Cutting a stream into whole TLS records, by their headers alone (RFC 8446 section 5.1).

OpenSSL reads on through every record that carries no text, as key updates do: what it is given at once is done at
once. Given one record at a time, no peer decides how much that is; and a read that would find nothing is not tried,
which would cost as much as one that finds something.
"""

from typing import Final

RECORD_MAX_BYTES: Final = 16384
"""The most plaintext that one record carries."""
RECORD_HEADER_BYTES: Final = 5
RECORD_WIRE_MAX_BYTES: Final = RECORD_MAX_BYTES + 2048
"""The most that a record's header may announce (RFC 5246 section 6.2.3; TLS 1.3 allows less)."""


class RecordSplitter:
    """Keeps what came, and gives it out record by record."""

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0

    @property
    def has_record(self) -> bool:
        """Whether a whole record is there."""
        return 0 < self._next_length() <= len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Take in bytes as they came, cut anywhere."""
        self._buffer, self._start = self._buffer[self._start :] + data, 0

    def take(self) -> bytes:
        """Give out the next record; only where there is one."""
        end = self._start + self._next_length()
        record, self._start = self._buffer[self._start : end], end
        if end == len(self._buffer):
            self._buffer, self._start = b"", 0
        return record

    def _next_length(self) -> int:
        """The length of the next record with its header, or 0 when that is not known yet."""
        body = self._start + RECORD_HEADER_BYTES
        if len(self._buffer) < body:
            return 0
        length = int.from_bytes(self._buffer[body - 2 : body])
        if length > RECORD_WIRE_MAX_BYTES:
            # No record is that long. The engine says so to the peer; nothing is waited for.
            return len(self._buffer) - self._start
        return RECORD_HEADER_BYTES + length
