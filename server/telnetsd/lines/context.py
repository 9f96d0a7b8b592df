"""What all lines of a server share: the log, the folder of recordings, and what to do if it cannot be written."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from telnetsd.audit.compression import compress
from telnetsd.audit.trail import Trail
from telnetsd.events.context import LinePart
from telnetsd.lines.recordings.name import name_now
from telnetsd.lines.recordings.recording import Recorded, Recording, vouch_for
from telnetsd.lines.recordings.segments import SegmentedRecording
from telnetsd.lines.table import Line
from telnetsd.telnet.terminal import Terminal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineContext:
    """What all lines share.

    Attributes:
        trail: Bound to nothing.
        tell_operators: Shows a message to the operators who are connected.
        recordings: The folder of recordings.
        continues_unrecorded: Whether a kept-open line may be used while its recording cannot be written.
        was_killed: Whether the previous server was killed: sessions on lines have ended without leaving them.
    """

    trail: Trail
    tell_operators: Callable[[str], None]
    recordings: Path
    continues_unrecorded: bool = False
    was_killed: bool = False

    def trail_of(self, line: Line) -> Trail:
        """Return a trail that is bound to a line."""
        return self.trail.bound_to(LinePart(name=line.name, kind=line.kind))

    def record(
        self, line: Line, trail: Trail, title: str, end: str, terminal: Terminal, *, is_compressed: bool
    ) -> SegmentedRecording:
        """Begin a recording.

        Args:
            line: The line.
            trail: Has the log vouch for the recording.
            title: What a player shows.
            end: The end of the name of each segment.
            terminal: The size and type that it begins with.
            is_compressed: Whether each segment is compressed once it is closed.
        Raises:
            OSError: The recording cannot be created.
        """
        settings = line.settings

        def begin(now: Terminal) -> Recording:
            return Recording(self.recordings / name_now(end), title, now)

        async def vouch(recorded: Recorded) -> None:
            await vouch_for(recorded, line.name, trail)
            if is_compressed:
                await _compress(self.recordings / recorded.file)

        return SegmentedRecording(
            begin,
            terminal,
            max_bytes=settings.recording_max_bytes,
            max_age_s=settings.recording_max_age_s,
            vouch=vouch,
        )


async def _compress(path: Path) -> None:
    try:
        await asyncio.to_thread(compress, path)
    except OSError as error:
        logger.warning("%s stays as it is, and is not compressed: %s", path.name, error)
