"""The commands that are typed on a recorded line, in the audit log.

They are recorded after they were sent: the log says what was done, and permits nothing. What is not shown by the line
is not in the log.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.escaping import escape
from telnetsd.events.event import Event
from telnetsd.events.of_sessions import LineCommandTyped, LineFullScreen, LinePosition
from telnetsd.events.reason import LineReason
from telnetsd.lines.participants import Participant
from telnetsd.lines.patterns import compile_pattern, redact
from telnetsd.lines.table import Line
from telnetsd.lines.typed.lazy_tracker import LazyTracker
from telnetsd.lines.typed.tracker import Command, Finding
from telnetsd.telnet.terminal import Terminal

COMMAND_MAX_CHARS: Final = 4096
PROMPT_MAX_CHARS: Final = 256
UNWRITTEN_MAX: Final = 64
"""How many events may wait to be written before the typist has to wait."""
SLICE_BYTES: Final = 2048
"""How much output is read at once: a millisecond at most, as a rule."""
_ROWS: Final = 24

logger = logging.getLogger(__name__)


class LineCommands:
    """The commands of one open line.

    Args:
        line: The line.
        terminal: The terminal of its writer, or of the next one.
        position: Returns the moment in the recording; None while there is no recording.
    """

    def __init__(self, line: Line, terminal: Terminal, position: Callable[[], LinePosition | None]) -> None:
        self._line = line
        self._position = position
        self._patterns = [compile_pattern(one, f"redact of {line.name}") for one in line.settings.redact]
        self._tracker: LazyTracker[Participant | None] | None = LazyTracker(*self._size_of(terminal), None)
        self._unwritten: set[asyncio.Task[None]] = set()

    def type(self, participant: Participant, data: bytes) -> None:
        """Note what a participant has typed."""
        self._follow(lambda tracker: tracker.type(data, time.monotonic(), participant))

    def show(self, data: bytes) -> Iterator[None]:
        """Note what the line shows; the caller leaves time to other work whenever this yields."""
        is_attended = self._tracker is not None and self._tracker.is_attended
        size = SLICE_BYTES if is_attended else max(1, len(data))
        for start in range(0, len(data), size):
            if start:
                yield
            piece = data[start : start + size]
            self._follow(partial(LazyTracker.show, data=piece, at_s=time.monotonic()))

    def resize(self, terminal: Terminal) -> None:
        """Note the size of the writer's window."""
        self._follow(lambda tracker: tracker.resize(*self._size_of(terminal), time.monotonic()))

    async def catch_up(self) -> None:
        """Wait while too many events are not written yet."""
        while len(self._unwritten) > UNWRITTEN_MAX:
            await asyncio.wait(self._unwritten, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Wait until every event is written, or kept to be written later."""
        while self._unwritten:
            await asyncio.wait(self._unwritten)

    def _size_of(self, terminal: Terminal) -> tuple[int, int]:
        """Return the size of the far side's screen."""
        has_window = self._line.of_kind.has_window
        return (terminal.columns, terminal.rows) if has_window else (self._line.settings.columns, _ROWS)

    def _follow(self, step: Callable[[LazyTracker[Participant | None]], list[Finding[Participant | None]]]) -> None:
        if self._tracker is None:
            return
        try:
            findings = step(self._tracker)
        except Exception:
            # What a peer sends must not end the line.
            logger.exception("commands on %s are no longer recorded: internal error", self._line.name)
            self._tracker = None
            return
        for one in findings:
            if one.typist is not None:
                self._record(one.typist.trail, self._event_of(one, one.typist.name))

    def _event_of(self, found: Finding[Participant | None], who: str) -> Event:
        position, name = self._position(), self._line.name
        if isinstance(found, Command):
            command = escape(redact(found.text, self._patterns), COMMAND_MAX_CHARS)
            prompt = escape(redact(found.prompt, self._patterns), PROMPT_MAX_CHARS)
            message = f"{who} typed on {name}: {command}"
            return LineCommandTyped(message=message, command=command, prompt=prompt, position=position)
        if found.has_begun:
            message = f"{who} types to a full-screen program on {name}: commands are not recorded"
            return LineFullScreen(reason=LineReason.FULL_SCREEN, message=message, position=position)
        message = f"{who} types commands on {name} again"
        return LineFullScreen(reason=LineReason.FULL_SCREEN_ENDED, message=message, position=position)

    def _record(self, trail: Trail, event: Event) -> None:
        task = asyncio.get_running_loop().create_task(_write(trail, event))
        self._unwritten.add(task)
        task.add_done_callback(self._unwritten.discard)


async def _write(trail: Trail, event: Event) -> None:
    with contextlib.suppress(AuditUnavailableError):  # the log keeps it, and writes it late
        await trail.record(event)
