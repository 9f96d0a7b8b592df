"""The interface of every kind of upstream: bytes both ways, and operations that only some kinds support."""

from typing import Final, Protocol

from telnetsd.telnet.terminal import Terminal

READ_BYTES: Final = 16384
CLOSE_TIMEOUT_S: Final = 2.0
"""How long the other end may take to receive the last bytes when a line is closed."""


class UpstreamError(Exception):
    """An upstream cannot be reached, or is lost; the message says why, in a few words."""


class Upstream(Protocol):
    """One connection to the target of a line."""

    async def read(self) -> bytes:
        """Return received bytes, at most READ_BYTES; empty at the end.

        Raises:
            UpstreamError: The connection broke.
        """

    def write(self, data: bytes) -> None:
        """Send bytes as they were typed."""

    async def drain(self) -> None:
        """Wait until the upstream has received enough of the sent bytes.

        Raises:
            UpstreamError: The connection broke.
        """

    def local_echo(self, keys: bytes) -> bytes:
        """Return what the screen shows for typed keys, since the upstream does not echo them; empty if it does."""

    def end_input(self) -> None:
        """Pass on that no more input will come, if the upstream has a use for it."""

    def resize(self, terminal: Terminal) -> None:
        """Pass on a new screen size, if the upstream has a use for it."""

    def send_break(self) -> bool:
        """Send BREAK; return False if the upstream has none."""

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:
        """Answer a client that controls the port (RFC 2217); return None if there is no port to control."""

    def overruns(self) -> int:
        """Return how many times the system has lost received bytes since it started, before they could be read."""

    async def close(self) -> None:
        """Close the upstream; nothing of it is left when this returns."""
