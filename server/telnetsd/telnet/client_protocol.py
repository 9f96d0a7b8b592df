"""telnetlib3's client protocol, for whoever leaves it to the server to ask: `telnetsd connect`, and telnet lines."""

from telnetlib3 import TelnetWriter
from telnetlib3.client_base import BaseClient
from telnetlib3.telopt import IAC, NAWS, SB, SE


class NvtClient(BaseClient):
    """Negotiates nothing of itself, and is read to its end; telnetlib3's lets go of its queue with the connection."""

    def begin_negotiation(self) -> None:
        """Wait for what the server asks; telnetlib3 would look after a timer of its negotiation otherwise."""
        self._waiter_connected.set_result(None)

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
