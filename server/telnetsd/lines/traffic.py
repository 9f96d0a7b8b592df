"""The traffic of an open line: keys to the upstream, its bytes to every participant, both to the recording.

The writer sets the pace: while its client does not read the output, nothing more is read from the upstream. A watcher
never slows the writer: a watcher that does not keep up is dismissed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from telnetsd.config.settings import LineSettings
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import Upstream, UpstreamError
from telnetsd.lines.participants import Notices, Participant, Participants
from telnetsd.lines.recordings.recording import INPUT, OUTPUT, Recording
from telnetsd.racing import unless
from telnetsd.telnet.terminal import Terminal
from telnetsd.telnet.turns import turns_of_pumps

SHOWN_PER_TURN: Final = 4
"""How many watchers get a piece of output before the event loop is left to other work."""
BEHIND_MAX_BYTES: Final = 262_144
"""How many bytes of output a watcher may have unread."""

logger = logging.getLogger(__name__)


class Traffic:
    """The bytes of one open line.

    Args:
        settings: The line's settings.
        people: The connected participants.
        apply: Notifies participants of a change.
        end: Ends the line, with a reason and a sentence.
    """

    def __init__(
        self,
        settings: LineSettings,
        people: Participants[Participant],
        apply: Callable[[Notices[Participant]], None],
        end: Callable[[LineReason, str], None],
    ) -> None:
        self._settings = settings
        self._people = people
        self._apply = apply
        self._end = end
        self._turns = turns_of_pumps()
        self.upstream: Upstream | None = None
        """None while it is being connected; nothing passes through then."""
        self.recording: Recording | None = None
        self.typed_at = time.monotonic()
        """The time of the last typed input, on the monotonic clock."""
        self.people_changed = asyncio.Event()
        """Set when a participant connects, leaves or changes its role: the awaited writer may no longer write."""

    async def type(self, participant: Participant, data: bytes) -> bool:
        """Send what a participant typed, and wait until it is accepted; return False if it is not the writer."""
        if participant is not self._people.writer or self.upstream is None:
            return False
        self.typed_at = time.monotonic()
        if self.recording is not None and self._settings.record_input:
            self._record(lambda recording: recording.note(INPUT, data))
        if participant is not self._people.writer:
            return False  # what cannot be recorded is not sent
        self.upstream.write(data)
        with contextlib.suppress(UpstreamError):  # the reading side reports it
            await self.upstream.drain()
        return True

    def resize(self, participant: Participant, terminal: Terminal) -> None:
        """Pass on a new size of the writer's screen."""
        if participant is self._people.writer and self.upstream is not None:
            self.upstream.resize(terminal)
            self._record(lambda recording: recording.note_resize(terminal))

    def com_port(self, participant: Participant, question: bytes) -> bytes | None:
        """Answer a client that controls the port (RFC 2217); only the writer can change anything."""
        if self.upstream is None:
            return None
        return self.upstream.com_port(question, may_change=participant is self._people.writer)

    def send_break(self, participant: Participant) -> None:
        """Send BREAK for the writer."""
        if participant is not self._people.writer or self.upstream is None:
            participant.tell("you are only watching")
        elif not self.upstream.send_break():
            participant.tell(f"{self._settings.name} does not support BREAK")

    async def pump(self, upstream: Upstream) -> None:
        """Show the upstream's output until it ends, and then end the line."""
        reason, why = LineReason.UPSTREAM_CLOSED, "has closed"
        try:
            while data := await upstream.read():
                await self._turns.wait()
                await self._show(data)
        except UpstreamError as error:
            reason, why = LineReason.UPSTREAM_LOST, f"is lost: {error}"
        except Exception:
            # Otherwise no participant would be notified, and the line would stay in use forever.
            logger.exception("the line %s ended: internal error", self._settings.name)
            reason, why = LineReason.UPSTREAM_LOST, "is lost; the operator can find the cause in the server's journal"
        self._end(reason, f"{self._settings.name} {why}")

    async def _show(self, data: bytes) -> None:
        """Show output to every participant, a few of them per turn, so that other sessions continue meanwhile."""
        self._record(lambda recording: recording.note(OUTPUT, data))
        writer = self._people.writer
        if writer is not None:
            writer.show(data)
        for number, watcher in enumerate(self._people.watchers, 1):
            if number % SHOWN_PER_TURN == 0:
                await self._turns.wait()
            self._show_watcher(watcher, data)
        if writer is not None and writer.is_behind():
            await self._wait_for(writer)

    def _show_watcher(self, watcher: Participant, data: bytes) -> None:
        if watcher in self._people.watchers and watcher.unread_bytes() > BEHIND_MAX_BYTES:
            sentence = f"your client does not keep up with {self._settings.name}"
            self._apply(self._people.drop(watcher, LineReason.TOO_SLOW, sentence))
        elif self._people.has(watcher):
            watcher.show(data)

    async def _wait_for(self, writer: Participant) -> None:
        """Wait until a writer's client has read enough, or until it is no longer the writer."""
        while writer is self._people.writer and writer.is_behind():
            self.people_changed.clear()
            try:
                await unless(self.people_changed.wait(), writer.drain())
            except ConnectionError:
                return

    def _record(self, note: Callable[[Recording], None]) -> None:
        """Add to the recording; a line that has to be recorded ends if that fails."""
        if self.recording is None:
            return
        try:
            note(self.recording)
        except OSError as error:
            message = f"{self._settings.name} must be recorded, but cannot be: {reason_of(error)}"
            self._end(LineReason.RECORDING_FAILED, message)
