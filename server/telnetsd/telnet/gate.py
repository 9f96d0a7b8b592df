"""Reading from a connection, or not, for several reasons at a time."""

import asyncio


class ReadingGate(asyncio.ReadTransport):
    """Reads from the client only while nobody has a reason not to."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._reasons: set[str] = set()

    def pause_reading(self) -> None:
        """The reader holds enough."""
        self.hold("reader")

    def resume_reading(self) -> None:
        """The reader has been read."""
        self.release("reader")

    def hold(self, reason: str) -> None:
        """Read nothing more until the reason is gone."""
        self._reasons.add(reason)
        self._transport.pause_reading()

    def release(self, reason: str) -> None:
        """A reason is gone."""
        self._reasons.discard(reason)
        if not self._reasons:
            self._transport.resume_reading()
