"""What a session itself shows its user, between the bytes of a line: lines of text, and the prompt."""

from collections.abc import Sequence

from telnetsd.own_client import (
    REFUSED,
    SENTENCE_MAX_CHARS,
    Message,
    Notice,
    OnLine,
    Output,
    OwnClient,
    SessionOver,
    encode,
)
from telnetsd.session.wrapping import wrap
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
        columns, _ = self._protocol.agreement.window
        rows = [row for line in lines for row in wrap(line, columns)]
        text = "".join(f"{row}{NEWLINE}" for row in rows) + prompt
        self._protocol.writer.write(text.encode("utf-8", "replace"))

    def interject(self, text: str, prompt: str = "") -> None:
        """Show a line among what is already on the screen, and the prompt again after it."""
        self.write([f"{NEWLINE}*** {text}"], prompt)

    def note_line(self, name: str) -> None:
        """Note the line that the session is connected to; empty for none."""

    async def drain(self) -> None:
        """Wait until the client has read enough of what was shown.

        Raises:
            ConnectionError: The client has disconnected.
        """
        await self._protocol.drain()

    def finish(self, over: SessionOver) -> None:
        """Say why the session ends, and close the connection after what was shown; the first call counts."""
        if over.sentence:
            self.interject(over.sentence)
        self._close()

    def refuse(self, lines: Sequence[str]) -> None:
        """Show why the client is refused, and close the connection."""
        self.write(lines)
        self._close()

    def _close(self) -> None:
        self._protocol.writer.close()


class ConnectScreen(Screen):
    """The screen of a user of `telnetsd connect`, which itself says why the session ends."""

    __slots__ = ()

    def note_line(self, name: str) -> None:
        """See Screen."""
        self._tell(OnLine(name))

    def finish(self, over: SessionOver) -> None:
        """See Screen."""
        self._tell(_shortened(over))
        self._close()

    def refuse(self, lines: Sequence[str]) -> None:
        """See Screen."""
        self.write(lines)
        self.finish(SessionOver(REFUSED))

    def _tell(self, message: Message) -> None:
        self._protocol.tell_own_client(encode(message))


class RunScreen(Screen):
    """The output of a command for `telnetsd run`, as messages."""

    __slots__ = ()

    def write(self, lines: Sequence[str], prompt: str = "") -> None:  # noqa: ARG002 -- there is no prompt
        """See Screen."""
        if lines:
            self._send(Output("".join(f"{line}\n" for line in lines)))

    def interject(self, text: str, prompt: str = "") -> None:  # noqa: ARG002
        """See Screen."""
        self._send(Notice(text))

    def finish(self, over: SessionOver) -> None:
        """See Screen."""
        self._send(_shortened(over))
        self._close()

    def refuse(self, lines: Sequence[str]) -> None:
        """See Screen."""
        self.finish(SessionOver(REFUSED, "; ".join(lines)))

    def _send(self, message: Message) -> None:
        self._protocol.writer.write(encode(message) + b"\n")


def make_screen(protocol: NvtProtocol, application: str) -> Screen:
    """Return the screen of a client, by the ALPN protocol that was agreed on with it."""
    match application:
        case OwnClient.CONNECT:
            return ConnectScreen(protocol)
        case OwnClient.RUN:
            return RunScreen(protocol)
    return Screen(protocol)


def _shortened(over: SessionOver) -> SessionOver:
    return SessionOver(over.reason, over.sentence[:SENTENCE_MAX_CHARS], over.is_by_user, over.exit_status)
