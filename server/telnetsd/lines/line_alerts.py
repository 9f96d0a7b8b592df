"""The alerts of an open line: an event for the log, and a message to the operators who are connected."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.escaping import escape
from telnetsd.events.of_sessions import LineAlert, LinePosition
from telnetsd.lines.alert_matching import AlertMatcher, Match
from telnetsd.lines.patterns import compile_set
from telnetsd.lines.table import Line

TEXT_MAX_CHARS: Final = 512
SHOWN_MAX_CHARS: Final = 120

logger = logging.getLogger(__name__)


class LineAlerts:
    """The alerts of one open line.

    Args:
        line: The line.
        trail: Bound to the line.
        position: Returns the moment in the recording; None while there is no recording.
        tell_operators: Shows a message to the operators who are connected.
    """

    def __init__(
        self,
        line: Line,
        trail: Trail,
        position: Callable[[], LinePosition | None],
        tell_operators: Callable[[str], None],
    ) -> None:
        alerts = line.settings.alert
        find = compile_set([one.pattern for one in alerts], f"pattern of {line.name}")
        self._name = line.name
        self._trail = trail
        self._position = position
        self._tell_operators = tell_operators
        self._matcher: AlertMatcher | None = AlertMatcher([one.name for one in alerts], find)
        self._writing: set[asyncio.Task[None]] = set()

    def show(self, data: bytes) -> None:
        """Match what the line shows."""
        self._look(lambda matcher: matcher.feed(data, time.monotonic()))

    def check_clocks(self) -> None:
        """Report what is due; call this several times per second."""
        self._look(lambda matcher: matcher.due(time.monotonic()))

    async def close(self) -> None:
        """Wait until every event is written, or kept to be written later."""
        while self._writing:
            await asyncio.wait(self._writing)

    def _look(self, step: Callable[[AlertMatcher], list[Match]]) -> None:
        if self._matcher is None:
            return
        try:
            matches = step(self._matcher)
        except Exception:
            # What a peer sends must not end the line.
            logger.exception("alerts of %s are no longer reported: internal error", self._name)
            self._matcher = None
            return
        for one in matches:
            self._report(one)

    def _report(self, match: Match) -> None:
        shown = escape(match.text.strip(), SHOWN_MAX_CHARS)
        more = f" ({match.unreported} more before)" if match.unreported else ""
        self._tell_operators(f"alert {match.name} on {self._name}: {shown}{more}")
        event = LineAlert(
            message=f"{self._name} showed what the alert {match.name} is for: {shown}",
            name=match.name,
            text=escape(match.text, TEXT_MAX_CHARS),
            unreported=match.unreported or None,
            position=self._position(),
        )
        task = asyncio.get_running_loop().create_task(self._write(event))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, event: LineAlert) -> None:
        with contextlib.suppress(AuditUnavailableError):  # the log keeps it, and writes it late
            await self._trail.record(event)
