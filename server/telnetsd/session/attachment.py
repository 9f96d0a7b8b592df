"""One session's connection to a line: it carries keys one way and the screen the other, until it ends.

The log records the connection before any byte passes, and its end with the number of bytes each way.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Services
from telnetsd.events.context import LinePart
from telnetsd.events.of_sessions import ConnectedReason, LineConnected, LineDisconnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.escape import HELP, Escape, EscapeReader
from telnetsd.lines.place import Place, Visitor
from telnetsd.lines.table import Line, LineError
from telnetsd.racing import unless
from telnetsd.rpc.messages import Join
from telnetsd.session.client_terminal import ClientTerminal
from telnetsd.telnet.nvt_input import NvtInput
from telnetsd.telnet.protocol import NvtProtocol

READ_BYTES: Final = 4096
TAKEN_AFTER_S: Final = 2.0
"""How long a line may take to accept the remaining input of a client that has disconnected."""
LINGER_MAX_S: Final = 60.0
"""How long a client that has ended its input stays on a line that never falls silent."""
T = TypeVar("T")


class Attachment:
    """A session's connection to a line; see `lines.open_line.Participant`.

    Args:
        line: The line.
        user: The user's name.
        protocol: The telnet protocol of the session.
        trail: Bound to the session.
        is_bare: Whether the client is connected directly to the line: no negotiation, no server messages, no escapes.
    """

    def __init__(self, line: Line, user: str, protocol: NvtProtocol, trail: Trail, *, is_bare: bool = False) -> None:
        self.name = user
        self.on_heard: Callable[[], None] = lambda: None
        self.line = line
        self.terminal = ClientTerminal(protocol, is_bare=is_bare)
        self._protocol = protocol
        self._writer = protocol.writer
        self._trail = trail.bound_to(LinePart(name=line.name, kind=line.kind))
        self._is_bare = is_bare
        self._reason: LineReason | None = None
        self._is_dismissed = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        """The scope in which keys and screen are passed on; it ends when the attachment ends."""
        self._held: list[bytes] | None = []
        """Output of the line from before its user was notified of the connection."""
        self._received = self._sent = 0
        self._begun = time.monotonic()

    # Called by the line.

    @property
    def trail(self) -> Trail:
        """See Participant."""
        return self._trail

    def show(self, data: bytes) -> None:
        """See Participant; what is shown before `talk` is held back until then."""
        self._received += len(data)
        if self._held is not None:
            self._held.append(data)
        else:
            self._writer.write(data)

    def tell(self, sentence: str) -> None:
        """See Participant; a client connected directly to a line sees only what the line itself sends."""
        if not self._is_bare:
            rows = "".join(f"*** {row}\r\n" for row in sentence.split("\n"))
            self._writer.write(f"\r\n{rows}".encode())

    def tell_com_port(self, said: bytes) -> None:
        """See Participant."""
        self._protocol.agreement.tell_com_port(said)

    def unread_bytes(self) -> int:
        """See Participant."""
        return self._writer.unread_bytes()

    def is_behind(self) -> bool:
        """See Participant."""
        return not self._protocol.is_writable

    async def drain(self) -> None:
        """See Participant."""
        await self._protocol.drain()

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """See Participant."""
        if self._reason is None:
            self._reason = reason
            if sentence:
                self.tell(sentence)
            self._is_dismissed.set()
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    # Called by the session.

    def require_here(self) -> None:
        """Refuse to continue if the session was dismissed in the meantime.

        Raises:
            LineError: The session was dismissed; its user has been shown why.
        """
        if self._reason is not None:
            raise self.sent_away()

    def sent_away(self) -> LineError:
        """Return the error for a session that was dismissed before it was connected."""
        return LineError(self._reason or LineReason.SESSION_ENDED, f"{self.line.name} was not connected")

    async def unless_dismissed(self, doing: Awaitable[T]) -> T | None:
        """Await `doing` and return its result; None if the session is dismissed first."""
        return await unless(self._is_dismissed.wait(), doing)

    async def record_connected(self, reason: ConnectedReason, writer: str = "") -> None:
        """Record that this session is about to be connected.

        Raises:
            AuditUnavailableError: The log cannot be written.
        """
        deed = "watches" if reason is LineReason.WATCHING else "is connected to"
        message = f"{self.name} {deed} {self.line.name} ({reason.value})"
        await self._trail.record(LineConnected(reason=reason, message=message, writer=writer or None))

    async def talk(self, place: Place, typed: bytes, *, is_after_cr: bool) -> bytes:
        """Pass keys and screen on until the attachment ends.

        Args:
            place: The session's place on the line.
            typed: The input that was already typed.
            is_after_cr: Whether the last byte before that was a CR.
        Returns: The typed input that is no longer for the line.
        """
        held, self._held = self._held or [], None
        for data in held:
            self._writer.write(data)
        self.terminal.follow(place.resize, place.ask_com_port if self.line.of_kind.has_com_port else None)
        leaving = asyncio.ensure_future(self._leave_when_gone())
        rest = b""
        try:
            async with self._until_dismissed():
                rest = await self._pass_all_on(place, typed, NvtInput(is_after_cr=is_after_cr))
        finally:
            leaving.cancel()
            self._reason = self._reason or LineReason.SESSION_ENDED
            place.leave()
        return rest

    async def _pass_all_on(self, place: Place, typed: bytes, keys: NvtInput) -> bytes:
        escapes, data = EscapeReader(), typed
        while self._reason is None:
            read = keys.pass_on if self._protocol.agreement.receives_binary else keys.feed
            rest = await self._pass_on(place, escapes, data if self._is_bare else read(data))
            if self._reason is not None:
                return rest
            data = await self._protocol.reader.read(READ_BYTES)
            if not data:
                if self._protocol.has_ended_input:
                    place.end_input()
                    await _linger(self._protocol, self.line.settings.linger_s, lambda: self._received)
                break
            self.on_heard()
        return b""

    @contextlib.asynccontextmanager
    async def _until_dismissed(self) -> AsyncIterator[None]:
        """Cancel the block when the attachment ends: one scope for all keys."""
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
        """Record the end of the attachment, and let the client edit lines again.

        Raises:
            AuditUnavailableError: The log cannot be written now; the event is written later.
        """
        self.terminal.give_lines_back()
        reason = self._reason or LineReason.SESSION_ENDED
        seconds = round(time.monotonic() - self._begun, 3)
        message = f"{self.name} is no longer connected to {self.line.name} ({reason.value})"
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
        """Leave a line that does not accept the remaining input of a client that has disconnected."""
        await self._protocol.wait_lost()
        await asyncio.sleep(TAKEN_AFTER_S)
        self.dismiss(LineReason.SESSION_ENDED, "")

    async def _pass_on(self, place: Place, escapes: EscapeReader, data: bytes) -> bytes:
        """Send keys and run escapes; return the input after the escape that leaves the line."""
        for one in [data] if self._is_bare else escapes.feed(data):
            if self._reason is not None:
                return b""
            if isinstance(one, bytes):
                await self._type(place, one)
            elif one is Escape.LEAVE:
                self._reason = LineReason.LEFT
                self.tell(f"left {self.line.name}")
                return escapes.rest
            else:
                await _do(one, place, self.tell)
                await self._protocol.drain()
        return b""

    async def _type(self, place: Place, keys: bytes) -> None:
        if not keys:
            return
        # Keys count as sent even if the wait for them was cancelled; only a watcher's keys are not sent.
        self._sent += len(keys)
        if not await place.type(keys):
            self._sent -= len(keys)


async def _linger(protocol: NvtProtocol, linger_s: float, received: Callable[[], int]) -> None:
    """Wait until a line is silent, for a client that has ended its input, such as a script."""
    end = time.monotonic() + LINGER_MAX_S
    before, is_gone = -1, False
    while before != received() and not is_gone and time.monotonic() < end:
        before = received()
        is_gone = await unless(protocol.wait_lost(), asyncio.sleep(linger_s, result=True)) is None


async def _do(escape: Escape, place: Place, tell: Callable[[str], None]) -> None:
    """Run an escape that a user typed among the keys for a line."""
    match escape:
        case Escape.HELP:
            tell("\n".join(HELP))
        case Escape.BREAK:
            place.send_break()
        case Escape.MORE_PAST | Escape.ALL_PAST:
            place.show_past(is_all=escape is Escape.ALL_PAST)
        case Escape.WHO:
            place.tell_who()
        case Escape.ASK:
            await place.ask_to_write()
        case Escape.HAND_OVER:
            await place.hand_over()


async def attach(attachment: Attachment, join: Join, services: Services, session_id: str) -> Place:
    """Connect a session to a line (open, watch or take over), and record that before anything is shown.

    Returns: The session's place on the line; the line may have closed already.
    Raises:
        LineError: The line is in use, cannot be reached, or is not shared.
        AuditUnavailableError: The log cannot be written; the session is not connected.
    """
    await services.directory.require_free(attachment.line, join)
    try:
        place = await _find_place(attachment, join, services, session_id)
        await _enter(attachment, place)
    except BaseException:
        attachment.terminal.give_lines_back()
        raise
    return place


async def _find_place(attachment: Attachment, join: Join, services: Services, session_id: str) -> Place:
    terminal, line = await attachment.terminal.ask(), attachment.line
    attachment.require_here()
    visitor = Visitor(attachment, terminal, session_id, attachment.terminal.speaks_telnet)
    place = await attachment.unless_dismissed(services.directory.place(line, join, visitor))
    if place is None:
        raise attachment.sent_away()
    return place


async def _enter(attachment: Attachment, place: Place) -> None:
    """Record that the session is being connected, and then take its place on the line."""
    try:
        attachment.require_here()
        await attachment.record_connected(place.reason, place.writer)
        try:
            attachment.require_here()
            said = await place.enter()
        except LineError as error:
            attachment.dismiss(error.reason, "")
            await attachment.record_disconnected()
            raise
        attachment.tell(f"{said} ~. leaves, ~? shows help")
        place.begin()
    except BaseException:
        place.leave()
        raise
