"""The lines that are open in this process: opening one, once, and closing what nobody may have any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telnetsd.audit.reason import LineReason
from telnetsd.lines.open_line import Attendant, OnRecorded, OpenLine
from telnetsd.lines.opening import open_upstream
from telnetsd.lines.recording import Recording
from telnetsd.lines.streams import reason_of
from telnetsd.lines.table import Line, LineError, LineTable
from telnetsd.lines.upstream import Terminal, UpstreamError


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who opens a line: the session's part in it, their terminal, what a program is told, where it is recorded."""

    attendant: Attendant
    terminal: Terminal
    environment: Mapping[str, str]
    recording: Path
    on_recorded: OnRecorded


class Switchboard:
    """The open lines, by name."""

    def __init__(self) -> None:
        self._open: dict[str, OpenLine] = {}
        self._down: dict[str, str] = {}
        self._closing: set[OpenLine] = set()

    def find(self, line: Line) -> OpenLine | None:
        """Return a line that is open."""
        return self._open.get(line.name)

    def state_of(self, line: Line) -> str:
        """Say whether a line is free, in use by whom, or could not be reached the last time."""
        found = self._open.get(line.name)
        if found is not None:
            return found.who()
        return f"down: {self._down[line.name]}" if line.name in self._down else "free"

    async def open(self, line: Line, visitor: Visitor) -> OpenLine:
        """Open a line that is not open, for somebody who writes; nothing is shown before `OpenLine.begin`.

        Raises:
            LineError: It cannot be reached or recorded.
        """
        opened = OpenLine(line, visitor.attendant, self._forget)
        # From now on it is in use, also while the upstream is being reached.
        self._open[line.name] = opened
        try:
            await self._reach(opened, visitor)
        except BaseException:
            opened.leave(visitor.attendant)
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
        opened.prepare(upstream, recording, visitor.on_recorded)

    def adopt(self, table: LineTable) -> None:
        """Close the lines that a reload has removed or changed."""
        for opened in list(self._open.values()):
            if table.find(opened.line.name) != opened.line:
                opened.end(LineReason.REMOVED, f"{opened.line.name} was removed or changed by the operator")
        self._down = {name: why for name, why in self._down.items() if table.find(name) is not None}

    def check_clocks(self) -> None:
        """Look at every line's clocks."""
        for opened in list(self._open.values()):
            opened.check_clocks()

    async def wait_closed(self) -> None:
        """Wait until nothing is left of what was open."""
        for opened in [*self._open.values(), *self._closing]:
            await opened.wait_closed()

    def _forget(self, opened: OpenLine) -> None:
        if self._open.get(opened.line.name) is opened:
            del self._open[opened.line.name]
        self._closing = {one for one in self._closing if not one.is_closed} | {opened}


def _record(line: Line, visitor: Visitor) -> Recording:
    """Begin a recording.

    Raises:
        LineError: It cannot be made.
    """
    title = f"{line.name}: {visitor.attendant.name}"
    try:
        return Recording(visitor.recording, title, visitor.terminal, max_bytes=line.settings.recording_max_bytes)
    except OSError as error:
        message = f"{line.name} is recorded, and cannot be: {reason_of(error)}"
        raise LineError(LineReason.RECORDING_FAILED, message) from error
