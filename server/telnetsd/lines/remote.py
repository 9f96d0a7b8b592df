"""Lines that are open in another process of the server, as a session of this process sees them.

One process has every line, so that sessions that watch, take over or wait meet there, whichever worker they are
connected to. A session asks that process over its worker's channel. Each place has its own channel, for keys and
screen. The session reports how much of the screen the client has read, so that the line waits for the writer. The
other end is `lines.hosting`.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, cast

from telnetsd.events.of_sessions import ConnectedReason
from telnetsd.events.reason import LineReason
from telnetsd.lines.participants import Participant
from telnetsd.lines.place import Visitor
from telnetsd.lines.table import Line, LineError
from telnetsd.rpc.channel import Channel, ChannelError, open_channel
from telnetsd.rpc.message import Query
from telnetsd.rpc.messages import (
    TO_PARTICIPANT,
    AskComPort,
    AskToWrite,
    AskWho,
    BeginShowing,
    ComPortSaid,
    Dismiss,
    EndInput,
    HandOver,
    Join,
    Leave,
    LineRow,
    ListLines,
    RequireFreeLine,
    ReservedPlace,
    ReservePlace,
    Resize,
    Say,
    ScreenTaken,
    SendBreak,
    Show,
    ShowPast,
    TakePlace,
    TypeKeys,
)
from telnetsd.telnet.terminal import Terminal

TOLD_FROM_BYTES: Final = 16_384
"""Fewer read bytes than this are not reported, because no line waits for them."""


class RemoteDirectory:
    """Access to lines in another process; see `lines.place.Directory`.

    Args:
        channel: This worker's channel.
        path: The socket on which places are reserved.
    """

    def __init__(self, channel: Channel, path: Path) -> None:
        self._channel = channel
        self._path = path

    async def rows(self, lines: Sequence[Line]) -> list[LineRow]:
        """See Directory."""
        with _line_errors():
            return await self._channel.ask(ListLines([line.name for line in lines]))

    async def require_free(self, line: Line, join: Join) -> None:
        """See Directory."""
        with _line_errors():
            await self._channel.ask(RequireFreeLine(line.name, join))

    async def place(self, line: Line, join: Join, visitor: Visitor) -> "RemotePlace":
        """See Directory."""
        try:
            channel = await open_channel(self._path, TO_PARTICIPANT)
        except OSError as error:
            raise LineError(LineReason.UNREACHABLE, f"{line.name} cannot be reached: {error.strerror}") from error
        request = ReservePlace(
            line=line.name,
            join=join,
            name=visitor.participant.name,
            terminal=visitor.terminal,
            session_id=visitor.session_id,
            wants_past=visitor.wants_past,
            fields=visitor.participant.trail.fields,
        )
        place = RemotePlace(channel, line, visitor.participant)
        try:
            with _line_errors():
                answer = await channel.ask(request)
        except BaseException:
            place.leave()
            raise
        place.reserve(answer)
        return place


class RemotePlace:
    """A place on a line in another process; see `lines.place.Place`."""

    def __init__(self, channel: Channel, line: Line, participant: Participant) -> None:
        self.reason: ConnectedReason = LineReason.WATCHING
        self.writer = ""
        self._channel = channel
        self._line = line
        self._participant = participant
        self._has_left = False
        self._shown = 0
        """How many bytes were shown since the last report of how many were read."""
        self._catching_up: asyncio.Task[None] | None = None
        channel.on_closed = self._lose
        channel.hear(Show, lambda news: self._show(news.data))
        channel.hear(Say, lambda news: participant.tell(news.sentence))
        channel.hear(Dismiss, lambda news: participant.dismiss(news.reason, news.sentence))
        channel.hear(ComPortSaid, lambda news: participant.tell_com_port(news.said))

    def reserve(self, answer: ReservedPlace) -> None:
        """Store the details of the place that was found."""
        self.reason, self.writer = cast("ConnectedReason", answer.reason), answer.writer

    async def enter(self) -> str:
        """See Place."""
        with _line_errors():
            return await self._channel.ask(TakePlace())

    def begin(self) -> None:
        """See Place."""
        self._channel.tell(BeginShowing())

    async def type(self, keys: bytes) -> bool:
        """See Place."""
        try:
            return await self._channel.ask(TypeKeys(keys))
        except ChannelError:
            return False  # the participant is notified

    def resize(self, terminal: Terminal) -> None:
        """See Place."""
        self._channel.tell(Resize(terminal))

    def ask_com_port(self, question: bytes) -> None:
        """See Place."""
        self._channel.tell(AskComPort(question))

    def send_break(self) -> None:
        """See Place."""
        self._channel.tell(SendBreak())

    def end_input(self) -> None:
        """See Place."""
        self._channel.tell(EndInput())

    def show_past(self, *, is_all: bool) -> None:
        """See Place."""
        self._channel.tell(ShowPast(is_all))

    def tell_who(self) -> None:
        """See Place."""
        self._channel.tell(AskWho())

    async def ask_to_write(self) -> None:
        """See Place."""
        await self._have_done(AskToWrite())

    async def hand_over(self) -> None:
        """See Place."""
        await self._have_done(HandOver())

    async def _have_done(self, query: Query[None]) -> None:
        with contextlib.suppress(ChannelError):  # the participant is notified
            await self._channel.ask(query)

    def leave(self) -> None:
        """See Place."""
        if not self._has_left:
            self._has_left = True
            self._channel.tell(Leave())
            self._channel.finish()

    def _show(self, data: bytes) -> None:
        self._participant.show(data)
        self._shown += len(data)
        if self._catching_up is not None:
            return
        if self._participant.is_behind():
            self._catching_up = asyncio.ensure_future(self._catch_up())
        elif self._shown >= TOLD_FROM_BYTES:
            self._tell_taken()

    async def _catch_up(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._participant.drain()
        self._catching_up = None
        self._tell_taken()

    def _tell_taken(self) -> None:
        shown, self._shown = self._shown, 0
        self._channel.tell(ScreenTaken(shown))

    def _lose(self) -> None:
        if not self._has_left:
            self._has_left = True
            message = f"{self._line.name} is lost: the process of the server that had it has ended"
            self._participant.dismiss(LineReason.UPSTREAM_LOST, message)


@contextlib.contextmanager
def _line_errors() -> Iterator[None]:
    """Turn a refusal by the other process back into the original error."""
    try:
        yield
    except ChannelError as error:
        known = error.kind in {one.value for one in LineReason}
        reason = LineReason(error.kind) if known else LineReason.UNREACHABLE
        raise LineError(reason, str(error)) from error
