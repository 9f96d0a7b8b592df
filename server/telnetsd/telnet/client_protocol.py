"""telnetlib3's client protocol, for whoever leaves it to the server to ask: `telnetsd connect`, and telnet lines."""

import asyncio
from typing import Final, cast

from telnetlib3 import TelnetWriter
from telnetlib3.client_base import BaseClient
from telnetlib3.telopt import IAC, NAWS, SB, SE

from telnetsd.telnet.gate import ReadingGate
from telnetsd.telnet.turns import turns_of_pumps

COSTLY_BYTES: Final = 256
"""How much is interpreted in a turn where there is a command every few bytes."""
PLAIN_BYTES: Final = 16_384
PLAIN_BYTES_A_COMMAND: Final = 64


class NvtClient(BaseClient):
    """Negotiates nothing of itself, and is read to its end; telnetlib3's lets go of its queue with the connection."""

    def begin_negotiation(self) -> None:
        """Wait for what the server asks; telnetlib3 would look after a timer of its negotiation otherwise."""
        self._waiter_connected.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the reader, and what is not interpreted yet, pause the server, each for itself."""
        super().connection_made(transport)
        self._gate = ReadingGate(cast("asyncio.Transport", transport))
        if self.reader is not None:
            self.reader.set_transport(self._gate)

    def data_received(self, data: bytes) -> None:
        """Read nothing more before this is interpreted."""
        self._rx_queue.append(data)
        self._rx_bytes += len(data)
        self._gate.hold("backlog")
        if self._rx_task is None:
            self._rx_task = asyncio.get_running_loop().create_task(self._process_rx())

    async def _process_rx(self) -> None:
        """Interpret what has come, a little in a turn: telnetlib3 takes 128 KiB at a time, at microseconds a byte.

        What telnetlib3 does besides, to look after its timer of a negotiation, there is no need for.
        """
        turns = turns_of_pumps()
        try:
            while self._rx_queue and not self._closing:
                await turns.wait()
                self._process_piece()
        finally:
            self._rx_task = None
            if not self._closing:
                self._gate.release("backlog")

    def _process_piece(self) -> None:
        if not self._rx_queue:
            return  # the connection was closed while this waited for its turn
        chunk = self._rx_queue.popleft()
        is_amidst_command = self.writer is not None and self.writer.is_oob
        is_costly = is_amidst_command or chunk.count(IAC) > len(chunk) // PLAIN_BYTES_A_COMMAND
        size = COSTLY_BYTES if is_costly else PLAIN_BYTES
        if len(chunk) > size:
            self._rx_queue.appendleft(chunk[size:])
        self._rx_bytes -= min(size, len(chunk))
        self._process_chunk(chunk[:size])

    def _detect_syncterm_font(self, data: bytes) -> None:
        """Take what looks like another font's name for what it is: bytes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End when everything that had come is read."""
        pending = self._rx_task
        if pending is not None and not pending.done():
            pending.add_done_callback(lambda _: self.connection_lost(exc))
        else:
            super().connection_lost(exc)


def send_window(writer: TelnetWriter, columns: int, rows: int) -> None:
    """Tell the server of another size of the window, where it has asked for it (RFC 1073)."""
    if writer.local_option.enabled(NAWS):
        size = columns.to_bytes(2, "big") + rows.to_bytes(2, "big")
        writer.send_iac(IAC + SB + NAWS + size.replace(IAC, IAC + IAC) + IAC + SE)
