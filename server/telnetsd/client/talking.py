"""A user at a terminal: keys in, the server's text out, and how a connection ends."""

import asyncio
import contextlib
import re
import signal
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

from telnetsd.client.connecting import Address, LostError, connect, is_telnetsd
from telnetsd.client.keyboard import READ_BYTES, Keyboard
from telnetsd.escaping import escape_controls
from telnetsd.events.reason import EndReason
from telnetsd.own_client import OnLine, SessionOver, decode_message
from telnetsd.telnet.client_protocol import NvtConnection
from telnetsd.telnet.line_discipline import END_OF_INPUT

BACKOFF_MIN_S: Final = 1.0
BACKOFF_MAX_S: Final = 30.0
CLOSE_S: Final = 2.0
SETTLED_S: Final = 0.5
"""How long a server is silent when it has done what a script told it."""
LINGER_S: Final = 2.0
"""How long a line is silent when it has shown what a script has asked for; as `linger_s` of a line."""
STABLE_S: Final = 30.0
"""A connection that lasts this long makes the next wait short again."""
_ESCAPE: Final = b"\x1d"
_ESCAPE_HELP: Final = "^] then: . disconnects, ^Z suspends, ^] sends ^]"
_LINE_NAME: Final = re.compile(r"[A-Za-z0-9._-]{0,64}")
_LEAVE: Final = b"~."
_SUSPEND: Final = b"\x1a"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended.

    Attributes:
        words: What to tell the user, after the name of the server.
        is_by_user: Whether the user has ended it.
        is_lost: Whether it may be taken up again.
    """

    words: str
    is_by_user: bool = False
    is_lost: bool = False


class Conversation:
    """A user's conversation with one server, over as many connections as it takes.

    Args:
        address: The server.
        context: From `make_client_context`.
        keyboard: What is typed on.
        screen: Where the server's text is written.
        line: The line to connect to at once; empty for the prompt.
        reconnects: Whether a lost connection is taken up again.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        keyboard: Keyboard,
        screen: BinaryIO,
        *,
        line: str = "",
        reconnects: bool = False,
    ) -> None:
        self._address = address
        self._context = context
        self._keyboard = keyboard
        self._screen = screen
        self._line = line
        self._reconnects = reconnects
        self._connection: NvtConnection | None = None
        self._over: SessionOver | None = None
        self._is_disconnected = False
        self._wait_s = BACKOFF_MIN_S
        self.is_at_line_start = True
        """Whether the screen's cursor is at the beginning of a line."""
        self._is_escaped = False
        self._is_on_line = False
        self._heard_at = 0.0
        """When the server last said something, by the event loop's clock."""

    async def run(self) -> Ending:
        """Talk until the user or the server ends it; the terminal is then as it was.

        Raises:
            OperatorError: There was no connection at all, or the server is not the expected one.
        """
        chunks = self._keyboard.read_in_background()
        with self._signals():
            try:
                ending = await self._talk_once(await connect(self._address, self._context), chunks)
                while ending.is_lost and self._reconnects:
                    ending = await self._take_up(ending, chunks)
            finally:
                self._keyboard.set_raw(wanted=False)
                self._keyboard.show()
        return ending

    def say(self, text: str) -> None:
        """Show a line of our own, on a line of its own."""
        start = b"" if self.is_at_line_start else b"\r\n"
        self._write(start + text.encode("utf-8", "replace") + b"\r\n")

    async def _take_up(self, ending: Ending, chunks: "asyncio.Queue[bytes]") -> Ending:
        """Connect again, however long that takes, and go on where the session was."""
        self.say(f"*** connection to {self._address.host} {ending.words}; connecting again (^C ends)")
        self._keyboard.hide()
        while True:
            await asyncio.sleep(self._wait_s)
            # A server that accepts connections and loses them at once is not asked every second.
            self._wait_s = min(self._wait_s * 2, BACKOFF_MAX_S)
            with contextlib.suppress(LostError):
                connection = await connect(self._address, self._context)
                break
        # What was typed in between was meant for a session that is over.
        self._keyboard.drop_line()
        while not chunks.empty():
            if not chunks.get_nowait():
                chunks.put_nowait(b"")
                break
        self._keyboard.show()
        return await self._talk_once(connection, chunks)

    async def _talk_once(self, connection: NvtConnection, chunks: "asyncio.Queue[bytes]") -> Ending:
        self._connection, self._over = connection, None
        begun = asyncio.get_running_loop().time()
        is_ours = is_telnetsd(connection)
        self._negotiate(connection, is_ours=is_ours)
        self._is_on_line, self._heard_at = False, begun
        typing = asyncio.get_running_loop().create_task(self._send(chunks, connection, is_ours=is_ours))
        try:
            while data := await connection.read(READ_BYTES):
                self._write(data)
        except (OSError, ssl.SSLError) as error:
            return Ending(f"lost: {getattr(error, 'strerror', None) or error}", is_lost=True)
        finally:
            self._connection = None
            self._keyboard.set_raw(wanted=False)
            typing.cancel()
            if asyncio.get_running_loop().time() - begun > STABLE_S:
                self._wait_s = BACKOFF_MIN_S
            await connection.close(CLOSE_S)
        return self._ending(is_ours=is_ours)

    def _negotiate(self, connection: NvtConnection, *, is_ours: bool) -> None:
        keys = self._keyboard
        connection.offer_terminal(lambda: keys.kind, keys.size)
        connection.on_echo(lambda wanted: keys.set_raw(wanted=wanted))
        if is_ours:
            connection.on_message(self._hear)
        if keys.is_terminal:
            connection.ask_character_mode()
        if self._line:
            connection.write(f"connect {self._line}\r\n".encode())

    def _hear(self, data: bytes) -> None:
        """Take a message of the server; one that this version does not know is ignored."""
        with contextlib.suppress(ValueError):
            message = decode_message(data)
            if isinstance(message, OnLine) and _LINE_NAME.fullmatch(message.name):
                self._line, self._is_on_line = message.name, bool(message.name)
            elif isinstance(message, SessionOver):
                self._over = message

    def _ending(self, *, is_ours: bool) -> Ending:
        over = self._over
        if self._is_disconnected or (over is not None and over.is_by_user) or (over is None and not is_ours):
            return Ending("closed", is_by_user=True)
        if over is None:
            return Ending("lost: the server closed it without a reason", is_lost=True)
        why = escape_controls(over.sentence or _sentence_of(over.reason))
        is_stopped = over.reason in {EndReason.SERVER_STOPPED, EndReason.CONNECTION_LOST}
        return Ending(f"closed: {why}" if why else "closed", is_lost=is_stopped)

    def _write(self, data: bytes) -> None:
        self._screen.write(data)
        self._screen.flush()
        self._heard_at = asyncio.get_running_loop().time()
        self.is_at_line_start = data.endswith(b"\n")

    async def _send(self, chunks: "asyncio.Queue[bytes]", connection: NvtConnection, *, is_ours: bool) -> None:
        typed = b""
        with contextlib.suppress(ConnectionError):  # the reading end gets this error as well
            while not connection.is_closing:
                before, chunk = typed, await chunks.get()
                if not chunk and is_ours and not self._keyboard.is_terminal:
                    await self._leave_line(connection, is_at_line_start=before[-1:] in {b"", b"\n"})
                typed = chunk
                if self._keyboard.is_raw:
                    typed = self._without_escapes(chunk)
                    connection.write(typed if connection.is_binary else typed.replace(b"\r", b"\r\x00"))
                else:
                    connection.write(chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") or END_OF_INPUT)
                await connection.drain()
                if not chunk:
                    return

    async def _leave_line(self, connection: NvtConnection, *, is_at_line_start: bool) -> None:
        """Leave the line, if a script has ended on one: what ends its input here must not be typed there."""
        await self._wait_silent(SETTLED_S)
        if not self._is_on_line:
            return
        await self._wait_silent(LINGER_S)
        if is_at_line_start:
            connection.write(_LEAVE)
        else:
            # Only at the beginning of a line is there a way to leave that types nothing.
            self._disconnect()

    async def _wait_silent(self, seconds: float) -> None:
        """Wait until the server has said nothing for a time."""
        loop, left = asyncio.get_running_loop(), seconds
        while left > 0:
            await asyncio.sleep(left)
            left = self._heard_at + seconds - loop.time()

    def _without_escapes(self, typed: bytes) -> bytes:
        """Carry out ^] and the key after it, and return the other keys."""
        sent = b""
        for key in (typed[at : at + 1] for at in range(len(typed))):
            if not self._is_escaped:
                self._is_escaped = key == _ESCAPE
                sent += b"" if self._is_escaped else key
                continue
            self._is_escaped = False
            if key == b".":
                self._disconnect()
            elif key == _SUSPEND:
                self._suspend()
            elif key == _ESCAPE:
                sent += key
            else:
                self.say(_ESCAPE_HELP)
        return sent

    def _disconnect(self) -> None:
        self._is_disconnected = True
        if self._connection is not None:
            self._connection.transport.abort()

    def _suspend(self) -> None:
        self._keyboard.suspend()
        self._tell_size()

    def _tell_size(self) -> None:
        if self._connection is not None:
            self._connection.send_window(*self._keyboard.size())

    def _interrupt(self, task: "asyncio.Task[object] | None") -> None:
        """Drop the half-typed line; while there is no connection, end."""
        if self._connection is None:
            if task is not None:
                task.cancel()
            return
        self._keyboard.drop_line()
        self._connection.interrupt()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """React to signals; one that ends the program lets the terminal be restored first."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        handlers: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGWINCH: self._tell_size,
            signal.SIGTSTP: self._suspend,
        }
        if self._keyboard.is_terminal:
            handlers[signal.SIGINT] = partial(self._interrupt, task)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            handlers[ending] = lambda: task is not None and task.cancel()
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


def _sentence_of(reason: str) -> str:
    """Return the sentence of a reason that this version knows."""
    try:
        return EndReason(reason).sentence
    except ValueError:
        return ""
