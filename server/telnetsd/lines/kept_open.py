"""A line whose upstream is connected while the server runs, with or without a session.

When the upstream is lost it is connected again, later each time. Sessions stay connected to the line meanwhile. What
it shows goes to its backlog and, with `record`, to a recording that goes on around the clock.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from telnetsd.events.of_sessions import DownReason
from telnetsd.events.reason import LineReason
from telnetsd.lines.backlog import Backlog
from telnetsd.lines.connectivity import Connectivity
from telnetsd.lines.context import LineContext
from telnetsd.lines.line_log import LineLog
from telnetsd.lines.open_line import OpenLine
from telnetsd.lines.participants import Notices, Participant, Told
from telnetsd.lines.place import Visitor
from telnetsd.lines.reconnection import Reconnection
from telnetsd.lines.replay import replay
from telnetsd.lines.table import Line, LineError
from telnetsd.telnet.terminal import Terminal

MORE_PAST: Final = 5
"""How many times as many lines of past output are shown to a user who asks for more."""
REST_S: Final = 1.0
"""How often the clocks of a line are checked on which nothing happens: a server may have very many of them."""
PATIENCE_S: Final = 10.0
"""How long an upstream may wait for the client of a writer."""


class KeptOpenLine(OpenLine):
    """A line that is open while the server runs.

    Args:
        line: The line.
        context: What all lines share.
        on_closed: Called when the line ends.
        after: Lines to wait for: one of them may still have the same upstream.

    Attributes:
        log: Its recording; None if it is not recorded.
    """

    def __init__(
        self,
        line: Line,
        context: LineContext,
        on_closed: Callable[[OpenLine], None],
        after: tuple[OpenLine, ...] = (),
    ) -> None:
        super().__init__(line, None)
        settings = line.settings
        trail = context.trail_of(line)
        self._on_closed = on_closed
        self._continues_unrecorded = context.continues_unrecorded
        self._terminal = Terminal()
        self._checked_at, self._checked_bytes = 0.0, 0
        self._entered_at: dict[Participant, float] = {}
        self._last_writer: Participant | None = None
        self._owes_farewell = context.was_killed and not line.of_kind.starts_afresh
        self._ending: DownReason = LineReason.REMOVED
        self.traffic.backlog = Backlog(settings.backlog_bytes)
        self.traffic.patience_s = 0 if line.of_kind.loses_unread else PATIENCE_S
        self.log = LineLog(line, context, trail, self.traffic) if settings.record else None
        if self.log is not None:
            self.log.check_clocks(self._terminal)
        self._look_for(self._terminal, context)
        self._reconnection = Reconnection(line, trail, self.traffic, self._tell_all, self._pay_farewell)
        self._keeping = asyncio.get_running_loop().create_task(self._keep_open(after))

    @property
    def connectivity(self) -> Connectivity:
        """Whether the upstream is connected."""
        return self._reconnection.state

    def require_open(self) -> None:
        """See OpenLine; a line that must be recorded and cannot be accepts no participants."""
        super().require_open()
        if self.log is not None and self.log.why_not and not self._continues_unrecorded:
            raise LineError(LineReason.RECORDING_FAILED, f"{self.log.why_not}; try again later")

    def enter(self, visitor: Visitor) -> None:
        """Show past output to a session that has just been connected; its time on the line begins."""
        self._entered_at[visitor.participant] = time.monotonic()
        if visitor.participant is self.people.writer:
            self._terminal = visitor.terminal
        if visitor.wants_past:
            self._show_past(visitor.participant, self.line.settings.backlog_lines)

    def show_past(self, participant: Participant, *, is_all: bool) -> None:
        """Show more of the past output than at the beginning, or all of it, to a participant that asks for it."""
        count = None if is_all else self.line.settings.backlog_lines * MORE_PAST
        if not self._show_past(participant, count):
            participant.tell(f"there is no past output of {self.line.name}")

    def _show_past(self, participant: Participant, count: int | None) -> bool:
        past = self.traffic.backlog.last(count) if self.traffic.backlog is not None else None
        if past is not None and count != 0:
            participant.show(replay(past, self.line.name))
        return past is not None

    def check_clocks(self) -> None:
        """See OpenLine; the clocks of participants end their attachment, and not the line."""
        now, settings = time.monotonic(), self.line.settings
        if self._is_at_rest(now):
            return
        self._checked_at, self._checked_bytes = now, self.traffic.shown_bytes
        if self.log is not None:
            self.log.check_clocks(self._terminal)
            if self.traffic.upstream is not None:
                self.log.note_overruns(self.traffic.upstream.overruns())
        self.traffic.check_clocks()
        self._reconnection.check_clocks()
        self._pay_farewell()
        self._entered_at = {one: at for one, at in self._entered_at.items() if self.people.has(one)}
        if settings.max_time_s > 0:
            for one in [one for one, at in self._entered_at.items() if now - at > settings.max_time_s]:
                self._drop(one, LineReason.MAX_TIME, f"you were on {self.line.name} for its maximum time")
        writer = self.people.writer
        if writer is not None and 0 < settings.idle_timeout_s < now - self.traffic.typed_at:
            self._drop(writer, LineReason.IDLE_TIMEOUT, f"nothing was typed on {self.line.name} for too long")

    def _is_at_rest(self, now: float) -> bool:
        """Tell whether nothing has happened, so that checking once per second is enough."""
        recording = self.traffic.recording
        return (
            now - self._checked_at < REST_S
            and self.traffic.shown_bytes == self._checked_bytes
            and not self.people.all
            and (recording is None or not recording.is_dirty)
        )

    def end(self, reason: LineReason, sentence: str) -> None:
        """See OpenLine."""
        self._apply(self.people.dismiss_all(reason, sentence))
        if reason is LineReason.SERVER_STOPPED:
            self._ending = reason
        self._begin_to_close(self._on_closed)

    def _apply(self, notices: Notices[Participant]) -> None:
        """Notify participants of a change; see to the farewell of a writer that has left."""
        super()._apply(notices)
        if self._last_writer is not None and not self.people.has(self._last_writer):
            self._last_writer = None
            self._owes_farewell = self.traffic.upstream is not None or not self.line.of_kind.starts_afresh
            self._pay_farewell()
        if self.people.writer is not None and self.people.writer is not self._last_writer:
            self._last_writer = self.people.writer
            self.traffic.typed_at = time.monotonic()

    def _pay_farewell(self) -> None:
        """Send `on_leave` if it is due and the upstream accepts it, so that the next user inherits no login."""
        on_leave = self.line.settings.on_leave.encode()
        if self._owes_farewell and (not on_leave or self.traffic.send(on_leave)):
            self._owes_farewell = False

    def _lose_recording(self, sentence: str) -> None:
        """Disconnect the writer: what is typed on the line has to be recorded."""
        if self.log is None:
            return
        self.log.lose(sentence)
        if self.people.writer is not None and not self._continues_unrecorded:
            self._drop(self.people.writer, LineReason.RECORDING_FAILED, sentence)

    def _drop(self, participant: Participant, reason: LineReason, sentence: str) -> None:
        drop = self.people.drop_writer if participant is self.people.writer else self.people.drop
        self._apply(drop(participant, reason, sentence))

    def _tell_all(self, sentence: str) -> None:
        self._apply([Told(one, sentence) for one in self.people.all])

    async def _keep_open(self, after: tuple[OpenLine, ...]) -> None:
        for one in after:
            await one.wait_closed()
        await self._reconnection.run(lambda: self._terminal)

    async def _close(self) -> None:
        self._keeping.cancel()
        await asyncio.wait({self._keeping})
        await self._reconnection.stop(self._ending)
        if self.log is not None:
            await self.log.close()
