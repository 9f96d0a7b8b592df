"""What a session itself shows its user, between the bytes of a line: lines of text, and the prompt."""

from collections.abc import Sequence

from telnetsd.telnet.protocol import NvtProtocol

NEWLINE = "\r\n"


class Screen:
    """The user's screen.

    Args:
        protocol: The telnet protocol of the connection.
    """

    __slots__ = ("_protocol", "_said")

    def __init__(self, protocol: NvtProtocol) -> None:
        self._protocol = protocol
        self._said: list[str] = []

    def say(self, text: str) -> None:
        """Keep text for the next `show`: one or more lines, without the last line end."""
        self._said.extend(text.splitlines() or [""])

    def show(self, prompt: str = "") -> None:
        """Show the text that was kept, and the prompt after it."""
        self.write(self._said, prompt)
        self._said.clear()

    def write(self, lines: Sequence[str], prompt: str = "") -> None:
        """Show lines at once, and the prompt after them."""
        text = "".join(f"{line}{NEWLINE}" for line in lines) + prompt
        self._protocol.writer.write(text.encode("utf-8", "replace"))

    def interject(self, text: str, prompt: str = "") -> None:
        """Show a line among what is already on the screen, and the prompt again after it."""
        self.write([f"{NEWLINE}*** {text}"], prompt)

    async def drain(self) -> None:
        """Wait until the client has read enough of what was shown.

        Raises:
            ConnectionError: The client has disconnected.
        """
        await self._protocol.drain()

    def close(self) -> None:
        """Close the connection after what was shown."""
        self._protocol.writer.close()
