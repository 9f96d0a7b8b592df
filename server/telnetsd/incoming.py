"""Reading the raw bytes of many connections into one buffer.

If the event loop chooses how much to read, it reads a quarter of a megabyte at once from a peer that sends that much.
The server processes it record by record, so the bytes would stay in memory until then, for each of a thousand
connections.
"""

import asyncio
from typing import Final

READ_BYTES: Final = 18_432
"""The maximum size of a TLS record on the wire (RFC 5246 section 6.2.3); less would mean more reads than records."""
# Filled and emptied within one turn of the only event loop of a process.
_BUFFER: Final = memoryview(bytearray(READ_BYTES))


class IncomingProtocol(asyncio.BufferedProtocol):
    """A protocol of a raw connection that receives at most READ_BYTES at once."""

    def get_buffer(self, _: int) -> memoryview:
        """Return the buffer into which the event loop is to read."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on the bytes that were read."""
        self.data_received(bytes(_BUFFER[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Process the bytes that arrived."""
        raise NotImplementedError
