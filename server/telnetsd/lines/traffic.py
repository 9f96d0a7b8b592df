"""The traffic of an open line: keys to the upstream, its bytes to every participant, both to the recording.

The writer sets the pace: while its client does not read the output, nothing more is read from the upstream. On a
kept-open line it does so only for a short time, since the output is for the recording as well. A watcher never slows
the writer: a watcher that does not keep up is dismissed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from telnetsd.config.settings import LineSettings
from telnetsd.events.of_sessions import LinePosition
from telnetsd.events.reason import LineReason
from telnetsd.lines.backlog import Backlog
from telnetsd.lines.com_port_clients import ComPortClients
from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import Upstream, UpstreamError
from telnetsd.lines.line_alerts import LineAlerts
from telnetsd.lines.line_commands import LineCommands
from telnetsd.lines.participants import Notices, Participant, Participants
from telnetsd.lines.recordings.asciicast import INPUT, OUTPUT
from telnetsd.lines.recordings.segments import SegmentedRecording
from telnetsd.racing import unless
from telnetsd.telnet.terminal import Terminal
from telnetsd.telnet.turns import turns_of_pumps

SHOWN_PER_TURN: Final = 4
"""How many watchers get a piece of output before the event loop is left to other work."""
BEHIND_MAX_BYTES: Final = 262_144
"""How many bytes of output a watcher may have unread."""
INTERNAL_ERROR: Final = "is lost; the operator can find the cause in the server's journal"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an upstream has ended: a reason, and a phrase that follows the line's name."""

    reason: Literal[LineReason.UPSTREAM_CLOSED, LineReason.UPSTREAM_LOST]
    why: str


class Traffic:
    """The bytes of one open line.

    Args:
        settings: The line's settings.
        people: The connected participants.
        apply: Notifies participants of a change.
        lose_recording: Called with a sentence when the recording cannot be written.
    """

    def __init__(
        self,
        settings: LineSettings,
        people: Participants[Participant],
        apply: Callable[[Notices[Participant]], None],
        lose_recording: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._people = people
        self._apply = apply
        self._lose_recording = lose_recording
        self._turns = turns_of_pumps()
        self.upstream: Upstream | None = None
        """None while it is not connected; nothing passes through then."""
        self.recording: SegmentedRecording | None = None
        self.backlog: Backlog | None = None
        self.commands: LineCommands | None = None
        """Finds the commands that are typed; None if the line is not recorded."""
        self.patience_s: float | None = None
        """How long the upstream waits for the writer's client; None: for as long as it takes, 0: not at all."""
        self.shown_bytes = 0
        """How much the upstream has shown so far."""
        self.com_port_clients = ComPortClients()
        self.alerts: LineAlerts | None = None
        """Reports text that an operator wants to hear of; None if the line has no alerts."""
        self._told: Participant | None = None
        self._sending: asyncio.Task[None] | None = None
        self.typed_at = time.monotonic()
        """The time of the last typed input, on the monotonic clock."""
        self.people_changed = asyncio.Event()
        """Set when a participant connects, leaves or changes its role: the awaited writer may no longer write."""

    async def type(self, participant: Participant, data: bytes) -> bool:
        """Send what a participant typed, and wait until it is accepted; return False if it is not the writer."""
        if participant is not self._people.writer:
            return False
        self.typed_at = time.monotonic()
        if self.upstream is None:
            self._tell_once(participant, f"{self._settings.name} is not connected: what you type is discarded")
            return False
        self._record_input(data)
        if participant is not self._people.writer:
            return False  # what cannot be recorded is not sent
        upstream = self.upstream
        upstream.write(data)
        if self.commands is not None:
            self.commands.type(participant, data)
        echo = upstream.local_echo(data)
        if echo:
            await self._show(echo)
        if self.commands is not None:
            await self.commands.catch_up()
        await self._drain(upstream)
        return True

    def end_input(self) -> None:
        """Pass on that no more input will come."""
        if self.upstream is not None:
            self.upstream.end_input()

    def send(self, data: bytes) -> bool:
        """Send something that no participant typed; return False if the upstream does not accept it now."""
        if self.upstream is None or (self._sending is not None and not self._sending.done()):
            return False
        self._record_input(data)
        self.upstream.write(data)
        self._sending = asyncio.get_running_loop().create_task(self._drain(self.upstream))
        return True

    def resize(self, participant: Participant, terminal: Terminal) -> None:
        """Pass on a new size of the writer's screen."""
        if participant is self._people.writer and self.upstream is not None:
            self.upstream.resize(terminal)
            self._record(lambda recording: recording.note_resize(terminal))
            if self.commands is not None:
                self.commands.resize(terminal)

    def ask_com_port(self, participant: Participant, question: bytes) -> None:
        """Answer a client that controls the port (RFC 2217); only the writer can change anything."""
        if self.upstream is not None:
            may_change = participant is self._people.writer
            self.com_port_clients.ask(participant, question, self.upstream, may_change=may_change)

    def send_break(self, participant: Participant) -> None:
        """Send BREAK for the writer."""
        if participant is not self._people.writer:
            participant.tell("you are only watching")
        elif self.upstream is None:
            participant.tell(f"{self._settings.name} is not connected")
        elif not self.upstream.send_break():
            participant.tell(f"{self._settings.name} does not support BREAK")

    @staticmethod
    async def _drain(upstream: Upstream) -> None:
        with contextlib.suppress(UpstreamError):  # the reading side reports it
            await upstream.drain()

    def _record_input(self, data: bytes) -> None:
        if self._settings.record_input:
            self._record(lambda recording: recording.note(INPUT, data))

    def check_clocks(self) -> None:
        """Let the recording reach the disk, and report what is due; call this several times per second."""
        self.com_port_clients.check_signals(self.upstream)
        if self.alerts is not None:
            self.alerts.check_clocks()
        self._record(lambda recording: recording.check_clocks())

    async def pump(self, upstream: Upstream) -> Ended:
        """Show the upstream's output until it ends, and return why it did."""
        self._told = None
        try:
            while data := await upstream.read():
                await self._turns.wait()
                await self._show(data)
        except UpstreamError as error:
            return Ended(LineReason.UPSTREAM_LOST, f"is lost: {error}")
        except Exception:
            # Otherwise no participant would be notified, and the line would stay in use forever.
            logger.exception("the line %s ended: internal error", self._settings.name)
            return Ended(LineReason.UPSTREAM_LOST, INTERNAL_ERROR)
        return Ended(LineReason.UPSTREAM_CLOSED, "has closed")

    async def _show(self, data: bytes) -> None:
        """Show output to every participant, a few of them per turn, so that other sessions continue meanwhile."""
        self._record(lambda recording: recording.note(OUTPUT, data))
        # Before a participant sees it: what is typed from then on may be an answer to it.
        if self.commands is not None:
            self.commands.show(data)
        if self.alerts is not None:
            self.alerts.show(data)
        self.shown_bytes += len(data)
        if self.backlog is not None:
            self.backlog.add(data, datetime.now(UTC))
        writer = self._people.writer
        if writer is not None:
            if self.patience_s == 0:
                self._show_within_bounds(writer, data)
            else:
                writer.show(data)
        await self._show_watchers(data)
        if self.patience_s != 0:
            await self._wait(writer)

    async def _wait(self, writer: Participant | None) -> None:
        """Wait until typed commands have been found, and until the writer's client has read enough."""
        if self.commands is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.patience_s):
                    await self.commands.catch_up()
        if writer is not None and writer.is_behind():
            await self._wait_for(writer)

    async def _show_watchers(self, data: bytes) -> None:
        for number, watcher in enumerate(self._people.watchers, 1):
            if number % SHOWN_PER_TURN == 0:
                await self._turns.wait()
            if watcher in self._people.watchers:
                self._show_within_bounds(watcher, data)
            elif self._people.has(watcher):
                watcher.show(data)  # it has become the writer

    def _show_within_bounds(self, participant: Participant, data: bytes) -> None:
        """Show output to a participant, unless its client has read too little of what it was shown before."""
        if participant.unread_bytes() > BEHIND_MAX_BYTES:
            self._drop_slow(participant)
        else:
            participant.show(data)

    def _drop_slow(self, participant: Participant) -> None:
        sentence = f"your client does not keep up with {self._settings.name}"
        drop = self._people.drop_writer if participant is self._people.writer else self._people.drop
        self._apply(drop(participant, LineReason.TOO_SLOW, sentence))

    async def _wait_for(self, writer: Participant) -> None:
        """Wait until a writer's client has read enough, or until it is no longer the writer."""
        try:
            async with asyncio.timeout(self.patience_s):
                while writer is self._people.writer and writer.is_behind():
                    self.people_changed.clear()
                    await unless(self.people_changed.wait(), writer.drain())
        except ConnectionError:
            return
        except TimeoutError:
            if writer is self._people.writer:
                self._drop_slow(writer)

    def position(self) -> LinePosition | None:
        """Return the moment in the recording; None while there is none."""
        return None if self.recording is None else self.recording.position

    def _record(self, note: Callable[[SegmentedRecording], None]) -> None:
        """Add to the recording, with the writer of this moment, and report if that fails."""
        if self.recording is None:
            return
        writer = self._people.writer
        try:
            self.recording.note_writer("" if writer is None else writer.name)
            note(self.recording)
        except OSError as error:
            self._lose_recording(unrecorded(self._settings.name, error))

    def _tell_once(self, participant: Participant, sentence: str) -> None:
        """Tell a participant why nothing is sent, once until the upstream is connected again."""
        if self._told is not participant:
            self._told = participant
            participant.tell(sentence)


def unrecorded(line_name: str, error: OSError) -> str:
    """Return a sentence that says why a line cannot be recorded."""
    return f"{line_name} must be recorded, but cannot be: {reason_of(error)}"
