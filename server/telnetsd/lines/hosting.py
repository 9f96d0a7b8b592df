"""The lines of a server with several workers: seats for sessions of other processes, the other end of `remote`."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from telnetsd.audit.trail import Trail
from telnetsd.events.of_sessions import ConnectedReason, LineDisconnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.directory import LocalSwitchboard
from telnetsd.lines.kinds.upstream import Terminal
from telnetsd.lines.place import Seat, Visitor, Wish, record_role
from telnetsd.lines.remote import SeatAnswer, SeatRequest
from telnetsd.lines.table import Line, LineError, LineTable
from telnetsd.rpc.channel import Channel, ChannelError

BEHIND_BYTES: Final = 65_536
"""With more than this shown and not taken, a session's client has to be waited for."""


class LineHost:
    """Every line of the server, for the sessions of its workers.

    Args:
        lines: The lines of the first generation.
        trail: Bound to nothing.
    """

    def __init__(self, lines: LineTable, trail: Trail) -> None:
        self.switchboard = LocalSwitchboard()
        self._lines = lines
        self._trail = trail

    def adopt(self, lines: LineTable) -> None:
        """Go on with the lines of another generation."""
        self._lines = lines
        self.switchboard.adopt(lines)

    def serve_worker(self, channel: Channel) -> None:
        """Answer a worker's questions about lines."""
        channel.answers |= {"line-states": self._states, "line-free": self._require_free}

    def serve_seat(self, channel: Channel) -> None:
        """Answer whoever wants a seat."""
        channel.answers |= {"seat": HostedSeat(channel, self).reserve}

    def find(self, name: str) -> Line:
        """Return a line.

        Raises:
            LineError: There is none of that name any more.
        """
        line = self._lines.find(name)
        if line is None:
            raise LineError(LineReason.REMOVED, f"{name} was removed by the operator")
        return line

    def trail_of(self, request: SeatRequest) -> Trail:
        """Return a trail that is bound to the session and the line of a seat."""
        return self._trail.with_fields(request.fields)

    async def _states(self, names: Any) -> list[str]:  # noqa: ANN401 -- what a channel carries
        with _told():
            return await self.switchboard.states([self.find(name) for name in names])

    async def _require_free(self, wanted: Any) -> None:  # noqa: ANN401
        name, wish = wanted
        with _told():
            await self.switchboard.require_free(self.find(name), Wish[wish])


class HostedSeat:
    """The seat of a session of another process; to the line it is the attendant.

    Args:
        channel: To that session.
        host: The lines.
    """

    def __init__(self, channel: Channel, host: LineHost) -> None:
        self.name = ""
        self._channel = channel
        self._host = host
        self._seat: Seat
        self._trail: Trail
        self._line: Line
        self._taken_at: float | None = None
        self._shown = self._typed = self._untaken = 0
        self._has_taken = asyncio.Event()
        self._typing: asyncio.Task[object] | None = None

    async def reserve(self, payload: object) -> SeatAnswer:
        """Find a seat."""
        request = msgspec.convert(payload, type=SeatRequest)
        self.name, self._trail = request.name, self._host.trail_of(request)
        visitor = Visitor(self, request.terminal, request.environment, Path(request.recording), self._trail)
        with _told():
            self._line = self._host.find(request.line)
            seat = await self._host.switchboard.seat(self._line, Wish[request.wish], visitor)
        if self._channel.is_closed:
            seat.leave()
        self._seat = seat
        self._channel.on_closed = self._lose
        self._channel.answers = {
            "enter": self._enter,
            "keys": self._type,
            "ask": lambda _: seat.ask_to_write(),
            "hand-over": lambda _: seat.hand_over(),
        }
        self._channel.listeners = {
            "taken": self._note_taken,
            "begin": lambda _: seat.begin(),
            "resize": lambda terminal: seat.resize(msgspec.convert(terminal, type=Terminal)),
            "port": lambda question: seat.ask_com_port(
                question, lambda said: self._channel.tell("port-answer", said)
            ),
            "break": lambda _: seat.send_break(),
            "who": lambda _: seat.tell_who(),
            "leave": lambda _: self._leave(),
        }
        return SeatAnswer(seat.reason, seat.writer)

    # What the line tells: see Attendant.

    def show(self, data: bytes) -> None:
        """See Attendant."""
        self._shown += len(data)
        self._untaken += len(data)
        self._channel.tell("show", data)

    def tell(self, sentence: str) -> None:
        """See Attendant."""
        self._channel.tell("say", sentence)

    def unread_bytes(self) -> int:
        """See Attendant."""
        return self._untaken

    def is_behind(self) -> bool:
        """See Attendant."""
        return self._untaken > BEHIND_BYTES and not self._channel.is_closed

    async def drain(self) -> None:
        """See Attendant."""
        while self.is_behind():
            self._has_taken.clear()
            await self._has_taken.wait()
        if self._channel.is_closed:
            raise ConnectionResetError("the worker has gone")

    async def record_role(self, reason: ConnectedReason, cause: LineReason) -> None:
        """See Attendant."""
        await record_role(self._trail, self.name, self._line.name, reason, cause)

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """See Attendant."""
        self._stop_typing()
        self._channel.tell("dismiss", [reason.value, sentence])

    # The inner life.

    async def _enter(self, _: object) -> str:
        self._taken_at = time.monotonic()
        with _told():
            return await self._seat.enter()

    def _note_taken(self, count: int) -> None:
        self._untaken -= count
        self._has_taken.set()

    async def _type(self, keys: bytes) -> bool:
        self._typing = asyncio.current_task()
        is_writing = await self._seat.type(keys)
        if is_writing:
            self._typed += len(keys)
        return is_writing

    def _stop_typing(self) -> None:
        """Wait no longer for an upstream that does not take what was typed."""
        if self._typing is not None:
            self._typing.cancel()

    def _leave(self) -> None:
        self._channel.on_closed = lambda: None
        self._channel.close()
        self._let_go()

    def _let_go(self) -> None:
        self._has_taken.set()
        self._stop_typing()
        self._seat.leave()

    def _lose(self) -> None:
        """Note that the worker has gone, and with it the session."""
        self._let_go()
        if self._taken_at is not None:
            seconds = round(time.monotonic() - self._taken_at, 3)
            message = f"{self.name} is not connected to {self._line.name} any more ({LineReason.WORKER_LOST.value})"
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
    """Carry the reason of a refusal to the other process."""
    try:
        yield
    except LineError as error:
        raise ChannelError(str(error), error.reason.value) from error
