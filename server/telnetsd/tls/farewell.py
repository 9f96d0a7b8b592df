"""Closing a raw connection so that the peer can read the last message.

The server closes its side, and reads and drops what the peer still sends. Otherwise the kernel would answer it with a
reset, and the last message would be lost.
"""

import asyncio
from typing import Final

LINGER_S: Final = 3.0
LINGER_MAX_BYTES: Final = 64 * 1024 * 1024


class Farewell:
    """The closing of one raw connection.

    Args:
        raw: The transport of the connection.
    """

    __slots__ = ("_dropped_bytes", "_raw", "_timer")

    def __init__(self, raw: asyncio.Transport) -> None:
        self._raw = raw
        self._timer: asyncio.TimerHandle | None = None
        self._dropped_bytes = 0

    def begin(self, *, has_peer_closed: bool, is_reading_paused: bool) -> None:
        """Close our side, and wait for the peer to close its own."""
        # Only the loss of the connection stops this timer: a peer that reads nothing would keep it open indefinitely.
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._raw.abort)
        if has_peer_closed or self._raw.is_closing():
            self._raw.close()
            return
        if is_reading_paused:
            self._raw.resume_reading()
        self._raw.write_eof()

    def drop(self, count: int) -> None:
        """Record that the peer has sent `count` more bytes; beyond a limit, abort the connection."""
        self._dropped_bytes += count
        if self._dropped_bytes > LINGER_MAX_BYTES:
            self._raw.abort()

    def end(self) -> None:
        """Stop the timer: the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
