"""The upstream of a kept-open line: connected, connected again when it is lost, and recorded as up or down."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.events.event import Event
from telnetsd.events.of_sessions import DownReason, LineDown, LineUp
from telnetsd.events.reason import LineReason
from telnetsd.lines.backoff import Backoff
from telnetsd.lines.connectivity import Change, Connectivity
from telnetsd.lines.kinds.upstream import Upstream, UpstreamError
from telnetsd.lines.opening import open_upstream
from telnetsd.lines.table import Line
from telnetsd.lines.traffic import INTERNAL_ERROR, Ended, Traffic
from telnetsd.telnet.terminal import Terminal

STABLE_S: Final = 60.0
"""An upstream that was connected for this long is connected again after the shortest wait."""

logger = logging.getLogger(__name__)


class Reconnection:
    """Keeps the upstream of a line connected.

    Args:
        line: The line.
        trail: Bound to the line.
        traffic: Gets each upstream.
        tell: Tells every participant something.
        greet: Called with each upstream, once it is connected and before anything is sent to it.
    """

    def __init__(
        self, line: Line, trail: Trail, traffic: Traffic, tell: Callable[[str], None], greet: Callable[[], None]
    ) -> None:
        self._line = line
        self._trail = trail
        self._traffic = traffic
        self._tell = tell
        self._greet = greet
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff()
        self._recording: set[asyncio.Task[None]] = set()
        self.state = Connectivity(datetime.now(UTC))
        """Whether the upstream is connected, and since when."""

    async def run(self, terminal: Callable[[], Terminal]) -> None:
        """Keep the upstream connected until this is cancelled; `terminal` returns the one to connect with."""
        while True:
            try:
                upstream = await open_upstream(self._line, terminal(), {})
            except UpstreamError as error:
                self._note(LineReason.UNREACHABLE, f"cannot be reached: {error}")
            except Exception:
                logger.exception("the line %s cannot be opened: internal error", self._line.name)
                self._note(LineReason.UNREACHABLE, INTERNAL_ERROR)
            else:
                ended = await self._pass_on(upstream)
                self._note(ended.reason, ended.why)
            await asyncio.sleep(self._backoff.take())

    def check_clocks(self) -> None:
        """Record a change that could not be recorded earlier, since there were too many."""
        self._record(self.state.due(self._loop.time()))

    async def stop(self, reason: DownReason) -> None:
        """Record that the line is closed, once nothing of it runs any longer."""
        self._record(self.state.due(math.inf))
        if self.state.is_up:
            self._record(self.state.note(reason, f"is closed: {reason.sentence}", datetime.now(UTC), math.inf))
        await asyncio.gather(*self._recording)

    async def _pass_on(self, upstream: Upstream) -> Ended:
        """Pass on what an upstream shows until it ends, and close it."""
        connected_at = self._loop.time()
        self._traffic.upstream = upstream
        try:
            self._note(None, "is connected")
            self._greet()
            return await self._traffic.pump(upstream)
        finally:
            self._traffic.upstream = None
            if self._loop.time() - connected_at >= STABLE_S:
                self._backoff.reset()
            await upstream.close()

    def _note(self, reason: DownReason | None, why: str) -> None:
        was_up = self.state.is_up
        self._record(self.state.note(reason, why, datetime.now(UTC), self._loop.time()))
        if was_up and reason is not None:
            self._tell(f"{self._line.name} {why}; it will be connected again")
        elif not was_up and reason is None:
            self._tell(f"{self._line.name} is connected again")

    def _record(self, change: Change | None) -> None:
        """Record a change in the background: the upstream does not wait for the log."""
        if change is None:
            return
        message = f"{self._line.name} {change.why}"
        event: Event
        if change.reason is None:
            event = LineUp(message=message, unrecorded=change.unrecorded or None)
        else:
            event = LineDown(reason=change.reason, message=message, unrecorded=change.unrecorded or None)
        recording = self._loop.create_task(self._write(event))
        self._recording.add(recording)
        recording.add_done_callback(self._recording.discard)

    async def _write(self, event: Event) -> None:
        with contextlib.suppress(AuditUnavailableError):  # the log keeps it, and writes it late
            await self._trail.record(event)
