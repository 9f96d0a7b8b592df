"""Remove the recordings of lines that are older, or larger together, than the lines' settings allow."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.events.context import LinePart
from telnetsd.events.of_sessions import RecordingRemoved
from telnetsd.files.atomic import sync_folder
from telnetsd.lines.recordings.name import plain_name
from telnetsd.lines.recordings.retention import find_expired
from telnetsd.lines.table import Line, LineTable

logger = logging.getLogger(__name__)


class RecordingKeeper:
    """Removes what is due.

    Args:
        folder: The folder of recordings.
        lines: Returns the lines of the current generation.
        trail: Bound to nothing.
    """

    def __init__(self, folder: Path, lines: Callable[[], LineTable], trail: Trail) -> None:
        self._folder = folder
        self._lines = lines
        self._trail = trail
        self._told = ""

    async def keep_up(self) -> None:
        """Remove the recordings that are due; report an error on the operator's terminal, once."""
        try:
            for line in self._lines():
                await self._remove_expired(line)
            self._told = ""
        except (OSError, AuditUnavailableError) as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("recordings that are due for removal were kept: %s", error)

    async def _remove_expired(self, line: Line) -> None:
        trail = self._trail.bound_to(LinePart(name=line.name, kind=line.kind))
        for one in await asyncio.to_thread(find_expired, self._folder, line.settings, datetime.now(UTC)):
            name = plain_name(one.path.name)
            message = f"the recording {name} is removed"
            await trail.record(RecordingRemoved(reason=one.reason, message=message, file=name))
            one.path.unlink()
            sync_folder(self._folder)
