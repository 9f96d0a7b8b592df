"""A line that a session opens, and that is closed when no session is connected any longer."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from telnetsd.events.reason import LineReason
from telnetsd.lines.context import LineContext
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.open_line import OpenLine
from telnetsd.lines.participants import Participant
from telnetsd.lines.recordings.segments import SegmentedRecording
from telnetsd.lines.table import Line
from telnetsd.telnet.terminal import Terminal

ECHO_S: Final = 1.0
ECHO_LOOK_S: Final = 0.02
"""How long the echo of the last Enter is awaited when the line closes, and how often it is looked for."""


class OnDemandLine(OpenLine):
    """A line that is open while sessions use it; it ends with its upstream.

    Args:
        line: The line to open.
        context: What all lines share.
        writer: The session that opens it.
        on_closed: Called when no session is connected any longer.
    """

    def __init__(
        self, line: Line, context: LineContext, writer: Participant, on_closed: Callable[[OpenLine], None]
    ) -> None:
        super().__init__(line, writer)
        self._context = context
        self._on_closed = on_closed
        self._opened_at = time.monotonic()
        self._pump: asyncio.Task[None] | None = None

    def prepare(self, upstream: Upstream, recording: SegmentedRecording | None, terminal: Terminal) -> None:
        """Store the opened upstream and recording, for a writer with this terminal."""
        self.traffic.upstream, self.traffic.recording = upstream, recording
        self._look_for(terminal, self._context)

    def begin(self) -> None:
        """Start to show the upstream's output; do nothing if every participant has already left."""
        upstream = self.traffic.upstream
        if upstream is not None and self._closing is None:
            self._pump = asyncio.get_running_loop().create_task(self._show(upstream))

    @property
    def is_ready(self) -> bool:
        """Whether its upstream has been reached; until then no other session is connected."""
        return self.traffic.upstream is not None

    def check_clocks(self) -> None:
        """Check how long nothing was typed, how long the line has been open, and the recording; see OpenLine."""
        settings, now = self.line.settings, time.monotonic()
        self.traffic.check_clocks()
        if 0 < settings.max_time_s < now - self._opened_at:
            self.end(LineReason.MAX_TIME, f"{self.line.name} was open for its maximum time")
        elif 0 < settings.idle_timeout_s < now - self.traffic.typed_at:
            self.end(LineReason.IDLE_TIMEOUT, f"nothing was typed on {self.line.name} for too long")

    def leave(self, participant: Participant) -> None:
        """Remove a session that has left; close the line after the last one."""
        super().leave(participant)
        self._close_if_empty()

    def end(self, reason: LineReason, sentence: str) -> None:
        """See OpenLine."""
        self._apply(self.people.dismiss_all(reason, sentence))
        self._close_if_empty()

    def _lose_recording(self, sentence: str) -> None:
        """End the line: it has to be recorded."""
        self.end(LineReason.RECORDING_FAILED, sentence)

    async def _show(self, upstream: Upstream) -> None:
        ended = await self.traffic.pump(upstream)
        self.end(ended.reason, f"{self.line.name} {ended.why}")

    def _close_if_empty(self) -> None:
        if not self.people.all:
            self._begin_to_close(self._on_closed)

    async def _wait_for_echo(self) -> None:
        """Wait a moment for the echo of what was typed last: a user may leave at once after Enter."""
        end = time.monotonic() + ECHO_S
        while self.traffic.commands is not None and self.traffic.commands.is_waiting and not self._is_pump_done():
            if time.monotonic() > end:
                return
            await asyncio.sleep(ECHO_LOOK_S)

    def _is_pump_done(self) -> bool:
        return self._pump is None or self._pump.done()

    async def _close(self) -> None:
        upstream, recording = self.traffic.upstream, self.traffic.recording
        await self._wait_for_echo()
        if self._pump is not None:
            self._pump.cancel()
        if upstream is not None:
            await upstream.close()
        if recording is not None:
            await recording.close()
