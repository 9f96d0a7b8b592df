"""One open line: an upstream, somebody who writes to it, any number who watch, and a recording.

What the upstream shows goes to everybody. The writer sets the pace: while their client does not take what is shown,
nothing more is read. Who only watches never slows the writer; who does not keep up is sent away with a sentence.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.events.of_sessions import ConnectedReason
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import Terminal, Upstream, UpstreamError
from telnetsd.lines.recordings.recording import INPUT, OUTPUT, Recording, vouch_for
from telnetsd.lines.table import Line, LineError
from telnetsd.racing import unless
from telnetsd.telnet.turns import turns_of_pumps

WATCHERS_MAX: Final = 256
CHANGE_PACE_S: Final = 0.2
"""How long after somebody was handed the line the next one is: two who play with it do not fill the log."""
SHOWN_PER_TURN: Final = 4
"""To how many watchers a piece of what is shown is written before others have the event loop."""
BEHIND_MAX_BYTES: Final = 262_144
"""How much of what is shown a watcher may have unread."""


logger = logging.getLogger(__name__)


class Attendant(Protocol):
    """Whoever is connected to a line, as the line sees them; their session knows the rest."""

    @property
    def name(self) -> str:
        """Who it is."""

    def show(self, data: bytes) -> None:
        """Show what the line shows."""

    def tell(self, sentence: str) -> None:
        """Say something of the line itself."""

    def unread_bytes(self) -> int:
        """Return how much of what was shown their client has not taken yet."""

    def is_behind(self) -> bool:
        """Whether their client has to be waited for."""

    async def drain(self) -> None:
        """Wait until their client has taken enough.

        Raises:
            ConnectionError: It is gone.
        """

    async def record_role(self, reason: ConnectedReason, cause: LineReason) -> None:
        """Tell the log that they are about to write, or only to watch, and what it comes from.

        Raises:
            AuditUnavailableError: It cannot be written: nothing may change.
        """

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """Note that they are not connected any more."""


class OpenLine:
    """An open line.

    Args:
        line: Which one.
        writer: Who opens it.
        on_closed: Told when nobody is connected any more.
    """

    def __init__(self, line: Line, writer: Attendant, on_closed: Callable[["OpenLine"], None]) -> None:
        self.line = line
        self._writer: Attendant | None = writer
        self._writer_changed = asyncio.Event()
        self.watchers: list[Attendant] = []
        self.asking: Attendant | None = None
        self.since = time.monotonic()
        self._upstream: Upstream | None = None
        self._recording: Recording | None = None
        self._on_closed = on_closed
        self._pump: asyncio.Task[None] | None = None
        self._typed_at = time.monotonic()
        self._trail: Trail | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._turns = turns_of_pumps()
        self._changing = asyncio.Lock()
        """Held while another writer is being recorded: one change after the other."""
        self._changed_at = -CHANGE_PACE_S

    @property
    def writer(self) -> Attendant | None:
        """Who writes; whoever is waited for because they did is not waited for any more when it is another."""
        return self._writer

    @writer.setter
    def writer(self, attendant: Attendant | None) -> None:
        self._writer = attendant
        self._writer_changed.set()

    # Its life.

    def prepare(self, upstream: Upstream, recording: Recording | None, trail: Trail) -> None:
        """Take what was opened; `trail` is told of the recording when it is closed."""
        self._upstream, self._recording, self._trail = upstream, recording, trail

    def begin(self) -> None:
        """Show what the upstream shows, from now on; nothing where everybody has left already."""
        if self._upstream is not None and self._closing is None:
            self._pump = asyncio.get_running_loop().create_task(self._run(self._upstream))

    @property
    def is_ready(self) -> bool:
        """Whether its upstream has been reached: until then nobody else is connected."""
        return self._upstream is not None

    @property
    def is_closed(self) -> bool:
        """Whether nothing of it is left."""
        return self._ended.is_set()

    async def wait_closed(self) -> None:
        """Wait until nothing of it is left."""
        await self._ended.wait()

    def end(self, reason: LineReason, sentence: str) -> None:
        """Send everybody away, and close it."""
        attendants, self.writer, self.watchers = self.attendants(), None, []
        for one in attendants:
            one.dismiss(reason, sentence)
        self._close_if_empty()

    def attendants(self) -> list[Attendant]:
        """Return everybody who is connected, the writer first."""
        return [*([self.writer] if self.writer is not None else []), *self.watchers]

    def check_clocks(self) -> None:
        """Look at the line's clocks: how long nothing was typed, and how long it is open."""
        settings, now = self.line.settings, time.monotonic()
        if 0 < settings.max_time_s < now - self.since:
            self.end(LineReason.MAX_TIME, f"{self.line.name} was open for its longest time")
        elif 0 < settings.idle_timeout_s < now - self._typed_at:
            self.end(LineReason.IDLE_TIMEOUT, f"nothing was typed on {self.line.name} for too long")

    # Who is connected.

    def watch(self, attendant: Attendant) -> None:
        """Connect somebody who only watches.

        Raises:
            LineError: The line is not shared, or too many watch, or it is being closed.
        """
        self.require_open()
        if not self.line.settings.shared:
            raise LineError(LineReason.NOT_SHARED, self.in_use())
        if len(self.watchers) >= WATCHERS_MAX:
            raise LineError(
                LineReason.TOO_MANY, f"{len(self.watchers)} others watch {self.line.name}: come back later"
            )
        self._tell_others(attendant, f"{attendant.name} watches {self.line.name}")
        self.watchers.append(attendant)

    async def record_watching(self, attendant: Attendant) -> None:
        """Tell the log that somebody only watches who came to write.

        Raises:
            LineError: The log cannot be written.
        """
        with _recorded(self.line.name):
            await attendant.record_role(LineReason.WATCHING, LineReason.IN_USE)

    async def take_over(self, attendant: Attendant, *, is_forced: bool = True) -> None:
        """Give somebody the writer's place; who had it watches, or leaves where the line is not shared.

        Where that is not forced, and somebody else was faster, they watch.

        Raises:
            LineError: It is being closed, or the log cannot be written, or too many watch.
        """
        async with self._changing:
            self.require_open()
            former = self.writer
            if former is not None and not is_forced:
                await self.record_watching(attendant)
                self.watch(attendant)
                return
            if former is not None and self.line.settings.shared:
                with _recorded(self.line.name):
                    await former.record_role(LineReason.WATCHING, LineReason.TAKEN_OVER)
                self.require_open()
            self._replace(former if former is self.writer else None, attendant)

    def _replace(self, former: Attendant | None, attendant: Attendant) -> None:
        """Let somebody write in the place of who did, who may have left meanwhile."""
        if attendant in self.watchers:
            self.watchers.remove(attendant)
        self.writer = attendant
        if former is None:
            return
        if self.line.settings.shared:
            self.watchers.append(former)
            former.tell(f"{attendant.name} has taken {self.line.name} over: you watch")
        else:
            former.dismiss(LineReason.TAKEN_OVER, f"{attendant.name} has taken {self.line.name} over")
        self._tell_others(attendant, f"{attendant.name} writes to {self.line.name}")

    def require_open(self) -> None:
        """Refuse what comes too late.

        Raises:
            LineError: It is being closed.
        """
        if self._closing is not None:
            raise LineError(LineReason.UPSTREAM_CLOSED, f"{self.line.name} has just been closed: connect again")

    async def ask(self, attendant: Attendant) -> None:
        """Ask for the writer's place; it is free, or the writer decides."""
        if attendant is self.writer:
            attendant.tell("you write already")
        elif self.writer is None:
            await self._promote(attendant)
        else:
            self.asking = attendant
            attendant.tell(f"{self.writer.name} was asked to hand {self.line.name} over")
            self.writer.tell(f"{attendant.name} asks to write: ~h hands {self.line.name} over")

    async def hand_over(self, attendant: Attendant) -> None:
        """Give the writer's place to whoever asked for it."""
        asking = self.asking if self.asking in self.watchers else None
        if attendant is not self.writer:
            attendant.tell("you only watch: ~a asks for the writer's place")
        elif asking is None:
            attendant.tell("nobody has asked for it")
        else:
            await self._promote(asking, attendant)

    async def _promote(self, attendant: Attendant, former: Attendant | None = None) -> None:
        """Let a watcher write, once that is on the log; `former` hands over to them, None where nobody writes."""
        async with self._changing:
            await asyncio.sleep(max(0.0, self._changed_at + CHANGE_PACE_S - time.monotonic()))
            if attendant not in self.watchers or self.writer is not former:
                attendant.tell(f"somebody else was faster: {self.who()}")
                return
            if not await self._record_change(attendant, former):
                return
            self._changed_at = time.monotonic()
            if attendant not in self.watchers or self.writer is not former:
                return  # one of them has gone meanwhile: that is on the log as well
            self.watchers.remove(attendant)
            if former is not None:
                self.watchers.append(former)
                former.tell(f"{attendant.name} writes to {self.line.name} now: you watch")
            self.writer, self.asking = attendant, None
            attendant.tell(f"you write to {self.line.name} now")
            self._tell_others(attendant, f"{attendant.name} writes to {self.line.name}")

    async def _record_change(self, attendant: Attendant, former: Attendant | None) -> bool:
        """Tell the log who is about to write, and who is not any more; False, and words to both, where it cannot be.

        What the log has of it counts: where it has half of it, nobody writes.
        """
        roles = [attendant.record_role(LineReason.HANDED_OVER, LineReason.HANDED_OVER)]
        if former is not None:
            roles.insert(0, former.record_role(LineReason.WATCHING, LineReason.HANDED_OVER))
        written = await asyncio.gather(*roles, return_exceptions=True)
        failed = [one for one in written if isinstance(one, BaseException)]
        if not failed:
            return True
        if former is not None and len(failed) < len(written) and self.writer is former:
            self.writer = None
            self.watchers.append(former)
        for one in filter(None, (attendant, former)):
            one.tell(_unrecorded(self.line.name))
        return False

    def leave(self, attendant: Attendant) -> None:
        """Note that somebody has gone; with the last one the line is closed."""
        if attendant is self.writer:
            self.writer = None
            self._tell_others(attendant, f"{attendant.name} has left {self.line.name}: ~a takes the writer's place")
        elif attendant in self.watchers:
            self.watchers.remove(attendant)
            self._tell_others(attendant, f"{attendant.name} watches {self.line.name} no more")
        self._close_if_empty()

    def who(self) -> str:
        """Say who is connected."""
        writer = self.writer.name if self.writer is not None else "nobody"
        watching = f"; {', '.join(one.name for one in self.watchers)} watch" if self.watchers else ""
        return f"{writer} writes to {self.line.name}{watching}"

    def in_use(self) -> str:
        """Say by whom it is in use, and what somebody else can do."""
        writer = self.writer.name if self.writer is not None else "nobody"
        return (
            f"{self.line.name} is in use by {writer}; an operator may take it over: connect --force {self.line.name}"
        )

    # What goes through.

    async def type(self, attendant: Attendant, data: bytes) -> bool:
        """Send what somebody typed, and wait until it is taken; False when they do not write."""
        if attendant is not self.writer or self._upstream is None:
            return False
        self._typed_at = time.monotonic()
        if self._recording is not None and self.line.settings.record_input:
            self._record(lambda recording: recording.note(INPUT, data))
        if attendant is not self.writer:
            return False  # what cannot be recorded is not sent
        self._upstream.write(data)
        with contextlib.suppress(UpstreamError):  # whoever reads is told
            await self._upstream.drain()
        return True

    def resize(self, attendant: Attendant, terminal: Terminal) -> None:
        """Pass on another size of the writer's screen."""
        if attendant is self.writer and self._upstream is not None:
            self._upstream.resize(terminal)
            self._record(lambda recording: recording.note_resize(terminal))

    def com_port(self, attendant: Attendant, question: bytes) -> bytes | None:
        """Answer a client that controls the port (RFC 2217); only the writer's changes anything."""
        if self._upstream is None:
            return None
        return self._upstream.com_port(question, may_change=attendant is self.writer)

    def send_break(self, attendant: Attendant) -> None:
        """Send BREAK for the writer."""
        if attendant is not self.writer or self._upstream is None:
            attendant.tell("you only watch")
        elif not self._upstream.send_break():
            attendant.tell(f"{self.line.name} has no BREAK")

    async def _run(self, upstream: Upstream) -> None:
        reason, why = LineReason.UPSTREAM_CLOSED, "has closed"
        try:
            while data := await upstream.read():
                await self._turns.wait()
                await self._show(data)
        except UpstreamError as error:
            reason, why = LineReason.UPSTREAM_LOST, f"is lost: {error}"
        except Exception:
            # Nobody would be told, and the line would be in use for ever.
            logger.exception("the line %s ends on an error", self.line.name)
            reason, why = LineReason.UPSTREAM_LOST, "is lost; the operator finds the cause in the server's journal"
        self.end(reason, f"{self.line.name} {why}")

    async def _show(self, data: bytes) -> None:
        """Show everybody what has come, a few of them in a turn: however many watch, others go on meanwhile."""
        self._record(lambda recording: recording.note(OUTPUT, data))
        writer = self.writer
        if writer is not None:
            writer.show(data)
        for number, watcher in enumerate(list(self.watchers), 1):
            if number % SHOWN_PER_TURN == 0:
                await self._turns.wait()
            if watcher.unread_bytes() > BEHIND_MAX_BYTES and watcher in self.watchers:
                self.watchers.remove(watcher)
                watcher.dismiss(LineReason.TOO_SLOW, f"your client does not keep up with {self.line.name}")
            elif watcher in self.watchers or watcher is self.writer:
                watcher.show(data)
        if writer is not None and writer.is_behind():
            await self._wait_for(writer)

    async def _wait_for(self, writer: Attendant) -> None:
        """Wait until a writer's client has taken enough, for as long as they write."""
        if writer is not self.writer:
            return
        self._writer_changed.clear()
        with contextlib.suppress(ConnectionError):
            await unless(self._writer_changed.wait(), writer.drain())

    def _record(self, note: Callable[[Recording], None]) -> None:
        """Record; a line that is to be recorded does not go on where that cannot be done."""
        if self._recording is None:
            return
        try:
            note(self._recording)
        except OSError as error:
            message = f"{self.line.name} is recorded, and cannot be: {reason_of(error)}"
            self.end(LineReason.RECORDING_FAILED, message)

    def _tell_others(self, attendant: Attendant, sentence: str) -> None:
        for one in self.attendants():
            if one is not attendant:
                one.tell(sentence)

    def _close_if_empty(self) -> None:
        if not self.attendants() and self._closing is None:
            self._on_closed(self)
            self._closing = asyncio.get_running_loop().create_task(self._close())

    async def _close(self) -> None:
        try:
            if self._pump is not None:
                self._pump.cancel()
            if self._upstream is not None:
                await self._upstream.close()
            if self._recording is not None and self._trail is not None:
                await vouch_for(await asyncio.to_thread(self._recording.close), self.line.name, self._trail)
        except OSError:
            logger.exception("the recording of %s could not be closed", self.line.name)
        finally:
            self._ended.set()


@contextlib.contextmanager
def _recorded(line_name: str) -> Iterator[None]:
    """Turn a log that cannot be written into the reason why nobody's place on the line changes."""
    try:
        yield
    except AuditUnavailableError as error:
        raise LineError(LineReason.NOT_RECORDED, _unrecorded(line_name)) from error


def _unrecorded(line_name: str) -> str:
    return f"the audit log cannot be written: nobody's place on {line_name} changes; try again later"
