"""The lines that are open in this process.

Each line is opened only once: when the server starts, if it is kept open, or else for the first session.
"""

from collections.abc import Sequence

from telnetsd.events.of_sessions import ConnectedReason
from telnetsd.events.reason import LineReason
from telnetsd.lines.context import LineContext
from telnetsd.lines.kept_open import KeptOpenLine
from telnetsd.lines.kinds.upstream import UpstreamError
from telnetsd.lines.on_demand import OnDemandLine
from telnetsd.lines.open_line import OpenLine
from telnetsd.lines.opening import open_upstream
from telnetsd.lines.participants import Participant
from telnetsd.lines.place import Visitor
from telnetsd.lines.recordings.name import recording_end
from telnetsd.lines.recordings.segments import SegmentedRecording
from telnetsd.lines.rows import row_of
from telnetsd.lines.table import Line, LineError, LineTable
from telnetsd.lines.traffic import unrecorded
from telnetsd.rpc.messages import Join, LineRow
from telnetsd.telnet.terminal import Terminal


class LocalDirectory:
    """The open lines, by name; see `lines.place.Directory`.

    Args:
        context: What all lines share.
    """

    def __init__(self, context: LineContext) -> None:
        self._context = context
        self._open: dict[str, OpenLine] = {}
        self._down: dict[str, str] = {}
        self._closing: set[OpenLine] = set()

    async def rows(self, lines: Sequence[Line]) -> list[LineRow]:
        """See Directory."""
        return [row_of(line, self._open.get(line.name), self._down.get(line.name, "")) for line in lines]

    async def require_free(self, line: Line, join: Join) -> None:
        """See Directory."""
        opened = self._open.get(line.name)
        if opened is None:
            if join is Join.WATCH:
                message = f"no session uses {line.name}, so there is nothing to watch"
                raise LineError(LineReason.NOT_IN_USE, message)
        elif isinstance(opened, OnDemandLine) and not opened.is_ready:
            message = f"{line.name} is being connected; try again in a moment"
            raise LineError(LineReason.IN_USE, message)
        elif opened.people.all and join not in {Join.FORCE, Join.RECLAIM} and not line.settings.shared:
            raise LineError(LineReason.IN_USE, opened.people.in_use())

    async def place(self, line: Line, join: Join, visitor: Visitor) -> "LocalPlace":
        """See Directory."""
        await self.require_free(line, join)
        opened = self._open.get(line.name)
        if opened is None:
            return LocalPlace(await self._open_line(line, visitor), visitor)
        opened.require_open()
        _require_theirs(opened, visitor.participant, join)
        return LocalPlace(opened, visitor, join)

    def adopt(self, table: LineTable) -> None:
        """Close the lines that were removed or changed, and open those that are to be kept open."""
        for opened in list(self._open.values()):
            if table.find(opened.line.name) != opened.line:
                opened.end(LineReason.REMOVED, f"{opened.line.name} was removed or changed by the operator")
        self._down = {name: why for name, why in self._down.items() if table.find(name) is not None}
        for line in table:
            if line.settings.keep_open and line.name not in self._open:
                self._open[line.name] = KeptOpenLine(line, self._context, self._forget, tuple(self._closing))

    def check_clocks(self) -> None:
        """Check every line's clocks."""
        for opened in list(self._open.values()):
            opened.check_clocks()

    async def close(self) -> None:
        """Close the lines that are kept open, and wait until every line is completely closed."""
        for opened in list(self._open.values()):
            if isinstance(opened, KeptOpenLine):
                opened.end(LineReason.SERVER_STOPPED, f"{opened.line.name} is closed: the server stops")
        for opened in [*self._open.values(), *self._closing]:
            await opened.wait_closed()

    async def _open_line(self, line: Line, visitor: Visitor) -> OnDemandLine:
        opened = OnDemandLine(line, self._context, visitor.participant, self._forget)
        # From now on the line is in use, even while its upstream is still being connected.
        self._open[line.name] = opened
        try:
            await self._reach(opened, visitor)
        except BaseException:
            opened.leave(visitor.participant)
            raise
        return opened

    async def _reach(self, opened: OnDemandLine, visitor: Visitor) -> None:
        line = opened.line
        environment = {"TELNETSD_USER": visitor.participant.name, "TELNETSD_SESSION": visitor.session_id}
        try:
            upstream = await open_upstream(line, visitor.terminal, environment)
        except UpstreamError as error:
            self._down[line.name] = str(error)
            raise LineError(LineReason.UNREACHABLE, f"{line.name} cannot be reached: {error}") from error
        self._down.pop(line.name, None)
        try:
            opened.require_open()
            recording = self._record(line, visitor) if line.settings.record else None
        except LineError:
            await upstream.close()
            raise
        opened.prepare(upstream, recording, visitor.terminal)

    def _record(self, line: Line, visitor: Visitor) -> SegmentedRecording:
        """Begin the recording of a session.

        Raises:
            LineError: The recording cannot be created.
        """
        title, end = f"{line.name}: {visitor.participant.name}", recording_end(line.name, visitor.session_id)
        try:
            return self._context.record(
                line, visitor.participant.trail, title, end, visitor.terminal, is_compressed=False
            )
        except OSError as error:
            raise LineError(LineReason.RECORDING_FAILED, unrecorded(line.name, error)) from error

    def _forget(self, opened: OpenLine) -> None:
        if self._open.get(opened.line.name) is opened:
            del self._open[opened.line.name]
        self._closing = {one for one in self._closing if not one.is_closed} | {opened}


class LocalPlace:
    """A place on a line that is open in this process; see `lines.place.Place`.

    Args:
        opened: The line.
        visitor: The session.
        join: How the session joins the participants already there; None for the session that opened the line.
    """

    def __init__(self, opened: OpenLine, visitor: Visitor, join: Join | None = None) -> None:
        self._opened = opened
        self._visitor = visitor
        self._participant = visitor.participant
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
        is_alone, is_forced = not self._opened.people.all, self._join in {Join.FORCE, Join.RECLAIM}
        _require_theirs(self._opened, self._participant, self._join)
        if self._is_to_write and (is_forced or self._opened.people.writer is None):
            await self._opened.roles.take_over(self._participant, is_forced=is_forced)
        else:
            if self._is_to_write:
                # Another session became the writer first, while this one was being logged.
                await self._opened.roles.record_watching(self._participant)
            self._opened.roles.watch(self._participant)
        self._opened.traffic.resize(self._participant, self._visitor.terminal)
        if isinstance(self._opened, KeptOpenLine):
            self._opened.enter(self._visitor)
            if not self._opened.connectivity.is_up:
                return f"{self._opened.connectivity.sentence(self._opened.line.name)};"
        if is_alone and self._participant is self._opened.people.writer:
            return f"connected to {self._opened.line.name}:"
        return f"{self._opened.people.who()};"

    def begin(self) -> None:
        """See Place."""
        if self._join is None and isinstance(self._opened, OnDemandLine):
            self._opened.begin()

    async def type(self, keys: bytes) -> bool:
        """See Place."""
        return await self._opened.traffic.type(self._participant, keys)

    def resize(self, terminal: Terminal) -> None:
        """See Place."""
        self._opened.traffic.resize(self._participant, terminal)

    def ask_com_port(self, question: bytes) -> None:
        """See Place."""
        self._opened.traffic.ask_com_port(self._participant, question)

    def send_break(self) -> None:
        """See Place."""
        self._opened.traffic.send_break(self._participant)

    def end_input(self) -> None:
        """See Place."""
        # Other sessions, and those that come later, still type.
        if isinstance(self._opened, OnDemandLine) and self._opened.people.all == (self._participant,):
            self._opened.traffic.end_input()

    def show_past(self, *, is_all: bool) -> None:
        """See Place."""
        if isinstance(self._opened, KeptOpenLine):
            self._opened.show_past(self._participant, is_all=is_all)
        else:
            self._participant.tell(f"past output of {self._opened.line.name} is not kept")

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


def _require_theirs(opened: OpenLine, newcomer: Participant, join: Join) -> None:
    """Refuse a user who reclaims a line on which another user writes.

    Raises:
        LineError: Only an operator may take over from that user.
    """
    writer = opened.people.writer
    if join is Join.RECLAIM and writer is not None and writer.name != newcomer.name:
        raise LineError(LineReason.IN_USE, f"{opened.people.in_use()}, or a user their own")
