"""Lines that are open in another process of the server, as a session of this one sees them.

One process has every line, so that who watches, who takes over and who waits meet there, whichever worker they came
to. A session asks it by its worker's channel; each seat has a channel of its own, for keys and screen. What the
client has taken of the screen is told, so that the line waits for who writes. The other end is `lines.hosting`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, cast

import msgspec

from telnetsd.events.of_sessions import ConnectedReason
from telnetsd.events.part import Fields
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.upstream import Terminal
from telnetsd.lines.open_line import Attendant
from telnetsd.lines.place import Visitor, Wish
from telnetsd.lines.table import Line, LineError
from telnetsd.rpc.channel import Channel, ChannelError, open_channel

TOLD_FROM_BYTES: Final = 16_384
"""What is less than this is not told to have been taken: it keeps nobody waiting."""


class SeatRequest(msgspec.Struct, frozen=True):
    """Who wants a seat: see `lines.place.Visitor`; `fields` are those of the session's events."""

    line: str
    wish: str
    name: str
    terminal: Terminal
    environment: dict[str, str]
    recording: str
    fields: Fields


class SeatAnswer(msgspec.Struct, frozen=True):
    """A reserved seat: see `lines.place.Seat`."""

    reason: LineReason
    writer: str


class RemoteSwitchboard:
    """The way to lines in another process; see `lines.place.Switchboard`.

    Args:
        channel: This worker's.
        path: Where seats are had.
    """

    def __init__(self, channel: Channel, path: Path) -> None:
        self._channel = channel
        self._path = path

    async def states(self, lines: Sequence[Line]) -> list[str]:
        """See Switchboard."""
        with _line_errors():
            return msgspec.convert(
                await self._channel.ask("line-states", [line.name for line in lines]), type=list[str]
            )

    async def require_free(self, line: Line, wish: Wish) -> None:
        """See Switchboard."""
        with _line_errors():
            await self._channel.ask("line-free", [line.name, wish.name])

    async def seat(self, line: Line, wish: Wish, visitor: Visitor) -> "RemoteSeat":
        """See Switchboard."""
        try:
            channel = await open_channel(self._path)
        except OSError as error:
            raise LineError(LineReason.UNREACHABLE, f"{line.name} cannot be reached: {error.strerror}") from error
        request = SeatRequest(
            line.name,
            wish.name,
            visitor.attendant.name,
            visitor.terminal,
            dict(visitor.environment),
            str(visitor.recording),
            visitor.trail.fields,
        )
        seat = RemoteSeat(channel, line, visitor.attendant)
        try:
            with _line_errors():
                answer = msgspec.convert(await channel.ask("seat", request), type=SeatAnswer)
        except BaseException:
            seat.leave()
            raise
        seat.reserve(answer)
        return seat


class RemoteSeat:
    """A seat on a line in another process; see `lines.place.Seat`."""

    def __init__(self, channel: Channel, line: Line, attendant: Attendant) -> None:
        self.reason: ConnectedReason = LineReason.WATCHING
        self.writer = ""
        self._channel = channel
        self._line = line
        self._attendant = attendant
        self._early: list[bytes] | None = []
        """What the line has shown before the session was told that it is connected."""
        self._has_left = False
        self._shown = 0
        """How much was shown since what was taken has been told."""
        self._catching_up: asyncio.Task[None] | None = None
        self._answers: list[Callable[[bytes], None]] = []
        channel.on_closed = self._lose
        channel.listeners = {
            "show": self._show,
            "say": attendant.tell,
            "dismiss": lambda told: attendant.dismiss(LineReason(told[0]), told[1]),
            "port-answer": self._take_answer,
        }

    def reserve(self, answer: SeatAnswer) -> None:
        """Take note of the seat that was found."""
        self.reason, self.writer = cast("ConnectedReason", answer.reason), answer.writer

    async def enter(self) -> str:
        """See Seat."""
        with _line_errors():
            return str(await self._channel.ask("enter"))

    def begin(self) -> None:
        """See Seat."""
        self._channel.tell("begin")
        early, self._early = self._early or [], None
        for data in early:
            self._show(data)

    async def type(self, keys: bytes) -> bool:
        """See Seat."""
        try:
            return bool(await self._channel.ask("keys", keys))
        except ChannelError:
            return False  # the attendant is told

    def resize(self, terminal: Terminal) -> None:
        """See Seat."""
        self._channel.tell("resize", terminal)

    def ask_com_port(self, question: bytes, answer: Callable[[bytes], None]) -> None:
        """See Seat."""
        self._answers.append(answer)
        self._channel.tell("port", question)

    def send_break(self) -> None:
        """See Seat."""
        self._channel.tell("break")

    def tell_who(self) -> None:
        """See Seat."""
        self._channel.tell("who")

    async def ask_to_write(self) -> None:
        """See Seat."""
        await self._have_done("ask")

    async def hand_over(self) -> None:
        """See Seat."""
        await self._have_done("hand-over")

    async def _have_done(self, verb: str) -> None:
        with contextlib.suppress(ChannelError):  # the attendant is told
            await self._channel.ask(verb)

    def leave(self) -> None:
        """See Seat."""
        if not self._has_left:
            self._has_left = True
            self._channel.tell("leave")
            self._channel.finish()

    def _show(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
            return
        self._attendant.show(data)
        self._shown += len(data)
        if self._catching_up is not None:
            return
        if self._attendant.is_behind():
            self._catching_up = asyncio.ensure_future(self._catch_up())
        elif self._shown >= TOLD_FROM_BYTES:
            self._tell_taken()

    async def _catch_up(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._attendant.drain()
        self._catching_up = None
        self._tell_taken()

    def _tell_taken(self) -> None:
        shown, self._shown = self._shown, 0
        self._channel.tell("taken", shown)

    def _take_answer(self, answer: bytes) -> None:
        self._answers.pop(0)(answer)

    def _lose(self) -> None:
        if not self._has_left:
            self._has_left = True
            message = f"{self._line.name} is lost: the process of the server that had it has ended"
            self._attendant.dismiss(LineReason.UPSTREAM_LOST, message)


@contextlib.contextmanager
def _line_errors() -> Iterator[None]:
    """Turn what the other process has refused back into the error that it was."""
    try:
        yield
    except ChannelError as error:
        known = error.kind in {one.value for one in LineReason}
        reason = LineReason(error.kind) if known else LineReason.UNREACHABLE
        raise LineError(reason, str(error)) from error
