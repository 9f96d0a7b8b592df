"""One session's connection to a line: keys one way, the screen the other, until somebody or something ends it.

It is on the log before a byte goes through, and again when it is over, with how much went each way.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from telnetsd.audit.trail import Trail
from telnetsd.events.context import Line as LinePart
from telnetsd.events.of_sessions import ConnectedReason, LineConnected, LineDisconnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.escape import HELP, Escape, EscapeReader
from telnetsd.lines.kinds.upstream import Terminal
from telnetsd.lines.place import Seat, record_role
from telnetsd.lines.table import Line, LineError
from telnetsd.racing import unless
from telnetsd.telnet.nvt_input import NvtInput
from telnetsd.telnet.protocol import NvtProtocol

READ_BYTES: Final = 4096
ANSWERED_S: Final = 0.5
"""How long a client may take to answer at all, before it counts as one that speaks no telnet."""
TERMINAL_KNOWN_S: Final = 2.0
"""How long a client that does may take to say how large its screen is."""
TAKEN_AFTER_S: Final = 2.0
"""How long what a client has typed may take to be taken, after it has gone."""
SIDE_MAX: Final = 1000
"""The greatest width and height of a screen that is believed."""
_TERMINAL_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
_DEFAULT: Final = Terminal()
T = TypeVar("T")


class Console:
    """A session's part in a line; see `lines.open_line.Attendant`.

    Args:
        line: The line.
        user: The user's name.
        protocol: The telnet protocol of the session.
        trail: Bound to the session.
        is_bare: Whether it is connected straight to the line: nothing is negotiated, said or escaped.
    """

    def __init__(self, line: Line, user: str, protocol: NvtProtocol, trail: Trail, *, is_bare: bool = False) -> None:
        self.name = user
        self.on_heard: Callable[[], None] = lambda: None
        self._line = line
        self._protocol = protocol
        self._writer = protocol.writer
        self._trail = trail.bound_to(LinePart(name=line.name, kind=line.kind))
        self._is_bare = is_bare
        self._reason: LineReason | None = None
        self._is_dismissed = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        """What keys and screen pass through; it ends when this session's part in the line is over."""
        self._received = self._sent = 0
        self._begun = time.monotonic()

    @property
    def trail(self) -> Trail:
        """Bound to the session and the line."""
        return self._trail

    # What the line tells.

    def show(self, data: bytes) -> None:
        """See Attendant."""
        self._received += len(data)
        self._writer.write(data)

    def tell(self, sentence: str) -> None:
        """See Attendant; who is connected straight to a line is told nothing that the line did not say."""
        if not self._is_bare:
            self._writer.write(f"\r\n*** {sentence}\r\n".encode())

    def unread_bytes(self) -> int:
        """See Attendant."""
        return self._writer.unread_bytes()

    def is_behind(self) -> bool:
        """See Attendant."""
        return not self._protocol.is_writable

    async def drain(self) -> None:
        """See Attendant."""
        await self._protocol.drain()

    async def record_role(self, reason: ConnectedReason, cause: LineReason) -> None:
        """See Attendant."""
        await record_role(self._trail, self.name, self._line.name, reason, cause)

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """See Attendant."""
        if self._reason is None:
            self._reason = reason
            if sentence:
                self.tell(sentence)
            self._is_dismissed.set()
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    # What the session does.

    def require_here(self) -> None:
        """Refuse to go on for somebody who was sent away meanwhile.

        Raises:
            LineError: They were; it has been said why.
        """
        if self._reason is not None:
            raise self.sent_away()

    def sent_away(self) -> LineError:
        """Return the error of somebody who was sent away before they were connected."""
        return LineError(self._reason or LineReason.SESSION_ENDED, f"{self._line.name} was not connected")

    async def unless_dismissed(self, doing: Awaitable[T]) -> T | None:
        """Do something, until it is done or this session's part in the line is over; None then."""
        return await unless(self._is_dismissed.wait(), doing)

    async def terminal(self) -> Terminal:
        """Ask the client for what a full-screen program needs, and return the terminal that it has."""
        if self._is_bare:
            return _DEFAULT
        is_answered, is_known = asyncio.Event(), asyncio.Event()
        self._protocol.on_answered, self._protocol.on_terminal_known = is_answered.set, is_known.set
        self._protocol.enter_character_mode()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(is_answered.wait(), ANSWERED_S)
            await asyncio.wait_for(is_known.wait(), TERMINAL_KNOWN_S)
        return self._terminal_now()

    def give_lines_back(self) -> None:
        """Let the client echo and edit lines again."""
        self._protocol.decide_com_port(None)
        self._protocol.leave_character_mode()

    async def record_connected(self, reason: ConnectedReason, writer: str = "") -> None:
        """Tell the log that this session is about to be connected.

        Raises:
            AuditUnavailableError: It cannot be written.
        """
        deed = "watches" if reason is LineReason.WATCHING else "is connected to"
        message = f"{self.name} {deed} {self._line.name} ({reason.value})"
        await self._trail.record(LineConnected(reason=reason, message=message, writer=writer or None))

    async def talk(self, seat: Seat, typed: bytes, *, is_after_cr: bool) -> bytes:
        """Pass keys and screen on until it is over.

        Args:
            seat: Where it is connected.
            typed: What was typed already.
            is_after_cr: Whether the last byte before that was a CR.
        Returns: What was typed and is not for the line any more.
        """
        self._protocol.on_terminal_known = lambda: seat.resize(self._terminal_now())
        self._protocol.decide_com_port(seat.ask_com_port if self._line.kind == "serial" else None)
        leaving = asyncio.ensure_future(self._leave_when_gone())
        rest = b""
        try:
            async with self._until_dismissed():
                rest = await self._pass_all_on(seat, typed, NvtInput(is_after_cr=is_after_cr))
        finally:
            leaving.cancel()
            self._reason = self._reason or LineReason.SESSION_ENDED
            seat.leave()
        return rest

    async def _pass_all_on(self, seat: Seat, typed: bytes, keys: NvtInput) -> bytes:
        escapes, data = EscapeReader(), typed
        while self._reason is None:
            rest = await self._pass_on(seat, escapes, data if self._is_bare else keys.feed(data))
            if self._reason is not None:
                return rest
            data = await self._protocol.reader.read(READ_BYTES)
            if not data:
                break
            self.on_heard()
        return b""

    @contextlib.asynccontextmanager
    async def _until_dismissed(self) -> AsyncIterator[None]:
        """Give up what is done within when this session's part in the line is over: one scope for all keys."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scope = scope
                try:
                    yield
                finally:
                    self._scope = None
        except TimeoutError:
            if not scope.expired():
                raise

    async def record_disconnected(self) -> None:
        """Tell the log that it is over, and give the client its lines back.

        Raises:
            AuditUnavailableError: It cannot be written now; it will be.
        """
        self.give_lines_back()
        reason = self._reason or LineReason.SESSION_ENDED
        seconds = round(time.monotonic() - self._begun, 3)
        message = f"{self.name} is not connected to {self._line.name} any more ({reason.value})"
        await self._trail.record(
            LineDisconnected(
                reason=reason,
                message=message,
                duration_s=seconds,
                bytes_received=self._received,
                bytes_sent=self._sent,
            )
        )

    async def _leave_when_gone(self) -> None:
        """Let go of a line that does not take what was typed, when whoever typed it has gone."""
        await self._protocol.wait_lost()
        await asyncio.sleep(TAKEN_AFTER_S)
        self.dismiss(LineReason.SESSION_ENDED, "")

    async def _pass_on(self, seat: Seat, escapes: EscapeReader, data: bytes) -> bytes:
        """Send keys, and do what escapes ask for; returns what stands behind the one that leaves."""
        found = [data] if self._is_bare else escapes.feed(data)
        for place, one in enumerate(found):
            if self._reason is not None:
                return b""
            if isinstance(one, bytes):
                await self._type(seat, one)
            elif one is Escape.LEAVE:
                self._reason = LineReason.LEFT
                return b"".join(rest for rest in found[place + 1 :] if isinstance(rest, bytes))
            else:
                await self._do(one, seat)
        return b""

    async def _type(self, seat: Seat, keys: bytes) -> None:
        if not keys:
            return
        # What nobody waited for any more was sent as well; only what a watcher types is not.
        self._sent += len(keys)
        if not await seat.type(keys):
            self._sent -= len(keys)

    async def _do(self, escape: Escape, seat: Seat) -> None:
        match escape:
            case Escape.HELP:
                for text in HELP:
                    self.tell(text)
            case Escape.BREAK:
                seat.send_break()
            case Escape.WHO:
                seat.tell_who()
            case Escape.ASK:
                await seat.ask_to_write()
            case Escape.HAND_OVER:
                await seat.hand_over()

    def _terminal_now(self) -> Terminal:
        columns, rows = self._protocol.window
        kind = self._protocol.terminal_type
        return Terminal(
            kind=kind.lower() if _TERMINAL_TYPE.fullmatch(kind) else _DEFAULT.kind,
            columns=min(columns, SIDE_MAX) or _DEFAULT.columns,
            rows=min(rows, SIDE_MAX) or _DEFAULT.rows,
        )
