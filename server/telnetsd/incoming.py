"""Reading raw bytes of many connections with one buffer.

An event loop that chooses how much to read takes a quarter of a megabyte at once from whoever sends that much, and
what is looked at record by record would lie about for as long: for each of a thousand connections.
"""

import asyncio
from typing import Final

READ_BYTES: Final = 18_432
"""As much as a TLS record may be on the wire (RFC 5246 section 6.2.3); less would be more reads than records."""
# Filled, and emptied, in one turn of the one event loop that a process has.
_BUFFER: Final = memoryview(bytearray(READ_BYTES))


class IncomingProtocol(asyncio.BufferedProtocol):
    """A protocol of a raw connection, which is given at most READ_BYTES at once."""

    def get_buffer(self, _: int) -> memoryview:
        """Return where the event loop is to put what it reads."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what it has read."""
        self.data_received(bytes(_BUFFER[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        raise NotImplementedError
