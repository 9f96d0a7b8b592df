"""Changes of the writer of an open line: each is recorded first, and they happen one after the other."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.events.of_sessions import ConnectedReason, LineConnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.participants import Notices, Participant, Participants, Told
from telnetsd.lines.table import Line, LineError

CHANGE_PACE_S: Final = 0.2
"""The minimum time between two hand-overs to a watcher, so that two users cannot fill the log with them."""


class RoleChanges:
    """The changes of roles on one open line.

    Args:
        line: The open line.
        people: The connected participants.
        apply: Notifies participants of a change.
        require_open: Raises LineError when the line is being closed.
    """

    def __init__(
        self,
        line: Line,
        people: Participants[Participant],
        apply: Callable[[Notices[Participant]], None],
        require_open: Callable[[], None],
    ) -> None:
        self._line = line
        self._people = people
        self._apply = apply
        self._require_open = require_open
        self._changing = asyncio.Lock()
        """Held while a new writer is being recorded, so that changes happen one after the other."""
        self._changed_at = -CHANGE_PACE_S

    def watch(self, participant: Participant) -> None:
        """Connect a session that only watches.

        Raises:
            LineError: The line is not shared, has too many watchers, or is being closed.
        """
        self._require_open()
        self._apply(self._people.watch(participant))

    async def record_watching(self, participant: Participant) -> None:
        """Record in the log that a session that came to write only watches.

        Raises:
            LineError: The log cannot be written.
        """
        with self._recorded():
            await self._record(participant, LineReason.WATCHING, LineReason.IN_USE)

    async def take_over(self, participant: Participant, *, is_forced: bool = True) -> None:
        """Make a session the writer; the previous writer watches, or leaves if the line is not shared.

        If this is not forced and another session was faster, the session watches.

        Raises:
            LineError: The line is being closed, or the log cannot be written, or there are too many watchers.
        """
        async with self._changing:
            self._require_open()
            former = self._people.writer
            if former is not None and not is_forced:
                await self.record_watching(participant)
                self.watch(participant)
                return
            if former is not None and self._line.settings.shared:
                with self._recorded():
                    await self._record(former, LineReason.WATCHING, LineReason.TAKEN_OVER)
                self._require_open()
            # The previous writer may have left meanwhile.
            self._apply(self._people.take_over(participant, former if former is self._people.writer else None))

    async def ask(self, participant: Participant) -> None:
        """Ask for the writer role; a free role is given at once, otherwise the writer decides."""
        if self._people.writer is None:
            await self._promote(participant)
        else:
            self._apply(self._people.ask(participant))

    async def hand_over(self, participant: Participant) -> None:
        """Give the writer role to the watcher that asked for it."""
        found = self._people.next_writer(participant)
        if isinstance(found, Told):
            self._apply([found])
        else:
            await self._promote(found, participant)

    async def _promote(self, watcher: Participant, former: Participant | None = None) -> None:
        """Make a watcher the writer, once that is in the log; `former` hands over to it (None: no writer)."""
        async with self._changing:
            await asyncio.sleep(max(0.0, self._changed_at + CHANGE_PACE_S - time.monotonic()))
            if not self._people.may_promote(watcher, former):
                watcher.tell(f"another session was faster: {self._people.who()}")
                return
            try:
                self._require_open()
            except LineError as error:  # such as a line that must be recorded, and cannot be
                watcher.tell(str(error))
                return
            if not await self._record_change(watcher, former):
                return
            self._changed_at = time.monotonic()
            if self._people.may_promote(watcher, former):  # otherwise one has left meanwhile, which is also recorded
                self._apply(self._people.promote(watcher, former))

    async def _record_change(self, watcher: Participant, former: Participant | None) -> bool:
        """Record the new and the previous writer; if that fails, notify both and return False.

        The log decides: if only half of the change was recorded, the line has no writer.
        """
        roles = [self._record(watcher, LineReason.HANDED_OVER, LineReason.HANDED_OVER)]
        if former is not None:
            roles.insert(0, self._record(former, LineReason.WATCHING, LineReason.HANDED_OVER))
        written = await asyncio.gather(*roles, return_exceptions=True)
        failed = [one for one in written if isinstance(one, BaseException)]
        if not failed:
            return True
        if former is not None and len(failed) < len(written):
            self._people.demote(former)
        self._apply([Told(one, self._unrecorded()) for one in (watcher, former) if one is not None])
        return False

    async def _record(self, participant: Participant, reason: ConnectedReason, cause: LineReason) -> None:
        """Record in the log that a session is about to write to the line, or only to watch, and what caused that.

        Raises:
            AuditUnavailableError: The event cannot be written, so nothing may change.
        """
        name = self._line.name
        deed = f"now only watches {name}" if reason is LineReason.WATCHING else f"writes to {name}"
        message = f"{participant.name} {deed} ({cause.value})"
        await participant.trail.record(LineConnected(reason=reason, message=message))

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """Turn a failure to write the log into the reason why no role changes."""
        try:
            yield
        except AuditUnavailableError as error:
            raise LineError(LineReason.NOT_RECORDED, self._unrecorded()) from error

    def _unrecorded(self) -> str:
        return f"the audit log cannot be written: the writer of {self._line.name} does not change; try again later"
