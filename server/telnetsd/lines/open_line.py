"""One open line: an upstream, participants, and a recording. `on_demand` and `kept_open` say how long it is open."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from telnetsd.events.reason import LineReason
from telnetsd.lines.context import LineContext
from telnetsd.lines.line_alerts import LineAlerts
from telnetsd.lines.line_commands import LineCommands
from telnetsd.lines.participants import Notices, Participant, Participants, Told
from telnetsd.lines.role_changes import RoleChanges
from telnetsd.lines.table import Line, LineError
from telnetsd.lines.traffic import Traffic
from telnetsd.telnet.terminal import Terminal


class OpenLine(ABC):
    """An open line.

    Args:
        line: The line to open.
        writer: The session that opens it; None if it is open without one.

    Attributes:
        people: The connected participants.
        roles: The changes of the writer.
        traffic: The bytes that pass through.
    """

    def __init__(self, line: Line, writer: Participant | None) -> None:
        self.line = line
        self.people: Participants[Participant] = Participants(
            line.name, is_shared=line.settings.shared, writer=writer
        )
        self.roles = RoleChanges(line, self.people, self._apply, self.require_open)
        self.traffic = Traffic(line.settings, self.people, self._apply, self._lose_recording)
        self._closing: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def _look_for(self, terminal: Terminal, context: LineContext) -> None:
        """Begin to look for typed commands, if the line is recorded, and for what the line's alerts are for."""
        position = self.traffic.position
        if self.line.settings.record:
            self.traffic.commands = LineCommands(self.line, terminal, position)
        if self.line.settings.alert:
            trail = context.trail_of(self.line)
            self.traffic.alerts = LineAlerts(self.line, trail, position, context.tell_operators)

    @property
    def is_closed(self) -> bool:
        """Whether the line is completely closed."""
        return self._ended.is_set()

    async def wait_closed(self) -> None:
        """Wait until the line is completely closed."""
        await self._ended.wait()

    def require_open(self) -> None:
        """Refuse a request that comes too late, or while the line accepts no participants.

        Raises:
            LineError: The line is being closed, or no session may be connected now.
        """
        if self._closing is not None:
            raise LineError(LineReason.UPSTREAM_CLOSED, f"{self.line.name} has just been closed; connect again")

    @abstractmethod
    def check_clocks(self) -> None:
        """Check the line's clocks; this is called several times per second."""

    def leave(self, participant: Participant) -> None:
        """Remove a session that has left."""
        self.traffic.com_port_clients.forget(participant)
        self._apply(self.people.leave(participant))

    @abstractmethod
    def end(self, reason: LineReason, sentence: str) -> None:
        """Dismiss every participant, and close the line."""

    def _apply(self, notices: Notices[Participant]) -> None:
        """Notify participants of a change."""
        self.traffic.people_changed.set()
        for notice in notices:
            if isinstance(notice, Told):
                notice.to.tell(notice.sentence)
            else:
                notice.to.dismiss(notice.reason, notice.sentence)

    @abstractmethod
    def _lose_recording(self, sentence: str) -> None:
        """Note that the recording cannot be written."""

    def _begin_to_close(self, on_closed: Callable[["OpenLine"], None]) -> None:
        """Close the line in the background, unless that has begun already."""
        if self._closing is None:
            on_closed(self)
            self._closing = asyncio.get_running_loop().create_task(self._close_and_note())

    async def _close_and_note(self) -> None:
        try:
            await self._close()
            for one in (self.traffic.commands, self.traffic.alerts):
                if one is not None:
                    await one.close()
        finally:
            self._ended.set()

    @abstractmethod
    async def _close(self) -> None:
        """Close the upstream and the recording."""
