"""telnetlib3's client protocol, for whoever leaves it to the server to ask: `telnetsd connect`, and telnet lines."""

from typing import Final

from telnetlib3 import TelnetWriter
from telnetlib3.client_base import BaseClient
from telnetlib3.telopt import IAC, NAWS, SB, SE

from telnetsd.telnet.turns import turns_of_pumps

COSTLY_BYTES: Final = 256
"""How much is interpreted in a turn where there is a command every few bytes."""
PLAIN_BYTES_A_COMMAND: Final = 64


class NvtClient(BaseClient):
    """Negotiates nothing of itself, and is read to its end; telnetlib3's lets go of its queue with the connection."""

    def begin_negotiation(self) -> None:
        """Wait for what the server asks; telnetlib3 would look after a timer of its negotiation otherwise."""
        self._waiter_connected.set_result(None)

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

    def _process_piece(self) -> None:
        if not self._rx_queue:
            return  # the connection was closed while this waited for its turn
        chunk = self._rx_queue.popleft()
        is_costly = (self.writer is not None and self.writer.is_oob) or chunk.count(IAC) > len(
            chunk
        ) // PLAIN_BYTES_A_COMMAND
        size = COSTLY_BYTES if is_costly else len(chunk)
        if len(chunk) > size:
            self._rx_queue.appendleft(chunk[size:])
        self._rx_bytes -= min(size, len(chunk))
        self._process_chunk(chunk[:size])
        if self._reading_paused and self._rx_bytes <= self._read_low and self._transport is not None:
            self._transport.resume_reading()
            self._reading_paused = False

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
