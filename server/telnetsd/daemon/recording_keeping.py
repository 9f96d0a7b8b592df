"""Remove the recordings of lines that are older, or larger together, than the lines' settings allow."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.events.context import LinePart
from telnetsd.events.of_sessions import RecordingRemoved
from telnetsd.files.atomic import sync_folder
from telnetsd.lines.recordings.name import plain_name
from telnetsd.lines.recordings.retention import find_expired
from telnetsd.lines.table import LineTable

INTERVAL_S: Final = 600.0

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
        self._next_at = 0.0

    async def keep_up(self) -> None:
        """Remove the recordings that are due, every ten minutes; report an error on the operator's terminal, once."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + INTERVAL_S
        try:
            await self._remove_expired(self._lines())
            self._told = ""
        except (OSError, AuditUnavailableError) as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("recordings that are due for removal were kept: %s", error)

    async def _remove_expired(self, lines: LineTable) -> None:
        settings = [line.settings for line in lines]
        kinds = {line.name: line.kind for line in lines}
        for one in await asyncio.to_thread(find_expired, self._folder, settings, datetime.now(UTC)):
            name = plain_name(one.path.name)
            trail = self._trail.bound_to(LinePart(name=one.line, kind=kinds[one.line]))
            message = f"the recording {name} is removed"
            await trail.record(RecordingRemoved(reason=one.reason, message=message, file=name))
            one.path.unlink()
            sync_folder(self._folder)
