"""What every kind of upstream is to a line: bytes both ways, and what only some of them can do."""

from typing import Final, Protocol

from telnetsd.telnet.terminal import Terminal

READ_BYTES: Final = 16384
CLOSE_TIMEOUT_S: Final = 2.0
"""How long the other end may take for the last bytes, when a line is closed."""


class UpstreamError(Exception):
    """An upstream cannot be reached, or is gone; the message says why, in a few words."""


class Upstream(Protocol):
    """One connection to where a line leads."""

    async def read(self) -> bytes:
        """Return what has come, at most READ_BYTES; nothing at its end.

        Raises:
            UpstreamError: The connection broke.
        """

    def write(self, data: bytes) -> None:
        """Send bytes, as they were typed."""

    async def drain(self) -> None:
        """Wait until the upstream has taken enough of what was sent.

        Raises:
            UpstreamError: The connection broke.
        """

    def resize(self, terminal: Terminal) -> None:
        """Pass on another size of the screen, where that means anything."""

    def send_break(self) -> bool:
        """Send BREAK; False where there is no such thing."""

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:
        """Answer a client that controls the port (RFC 2217); None where there is no port to control."""

    async def close(self) -> None:
        """End it; nothing of it is left when this returns."""
