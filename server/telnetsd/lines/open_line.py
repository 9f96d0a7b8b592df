"""One open line: an upstream, a writer, any number of watchers, and a recording; from its opening to its end."""

import asyncio
import logging
import time
from collections.abc import Callable

from telnetsd.audit.trail import Trail
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.participants import Notices, Participant, Participants, Told
from telnetsd.lines.recordings.recording import Recording, vouch_for
from telnetsd.lines.role_changes import RoleChanges
from telnetsd.lines.table import Line, LineError
from telnetsd.lines.traffic import Traffic

logger = logging.getLogger(__name__)


class OpenLine:
    """An open line.

    Args:
        line: The line to open.
        writer: The session that opens it.
        on_closed: Called when no session is connected any longer.

    Attributes:
        people: The connected participants.
        roles: The changes of the writer.
        traffic: The bytes that pass through.
    """

    def __init__(self, line: Line, writer: Participant, on_closed: Callable[["OpenLine"], None]) -> None:
        self.line = line
        self.people: Participants[Participant] = Participants(
            line.name, is_shared=line.settings.shared, writer=writer
        )
        self.roles = RoleChanges(line, self.people, self._apply, self.require_open)
        self.traffic = Traffic(line.settings, self.people, self._apply, self.end)
        self._opened_at = time.monotonic()
        self._on_closed = on_closed
        self._pump: asyncio.Task[None] | None = None
        self._trail: Trail | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def prepare(self, upstream: Upstream, recording: Recording | None, trail: Trail) -> None:
        """Store the opened upstream and recording; `trail` logs the recording when it is closed."""
        self.traffic.upstream, self.traffic.recording, self._trail = upstream, recording, trail

    def begin(self) -> None:
        """Start to show the upstream's output; do nothing if every participant has already left."""
        upstream = self.traffic.upstream
        if upstream is not None and self._closing is None:
            self._pump = asyncio.get_running_loop().create_task(self.traffic.pump(upstream))

    @property
    def is_ready(self) -> bool:
        """Whether its upstream has been reached; until then no other session is connected."""
        return self.traffic.upstream is not None

    @property
    def is_closed(self) -> bool:
        """Whether the line is completely closed."""
        return self._ended.is_set()

    async def wait_closed(self) -> None:
        """Wait until the line is completely closed."""
        await self._ended.wait()

    def require_open(self) -> None:
        """Refuse a request that comes too late.

        Raises:
            LineError: The line is being closed.
        """
        if self._closing is not None:
            raise LineError(LineReason.UPSTREAM_CLOSED, f"{self.line.name} has just been closed; connect again")

    def check_clocks(self) -> None:
        """Check the line's clocks: how long nothing was typed, and how long it has been open."""
        settings, now = self.line.settings, time.monotonic()
        if 0 < settings.max_time_s < now - self._opened_at:
            self.end(LineReason.MAX_TIME, f"{self.line.name} was open for its maximum time")
        elif 0 < settings.idle_timeout_s < now - self.traffic.typed_at:
            self.end(LineReason.IDLE_TIMEOUT, f"nothing was typed on {self.line.name} for too long")

    def leave(self, participant: Participant) -> None:
        """Remove a session that has left; close the line after the last one."""
        self._apply(self.people.leave(participant))
        self._close_if_empty()

    def end(self, reason: LineReason, sentence: str) -> None:
        """Dismiss every participant, and close the line."""
        self._apply(self.people.dismiss_all(reason, sentence))
        self._close_if_empty()

    def _apply(self, notices: Notices[Participant]) -> None:
        """Notify participants of a change."""
        self.traffic.people_changed.set()
        for notice in notices:
            if isinstance(notice, Told):
                notice.to.tell(notice.sentence)
            else:
                notice.to.dismiss(notice.reason, notice.sentence)

    def _close_if_empty(self) -> None:
        if not self.people.all and self._closing is None:
            self._on_closed(self)
            self._closing = asyncio.get_running_loop().create_task(self._close())

    async def _close(self) -> None:
        upstream, recording = self.traffic.upstream, self.traffic.recording
        try:
            if self._pump is not None:
                self._pump.cancel()
            if upstream is not None:
                await upstream.close()
            if recording is not None and self._trail is not None:
                await vouch_for(await asyncio.to_thread(recording.close), self.line.name, self._trail)
        except OSError:
            logger.exception("the recording of %s could not be closed", self.line.name)
        finally:
            self._ended.set()
