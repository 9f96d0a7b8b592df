"""One session's connection to a line: keys one way, the screen the other, until somebody or something ends it.

It is on the log before a byte goes through, and again when it is over, with how much went each way.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Services
from telnetsd.events.context import Line as LinePart
from telnetsd.events.of_sessions import ConnectedReason, LineConnected, LineDisconnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.escape import HELP, Escape, EscapeReader
from telnetsd.lines.place import Place, Visitor, record_role
from telnetsd.lines.recordings.recording import recording_end
from telnetsd.lines.table import Line, LineError
from telnetsd.racing import unless
from telnetsd.rpc.messages import Join
from telnetsd.session.client_terminal import ClientTerminal
from telnetsd.telnet.nvt_input import NvtInput
from telnetsd.telnet.protocol import NvtProtocol

READ_BYTES: Final = 4096
TAKEN_AFTER_S: Final = 2.0
"""How long what a client has typed may take to be taken, after it has gone."""
T = TypeVar("T")


class Attachment:
    """A session's part in a line; see `lines.open_line.Participant`.

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
        self.line = line
        self.terminal = ClientTerminal(protocol, is_bare=is_bare)
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
        """See Participant."""
        self._received += len(data)
        self._writer.write(data)

    def tell(self, sentence: str) -> None:
        """See Participant; who is connected straight to a line is told nothing that the line did not say."""
        if not self._is_bare:
            self._writer.write(f"\r\n*** {sentence}\r\n".encode())

    def unread_bytes(self) -> int:
        """See Participant."""
        return self._writer.unread_bytes()

    def is_behind(self) -> bool:
        """See Participant."""
        return not self._protocol.is_writable

    async def drain(self) -> None:
        """See Participant."""
        await self._protocol.drain()

    async def record_role(self, reason: ConnectedReason, cause: LineReason) -> None:
        """See Participant."""
        await record_role(self._trail, self.name, self.line.name, reason, cause)

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """See Participant."""
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
        return LineError(self._reason or LineReason.SESSION_ENDED, f"{self.line.name} was not connected")

    async def unless_dismissed(self, doing: Awaitable[T]) -> T | None:
        """Do something, until it is done or this session's part in the line is over; None then."""
        return await unless(self._is_dismissed.wait(), doing)

    async def record_connected(self, reason: ConnectedReason, writer: str = "") -> None:
        """Tell the log that this session is about to be connected.

        Raises:
            AuditUnavailableError: It cannot be written.
        """
        deed = "watches" if reason is LineReason.WATCHING else "is connected to"
        message = f"{self.name} {deed} {self.line.name} ({reason.value})"
        await self._trail.record(LineConnected(reason=reason, message=message, writer=writer or None))

    async def talk(self, place: Place, typed: bytes, *, is_after_cr: bool) -> bytes:
        """Pass keys and screen on until it is over.

        Args:
            place: Where it is connected.
            typed: What was typed already.
            is_after_cr: Whether the last byte before that was a CR.
        Returns: What was typed and is not for the line any more.
        """
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
            rest = await self._pass_on(place, escapes, data if self._is_bare else keys.feed(data))
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
        self.terminal.give_lines_back()
        reason = self._reason or LineReason.SESSION_ENDED
        seconds = round(time.monotonic() - self._begun, 3)
        message = f"{self.name} is not connected to {self.line.name} any more ({reason.value})"
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

    async def _pass_on(self, place: Place, escapes: EscapeReader, data: bytes) -> bytes:
        """Send keys, and do what escapes ask for; returns what stands behind the one that leaves."""
        found = [data] if self._is_bare else escapes.feed(data)
        for number, one in enumerate(found):
            if self._reason is not None:
                return b""
            if isinstance(one, bytes):
                await self._type(place, one)
            elif one is Escape.LEAVE:
                self._reason = LineReason.LEFT
                return b"".join(rest for rest in found[number + 1 :] if isinstance(rest, bytes))
            else:
                await _do(one, place, self.tell)
        return b""

    async def _type(self, place: Place, keys: bytes) -> None:
        if not keys:
            return
        # What nobody waited for any more was sent as well; only what a watcher types is not.
        self._sent += len(keys)
        if not await place.type(keys):
            self._sent -= len(keys)


async def _do(escape: Escape, place: Place, tell: Callable[[str], None]) -> None:
    """Do what a user asks the server for, amidst the keys for a line."""
    match escape:
        case Escape.HELP:
            for text in HELP:
                tell(text)
        case Escape.BREAK:
            place.send_break()
        case Escape.WHO:
            place.tell_who()
        case Escape.ASK:
            await place.ask_to_write()
        case Escape.HAND_OVER:
            await place.hand_over()


async def attach(attachment: Attachment, join: Join, services: Services, session_id: str) -> Place:
    """Connect a session to a line: it opens it, watches it, or takes it over; recorded before anything is shown.

    Returns: Its place there; the line may be over already.
    Raises:
        LineError: It is in use, cannot be reached, or is not shared.
        AuditUnavailableError: The log cannot be written: nobody is connected.
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
    environment = {"TELNETSD_USER": attachment.name, "TELNETSD_SESSION": session_id}
    recording = _recording_path(services.recordings, line, session_id)
    visitor = Visitor(attachment, terminal, environment, recording, attachment.trail)
    place = await attachment.unless_dismissed(services.directory.place(line, join, visitor))
    if place is None:
        raise attachment.sent_away()
    return place


async def _enter(attachment: Attachment, place: Place) -> None:
    """Take a place, once that is on the log."""
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
        attachment.tell(f"{said} ~. leaves, ~? says what else")
        place.begin()
    except BaseException:
        place.leave()
        raise


def _recording_path(folder: Path, line: Line, session_id: str) -> Path:
    # With the microseconds: a session may come back to a line at once.
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{recording_end(line.name, session_id)}"
