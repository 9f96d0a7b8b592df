"""A gate that pauses reading from a connection, for one or several reasons at a time."""

import asyncio


class ReadingGate(asyncio.ReadTransport):
    """Reads from the client only while there is no reason to pause."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._reasons: set[str] = set()

    def pause_reading(self) -> None:
        """Pause, because the reader holds enough."""
        self.hold("reader")

    def resume_reading(self) -> None:
        """Resume, because the reader's data has been read."""
        self.release("reader")

    def hold(self, reason: str) -> None:
        """Read nothing more until the reason is gone."""
        self._reasons.add(reason)
        self._transport.pause_reading()

    def release(self, reason: str) -> None:
        """Remove a reason; resume reading when none is left."""
        self._reasons.discard(reason)
        if not self._reasons:
            self._transport.resume_reading()
