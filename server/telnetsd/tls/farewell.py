"""Closing a raw connection so that the peer can read the last words.

Our side is closed, and what the peer still sends is taken in and dropped: otherwise the kernel would answer it with a
reset, and the last words would be lost with it.
"""

import asyncio
from typing import Final

LINGER_S: Final = 3.0
LINGER_MAX_BYTES: Final = 64 * 1024 * 1024


class Farewell:
    """One raw connection's.

    Args:
        raw: Its transport.
    """

    __slots__ = ("_dropped_bytes", "_raw", "_timer")

    def __init__(self, raw: asyncio.Transport) -> None:
        self._raw = raw
        self._timer: asyncio.TimerHandle | None = None
        self._dropped_bytes = 0

    def begin(self, *, has_peer_closed: bool, is_reading_paused: bool) -> None:
        """Close our side, and wait for the peer to close its own."""
        # Only the loss of the connection stops this clock: a peer that reads nothing would hold it for ever.
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._raw.abort)
        if has_peer_closed or self._raw.is_closing():
            self._raw.close()
            return
        if is_reading_paused:
            self._raw.resume_reading()
        self._raw.write_eof()

    def drop(self, count: int) -> None:
        """Note that the peer has sent so many bytes more; beyond a limit the connection is cut."""
        self._dropped_bytes += count
        if self._dropped_bytes > LINGER_MAX_BYTES:
            self._raw.abort()

    def end(self) -> None:
        """Note that the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
