"""The lines that are open in this process.

Each line is opened only once, and closed when no user may use it any longer.
"""

from collections.abc import Callable, Sequence

from telnetsd.events.of_sessions import ConnectedReason
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import UpstreamError
from telnetsd.lines.open_line import OpenLine
from telnetsd.lines.opening import open_upstream
from telnetsd.lines.participants import Participant
from telnetsd.lines.place import Visitor
from telnetsd.lines.recordings.recording import Recording
from telnetsd.lines.table import Line, LineError, LineTable
from telnetsd.rpc.messages import Join
from telnetsd.telnet.terminal import Terminal


class LocalDirectory:
    """The open lines, by name; see `lines.place.Directory`."""

    def __init__(self) -> None:
        self._open: dict[str, OpenLine] = {}
        self._down: dict[str, str] = {}
        self._closing: set[OpenLine] = set()

    async def states(self, lines: Sequence[Line]) -> list[str]:
        """See Directory."""
        return [self._state_of(line) for line in lines]

    async def require_free(self, line: Line, join: Join) -> None:
        """See Directory."""
        opened = self._open.get(line.name)
        if opened is None:
            if join is Join.WATCH:
                message = f"no session uses {line.name}, so there is nothing to watch"
                raise LineError(LineReason.NOT_IN_USE, message)
        elif not opened.is_ready:
            message = f"{line.name} is being connected; try again in a moment"
            raise LineError(LineReason.IN_USE, message)
        elif join is not Join.FORCE and not line.settings.shared:
            raise LineError(LineReason.IN_USE, opened.people.in_use())

    async def place(self, line: Line, join: Join, visitor: Visitor) -> "LocalPlace":
        """See Directory."""
        await self.require_free(line, join)
        opened = self._open.get(line.name)
        if opened is None:
            return LocalPlace(await self._open_line(line, visitor), visitor.participant)
        opened.require_open()
        return LocalPlace(opened, visitor.participant, join)

    def adopt(self, table: LineTable) -> None:
        """Close the lines that a reload has removed or changed."""
        for opened in list(self._open.values()):
            if table.find(opened.line.name) != opened.line:
                opened.end(LineReason.REMOVED, f"{opened.line.name} was removed or changed by the operator")
        self._down = {name: why for name, why in self._down.items() if table.find(name) is not None}

    def check_clocks(self) -> None:
        """Check every line's clocks."""
        for opened in list(self._open.values()):
            opened.check_clocks()

    async def wait_closed(self) -> None:
        """Wait until every open line is completely closed."""
        for opened in [*self._open.values(), *self._closing]:
            await opened.wait_closed()

    def _state_of(self, line: Line) -> str:
        found = self._open.get(line.name)
        if found is not None:
            return found.people.who() if found.is_ready else "being connected"
        return f"down: {self._down[line.name]}" if line.name in self._down else "free"

    async def _open_line(self, line: Line, visitor: Visitor) -> OpenLine:
        opened = OpenLine(line, visitor.participant, self._forget)
        # From now on the line is in use, even while its upstream is still being connected.
        self._open[line.name] = opened
        try:
            await self._reach(opened, visitor)
        except BaseException:
            opened.leave(visitor.participant)
            raise
        return opened

    async def _reach(self, opened: OpenLine, visitor: Visitor) -> None:
        line = opened.line
        try:
            upstream = await open_upstream(line, visitor.terminal, visitor.environment)
        except UpstreamError as error:
            self._down[line.name] = str(error)
            raise LineError(LineReason.UNREACHABLE, f"{line.name} cannot be reached: {error}") from error
        self._down.pop(line.name, None)
        try:
            opened.require_open()
            recording = _record(line, visitor) if line.settings.record else None
        except LineError:
            await upstream.close()
            raise
        opened.prepare(upstream, recording, visitor.trail)

    def _forget(self, opened: OpenLine) -> None:
        if self._open.get(opened.line.name) is opened:
            del self._open[opened.line.name]
        self._closing = {one for one in self._closing if not one.is_closed} | {opened}


class LocalPlace:
    """A place on a line that is open in this process; see `lines.place.Place`.

    Args:
        opened: The line.
        participant: The session, as a participant of the line.
        join: How the session joins the participants already there; None for the session that opened the line.
    """

    def __init__(self, opened: OpenLine, participant: Participant, join: Join | None = None) -> None:
        self._opened = opened
        self._participant = participant
        self._join = join
        self.writer = opened.people.writer.name if join is not None and opened.people.writer is not None else ""
        self._is_to_write = join is not Join.WATCH and (join is not Join.WRITE or not self.writer)
        self.reason: ConnectedReason = LineReason.WATCHING
        if self._is_to_write:
            self.reason = LineReason.TAKEN_OVER if self.writer else LineReason.WRITING

    async def enter(self) -> str:
        """See Place."""
        if self._join is None:
            return f"connected to {self._opened.line.name}:"
        if self._is_to_write and (self._join is Join.FORCE or self._opened.people.writer is None):
            await self._opened.roles.take_over(self._participant, is_forced=self._join is Join.FORCE)
        else:
            if self._is_to_write:
                # Another session became the writer first, while this one was being logged.
                await self._opened.roles.record_watching(self._participant)
            self._opened.roles.watch(self._participant)
        return f"{self._opened.people.who()};"

    def begin(self) -> None:
        """See Place."""
        if self._join is None:
            self._opened.begin()

    async def type(self, keys: bytes) -> bool:
        """See Place."""
        return await self._opened.traffic.type(self._participant, keys)

    def resize(self, terminal: Terminal) -> None:
        """See Place."""
        self._opened.traffic.resize(self._participant, terminal)

    def ask_com_port(self, question: bytes, answer: Callable[[bytes], None]) -> None:
        """See Place."""
        said = self._opened.traffic.com_port(self._participant, question)
        if said is not None:
            answer(said)

    def send_break(self) -> None:
        """See Place."""
        self._opened.traffic.send_break(self._participant)

    def tell_who(self) -> None:
        """See Place."""
        self._participant.tell(self._opened.people.who())

    async def ask_to_write(self) -> None:
        """See Place."""
        if self._join is Join.WATCH:
            self._participant.tell("you are connected read-only: leave with ~. and connect to write")
        else:
            await self._opened.roles.ask(self._participant)

    async def hand_over(self) -> None:
        """See Place."""
        await self._opened.roles.hand_over(self._participant)

    def leave(self) -> None:
        """See Place."""
        self._opened.leave(self._participant)


def _record(line: Line, visitor: Visitor) -> Recording:
    """Begin a recording.

    Raises:
        LineError: The recording cannot be created.
    """
    title = f"{line.name}: {visitor.participant.name}"
    try:
        return Recording(visitor.recording, title, visitor.terminal, max_bytes=line.settings.recording_max_bytes)
    except OSError as error:
        message = f"{line.name} must be recorded, but cannot be: {reason_of(error)}"
        raise LineError(LineReason.RECORDING_FAILED, message) from error
