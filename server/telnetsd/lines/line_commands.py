"""The commands that are typed on a recorded line, in the audit log.

They are recorded after they were sent: the log says what was done, and permits nothing. What is not shown by the line
is not in the log. Input and output are queued at the moment at which they pass, and worked off in that order, a
little at a time: what was typed first decides what an echo is.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.escaping import escape
from telnetsd.events.event import Event
from telnetsd.events.of_sessions import LineCommandTyped, LineFullScreen, LinePosition
from telnetsd.events.reason import LineReason
from telnetsd.lines.participants import Participant
from telnetsd.lines.patterns import REDACTED, compile_pattern, redact
from telnetsd.lines.table import Line
from telnetsd.lines.typed.lazy_tracker import LazyTracker
from telnetsd.lines.typed.tracker import Command, Finding
from telnetsd.telnet.terminal import Terminal
from telnetsd.telnet.turns import turns_of_pumps

COMMAND_MAX_CHARS: Final = 2048
MESSAGE_MAX_CHARS: Final = 200
QUEUE_MAX_BYTES: Final = 65_536
SKIPPED_FROM_BYTES: Final = 4 * QUEUE_MAX_BYTES
ENTRY_BYTES: Final = 256
"""What a queued piece takes beside its bytes."""
UNWRITTEN_MAX: Final = 64
"""How much may wait to be read, and how many events to be written, before the line has to wait."""
EVENTS_PER_S: Final = 100
"""How many events a line writes, as a rule: a typist who is faster has to wait."""
INTERNAL_ERROR: Final = "commands on %s are no longer recorded: internal error"
_ROWS: Final = 24

logger = logging.getLogger(__name__)

_Tracker = LazyTracker[Participant | None]
_Steps = Iterator[list[Finding[Participant | None]]]


@dataclass(frozen=True, slots=True)
class _Passed:
    """Something that has passed: its size, how the tracker reads it, and the moment in the recording."""

    size: int
    read: Callable[[_Tracker], _Steps]
    position: LinePosition | None
    is_resize: bool


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
        self._tracker: _Tracker | None = LazyTracker(*self._size_of(terminal), None)
        self._queue: deque[_Passed] = deque()
        self._queued_bytes = 0
        self._reading: asyncio.Task[None] | None = None
        self._terminal = terminal
        self._is_closing = False
        self._unwritten: set[asyncio.Task[None]] = set()
        self._progress = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        """Whether the echo of an Enter is awaited."""
        return self._tracker is not None and (bool(self._queue) or self._tracker.is_waiting)

    def type(self, participant: Participant, data: bytes) -> None:
        """Note what a participant has typed, at the moment at which it is sent."""
        at_s = time.monotonic()
        self._put(len(data), lambda tracker: tracker.type(data, at_s, participant))

    def show(self, data: bytes) -> None:
        """Note what the line shows, at the moment at which it is read."""
        at_s = time.monotonic()
        if self._reading is None and self._tracker is not None and not self._tracker.is_attended:
            self._read_at_once(lambda tracker: tracker.show(data, at_s))
        else:
            self._put(len(data), lambda tracker: tracker.show(data, at_s))

    def resize(self, terminal: Terminal) -> None:
        """Note the size of the writer's window."""
        at_s = time.monotonic()
        self._terminal = terminal
        if self._queue and self._queue[-1].is_resize:
            self._queued_bytes -= self._queue.pop().size
        self._put(0, lambda tracker: tracker.resize(*self._size_of(terminal), at_s), is_resize=True)

    async def catch_up(self) -> None:
        """Wait while too much was not read yet."""
        while self._queued_bytes > QUEUE_MAX_BYTES:
            await self._wait_for_progress()

    async def close(self) -> None:
        """Read what is left, and wait until every event is written, or kept to be written later."""
        self._is_closing = True
        if self._reading is not None:
            await asyncio.wait({self._reading})
        while self._unwritten:
            await asyncio.wait(self._unwritten)

    def _size_of(self, terminal: Terminal) -> tuple[int, int]:
        """Return the size of the far side's screen."""
        has_window = self._line.of_kind.has_window
        return (terminal.columns, terminal.rows) if has_window else (self._line.settings.columns, _ROWS)

    def _put(self, size: int, read: Callable[[_Tracker], _Steps], *, is_resize: bool = False) -> None:
        if self._tracker is None:
            return
        if self._queued_bytes > SKIPPED_FROM_BYTES:
            self._skip()
        size += ENTRY_BYTES
        self._queue.append(_Passed(size, read, self._position(), is_resize))
        self._queued_bytes += size
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read_all())

    def _skip(self) -> None:
        """Skip what is queued: the line does not wait, such as a serial port, which would lose output."""
        logger.warning("commands on %s are not recorded for a moment: more passes than can be read", self._line.name)
        self._queue.clear()
        self._queued_bytes = 0
        self._tracker = LazyTracker(*self._size_of(self._terminal), None)

    async def _read_all(self) -> None:
        turns = turns_of_pumps()
        written = 0
        try:
            while self._queue and self._tracker is not None:
                passed = self._queue.popleft()
                for findings in passed.read(self._tracker):
                    written += self._record_all(findings, passed.position)
                    if written >= EVENTS_PER_S and not self._is_closing:
                        await asyncio.sleep(1.0)
                        written = 0
                    while len(self._unwritten) > UNWRITTEN_MAX:
                        await self._wait_for_progress()
                    await turns.wait()
                await turns.wait()
                self._queued_bytes = max(0, self._queued_bytes - passed.size)
                self._progress.set()
        except Exception:
            # What a peer sends must not end the line.
            logger.exception(INTERNAL_ERROR, self._line.name)
            self._give_up()
        finally:
            self._reading = None

    async def _wait_for_progress(self) -> None:
        self._progress.clear()
        await self._progress.wait()

    def _read_at_once(self, read: Callable[[_Tracker], _Steps]) -> None:
        """Read output while no key is pressed, which takes no time."""
        try:
            if self._tracker is not None:
                for findings in read(self._tracker):
                    self._record_all(findings, self._position())
        except Exception:
            # What a peer sends must not end the line.
            logger.exception(INTERNAL_ERROR, self._line.name)
            self._give_up()

    def _give_up(self) -> None:
        """Read nothing more."""
        self._tracker, self._queued_bytes = None, 0
        self._queue.clear()
        self._progress.set()

    def _record_all(self, findings: list[Finding[Participant | None]], position: LinePosition | None) -> int:
        """Record what was found, and return how many events that are."""
        count = 0
        for one in findings:
            if one.typist is not None:
                count += 1
                self._record(one.typist.trail, self._event_of(one, one.typist.name, position))
        return count

    def _event_of(self, found: Finding[Participant | None], who: str, position: LinePosition | None) -> Event:
        name = self._line.name
        if isinstance(found, Command):
            prompt, command = self._redacted(found)
            message = f"{who} typed on {name}: {escape(command, MESSAGE_MAX_CHARS)}"
            return LineCommandTyped(
                message=message,
                command=escape(command, COMMAND_MAX_CHARS),
                prompt=escape(prompt, MESSAGE_MAX_CHARS),
                position=position,
            )
        if found.has_begun:
            message = f"{who} types to a full-screen program on {name}: commands are not recorded"
            return LineFullScreen(reason=LineReason.FULL_SCREEN, message=message, position=position)
        message = f"{who} types commands on {name} again"
        return LineFullScreen(reason=LineReason.FULL_SCREEN_ENDED, message=message, position=position)

    def _redacted(self, found: Command[Participant | None]) -> tuple[str, str]:
        """Return prompt and command without what the line's patterns match, on the line as a whole."""
        if not self._patterns:
            return found.prompt, found.text
        if found.is_cut:
            return found.prompt, REDACTED  # what makes a part of it a secret may be what is not there
        before = f"{found.prompt} "
        whole = redact(before + found.text, self._patterns)
        return (found.prompt, whole.removeprefix(before)) if whole.startswith(before) else ("", whole)

    def _record(self, trail: Trail, event: Event) -> None:
        task = asyncio.get_running_loop().create_task(_write(trail, event))
        self._unwritten.add(task)
        task.add_done_callback(self._note_written)

    def _note_written(self, task: asyncio.Task[None]) -> None:
        self._unwritten.discard(task)
        self._progress.set()


async def _write(trail: Trail, event: Event) -> None:
    with contextlib.suppress(AuditUnavailableError):  # the log keeps it, and writes it late
        await trail.record(event)
