"""The recording of a kept-open line, around the clock, and what is missing from it while it cannot be written."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.events.fields import timestamp
from telnetsd.events.of_sessions import LineLogGap
from telnetsd.events.reason import LineReason
from telnetsd.lines.context import LineContext
from telnetsd.lines.recordings.name import line_recording_end
from telnetsd.lines.recordings.segments import SegmentedRecording
from telnetsd.lines.table import Line
from telnetsd.lines.traffic import Traffic, unrecorded
from telnetsd.telnet.terminal import Terminal

AGAIN_AFTER_S: Final = 1.0
"""How long after a failure the next attempt is made."""
OVERRUN_INTERVAL_S: Final = 60.0
_OVERRUN: Final = LineReason.OVERRUN

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Gap:
    """What is not recorded: since when, and how much the line had shown by then."""

    since: datetime
    shown_bytes: int


class LineLog:
    """The recording of a line that is open while the server runs.

    Args:
        line: The line.
        context: What all lines share.
        trail: Bound to the line.
        traffic: Records to it.
    """

    def __init__(self, line: Line, context: LineContext, trail: Trail, traffic: Traffic) -> None:
        self._line = line
        self._context = context
        self._trail = trail
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self._gap: _Gap | None = None
        self._again_at = self._overrun_again_at = 0.0
        self._overruns: int | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.why_not = ""
        """A sentence that says why the line is not recorded now; empty if it is."""

    def check_clocks(self, terminal: Terminal) -> None:
        """Begin to record if that is possible, with this terminal; let what was recorded reach the disk."""
        if self._traffic.recording is None and self._loop.time() >= self._again_at:
            self._begin(terminal)

    def note_overruns(self, total: int) -> None:
        """Note how many times the port has lost bytes; what is new is recorded, at most once a minute."""
        if self._overruns is None or total < self._overruns:
            self._overruns = total  # another port, or the same one after it was plugged in again
        new, now = total - self._overruns, self._loop.time()
        if new and now >= self._overrun_again_at:
            self._overruns, self._overrun_again_at = total, now + OVERRUN_INTERVAL_S
            message = f"{self._line.name} lost received bytes {new} times, before they could be read"
            self._keep(
                self._loop.create_task(self._record(LineLogGap(reason=_OVERRUN, message=message, overruns=new)))
            )

    def lose(self, why: str) -> None:
        """Note that the recording cannot be written: what follows is missing from it."""
        recording, self._traffic.recording = self._traffic.recording, None
        if recording is not None:
            self._close_in_background(recording)
        if not self.why_not:
            logger.warning("%s; the line stays connected", why)
            self._gap = _Gap(datetime.now(UTC), self._traffic.shown_bytes)
        self.why_not = why
        self._again_at = self._loop.time() + AGAIN_AFTER_S

    async def close(self) -> None:
        """Close the recording, and return when the log vouches for it, and says what is missing."""
        recording, self._traffic.recording = self._traffic.recording, None
        if recording is not None:
            self._close_in_background(recording)
        await asyncio.gather(*self._closing)
        await self._record_gap()

    def _begin(self, terminal: Terminal) -> None:
        name = self._line.name
        end = line_recording_end(name)
        try:
            recording = self._context.record(self._line, self._trail, name, end, terminal, is_compressed=True)
        except OSError as error:
            self.lose(unrecorded(name, error))
            return
        self._traffic.recording = recording
        if self.why_not:
            self.why_not = ""
            logger.warning("%s is recorded again", name)
            self._keep(self._loop.create_task(self._record_gap()))

    async def _record_gap(self) -> None:
        gap, self._gap = self._gap, None
        if gap is None:
            return
        missing = self._traffic.shown_bytes - gap.shown_bytes
        message = f"{missing} bytes that {self._line.name} showed are not recorded"
        await self._record(LineLogGap(message=message, bytes=missing, since=timestamp(gap.since)))

    async def _record(self, gap: LineLogGap) -> None:
        with contextlib.suppress(AuditUnavailableError):  # the log keeps it, and writes it late
            await self._trail.record(gap)

    def _close_in_background(self, recording: SegmentedRecording) -> None:
        self._keep(self._loop.create_task(recording.close()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
