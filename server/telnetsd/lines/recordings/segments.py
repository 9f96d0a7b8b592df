"""The recording of a line in segments: files that are limited in size and age, so that nothing ends it.

A closed segment is on disk before the log vouches for it. An open one is synced every second, so that a crash of the
machine loses no more than that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from telnetsd.events.of_sessions import LinePosition
from telnetsd.lines.recordings.recording import Recorded, Recording
from telnetsd.telnet.terminal import Terminal

SYNC_INTERVAL_S: Final = 0.75
"""Less than a second: the clocks of lines are checked several times a second."""

logger = logging.getLogger(__name__)


class SegmentedRecording:
    """What a line shows, in one segment after another.

    Args:
        begin: Begins a segment with a given terminal; raises OSError if that is not possible.
        terminal: The size and type that the first segment begins with.
        max_bytes: The size at which the next segment begins; it is exceeded by one event at most.
        max_age_s: The age at which the next segment begins, in seconds.
        vouch: Called with each closed segment.

    Raises:
        OSError: The first segment cannot be created.
    """

    def __init__(
        self,
        begin: Callable[[Terminal], Recording],
        terminal: Terminal,
        *,
        max_bytes: int,
        max_age_s: float,
        vouch: Callable[[Recorded], Awaitable[None]],
    ) -> None:
        self._begin = begin
        self._terminal = terminal
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._vouch = vouch
        self._loop = asyncio.get_running_loop()
        self._current = begin(terminal)
        self._begun_at = self._synced_at = self._loop.time()
        self._has_content = self._is_dirty = False
        """Whether the segment has more than its header, and whether some of that is not synced."""
        self._writer = ""
        self._syncing: asyncio.Task[None] | None = None
        self._finishing: set[asyncio.Task[None]] = set()

    @property
    def is_dirty(self) -> bool:
        """Whether something that was recorded is not synced yet."""
        return self._is_dirty or self._syncing is not None

    @property
    def position(self) -> LinePosition:
        """The time of the last event in its segment."""
        return LinePosition(file=self._current.path.name, offset_s=self._current.offset_s)

    def note(self, code: str, data: bytes) -> None:
        """Record bytes that were shown (OUTPUT) or typed (INPUT).

        Raises:
            OSError: The bytes cannot be written.
        """
        self._go_on()
        self._current.note(code, data)

    def note_writer(self, name: str) -> None:
        """Record who writes to the line from now on, also in each further segment; empty: no session does.

        Raises:
            OSError: The event cannot be written.
        """
        if name != self._writer:
            self._writer = name
            self._go_on()
            self._current.note_writer(name)

    def note_resize(self, terminal: Terminal) -> None:
        """Record a new screen size.

        Raises:
            OSError: The event cannot be written.
        """
        self._terminal = terminal
        self._go_on()
        self._current.note_resize(terminal)

    def check_clocks(self) -> None:
        """Sync what was recorded in the last second, in a thread; call this several times per second.

        Raises:
            OSError: The last sync has failed, or the next segment cannot be created.
        """
        if self._has_content and self._is_old:
            self._begin_next()
        if self._syncing is not None:
            if not self._syncing.done():
                return
            syncing, self._syncing = self._syncing, None
            syncing.result()
        now = self._loop.time()
        if self._is_dirty and now - self._synced_at >= SYNC_INTERVAL_S:
            self._is_dirty, self._synced_at = False, now
            self._syncing = self._loop.create_task(asyncio.to_thread(self._current.sync))

    async def close(self) -> None:
        """Close the current segment, and return when the log vouches for every segment."""
        self._finish()
        await asyncio.gather(*self._finishing)

    def _go_on(self) -> None:
        """Begin the next segment if this one is full or old; something is about to be recorded."""
        if self._has_content and (self._is_old or self._current.size >= self._max_bytes):
            self._begin_next()
        self._has_content = self._is_dirty = True

    @property
    def _is_old(self) -> bool:
        return self._loop.time() - self._begun_at >= self._max_age_s

    def _begin_next(self) -> None:
        following = self._begin(self._terminal)
        self._finish()
        self._current, self._begun_at = following, self._loop.time()
        self._has_content = self._is_dirty = False
        if self._writer:
            self._current.note_writer(self._writer)

    def _finish(self) -> None:
        finishing = self._loop.create_task(self._close_segment(self._current, self._syncing))
        self._syncing = None
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)

    async def _close_segment(self, segment: Recording, syncing: asyncio.Task[None] | None) -> None:
        try:
            if syncing is not None:
                await asyncio.wait({syncing})
                syncing.exception()
            await self._vouch(await asyncio.to_thread(segment.close))
        except OSError as error:
            logger.warning("%s cannot be closed, so the log does not vouch for it: %s", segment.path.name, error)
        except Exception:
            logger.exception("%s could not be closed: internal error", segment.path.name)
