"""The lines of a server with several workers: places for sessions in other processes, the other end of `remote`."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Final

from telnetsd.audit.trail import Trail
from telnetsd.events.of_sessions import LineDisconnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.directory import LocalDirectory
from telnetsd.lines.place import Place, Visitor
from telnetsd.lines.table import Line, LineError, LineTable
from telnetsd.rpc.channel import Channel, ChannelError
from telnetsd.rpc.messages import (
    AskComPort,
    AskToWrite,
    AskWho,
    BeginShowing,
    ComPortSaid,
    Dismiss,
    EndInput,
    HandOver,
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

BEHIND_BYTES: Final = 65_536
"""If a client has more than this many shown bytes unread, the line has to wait for it."""


class LineHost:
    """Every line of the server, for the sessions of its workers.

    Args:
        lines: The lines of the first generation.
        directory: The open lines.
        trail: A trail with no bound fields.
    """

    def __init__(self, lines: LineTable, directory: LocalDirectory, trail: Trail) -> None:
        self.directory = directory
        self.trail = trail
        self._lines = lines

    def adopt(self, lines: LineTable) -> None:
        """Switch to the lines of another generation."""
        self._lines = lines
        self.directory.adopt(lines)

    def serve_worker(self, channel: Channel) -> None:
        """Answer a worker's queries about lines."""
        channel.answer(ListLines, self._rows)
        channel.answer(RequireFreeLine, self._require_free)

    def serve_participant(self, channel: Channel) -> None:
        """Answer a session that asks for a place."""
        channel.open_with(ReservePlace, HostedPlace(channel, self).reserve)

    def find(self, name: str) -> Line:
        """Return the line of that name.

        Raises:
            LineError: The line of that name no longer exists.
        """
        line = self._lines.find(name)
        if line is None:
            raise LineError(LineReason.REMOVED, f"{name} was removed by the operator")
        return line

    def trail_of(self, request: ReservePlace) -> Trail:
        """Return a trail that is bound to the session and the line of a place."""
        return self.trail.with_fields(request.fields)

    async def _rows(self, asked: ListLines) -> list[LineRow]:
        with _told():
            return await self.directory.rows([self.find(name) for name in asked.names])

    async def _require_free(self, asked: RequireFreeLine) -> None:
        with _told():
            await self.directory.require_free(self.find(asked.name), asked.join)


class HostedPlace:
    """The place of a session in another process; for the line, this object is the participant.

    Args:
        channel: The channel to that session.
        host: The host of the lines.
    """

    def __init__(self, channel: Channel, host: LineHost) -> None:
        self.name = ""
        self._channel = channel
        self._host = host
        self._place: Place
        self._trail: Trail
        self._line: Line
        self._taken_at: float | None = None
        self._shown = self._typed = self._untaken = 0
        self._has_taken = asyncio.Event()
        self._typing: asyncio.Task[object] | None = None

    async def reserve(self, request: ReservePlace) -> ReservedPlace:
        """Find a place on a line."""
        self.name, self._trail = request.name, self._host.trail_of(request)
        visitor = Visitor(self, request.terminal, request.session_id, request.wants_past)
        with _told():
            self._line = self._host.find(request.line)
            place = await self._host.directory.place(self._line, request.join, visitor)
        if self._channel.is_closed:
            place.leave()
        self._place = place
        self._channel.on_closed = self._lose
        self._listen(place)
        return ReservedPlace(place.reason, place.writer)

    def _listen(self, place: Place) -> None:
        channel = self._channel
        channel.answer(TakePlace, self._enter)
        channel.answer(TypeKeys, self._type)
        channel.answer(AskToWrite, lambda _: place.ask_to_write())
        channel.answer(HandOver, lambda _: place.hand_over())
        channel.hear(ScreenTaken, self._note_taken)
        channel.hear(BeginShowing, lambda _: place.begin())
        channel.hear(Resize, lambda news: place.resize(news.terminal))
        channel.hear(AskComPort, lambda news: place.ask_com_port(news.question))
        channel.hear(SendBreak, lambda _: place.send_break())
        channel.hear(EndInput, lambda _: place.end_input())
        channel.hear(ShowPast, lambda news: place.show_past(is_all=news.is_all))
        channel.hear(AskWho, lambda _: place.tell_who())
        channel.hear(Leave, lambda _: self._leave())

    # Calls from the line: see Participant.

    def show(self, data: bytes) -> None:
        """See Participant."""
        self._shown += len(data)
        self._untaken += len(data)
        self._channel.tell(Show(data))

    def tell(self, sentence: str) -> None:
        """See Participant."""
        self._channel.tell(Say(sentence))

    def tell_com_port(self, said: bytes) -> None:
        """See Participant."""
        self._channel.tell(ComPortSaid(said))

    def unread_bytes(self) -> int:
        """See Participant."""
        return self._untaken

    def is_behind(self) -> bool:
        """See Participant."""
        return self._untaken > BEHIND_BYTES and not self._channel.is_closed

    async def drain(self) -> None:
        """See Participant."""
        while self.is_behind():
            self._has_taken.clear()
            await self._has_taken.wait()
        if self._channel.is_closed:
            raise ConnectionResetError("the worker has ended")

    @property
    def trail(self) -> Trail:
        """See Participant."""
        return self._trail

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """See Participant."""
        self._stop_typing()
        self._channel.tell(Dismiss(reason, sentence))

    # Internals.

    async def _enter(self, _: TakePlace) -> str:
        self._taken_at = time.monotonic()
        with _told():
            return await self._place.enter()

    def _note_taken(self, news: ScreenTaken) -> None:
        self._untaken -= news.count
        self._has_taken.set()

    async def _type(self, asked: TypeKeys) -> bool:
        self._typing = asyncio.current_task()
        is_writing = await self._place.type(asked.keys)
        if is_writing:
            self._typed += len(asked.keys)
        return is_writing

    def _stop_typing(self) -> None:
        """Stop waiting for an upstream that does not accept the typed bytes."""
        if self._typing is not None:
            self._typing.cancel()

    def _leave(self) -> None:
        self._channel.on_closed = lambda: None
        self._channel.close()
        self._let_go()

    def _let_go(self) -> None:
        self._has_taken.set()
        self._stop_typing()
        self._place.leave()

    def _lose(self) -> None:
        """Record that the worker is gone, and the session with it."""
        self._let_go()
        if self._taken_at is not None:
            seconds = round(time.monotonic() - self._taken_at, 3)
            message = f"{self.name} is no longer connected to {self._line.name} ({LineReason.WORKER_LOST.value})"
            self._trail.record(
                LineDisconnected(
                    reason=LineReason.WORKER_LOST,
                    message=message,
                    duration_s=seconds,
                    bytes_received=self._shown,
                    bytes_sent=self._typed,
                )
            )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Pass the reason for a refusal to the other process."""
    try:
        yield
    except LineError as error:
        raise ChannelError(str(error), error.reason.value) from error
