"""An outage of the audit log: since when it cannot be written, and what has to be written to it afterwards.

Some events record what has happened whether it is logged or not: a session that is over, a handshake that failed.
They are kept, up to a limit, and written late. The others are lost: what they would have recorded was refused. The
number of lost events is written. If the operator chose to continue without the log, every event is kept.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from telnetsd.audit.chain import Draft, make_draft
from telnetsd.audit.trail import make_event
from telnetsd.events.catalogue import ACTIONS
from telnetsd.events.fields import timestamp
from telnetsd.events.of_the_server import AuditRecovered
from telnetsd.events.reason import RecoveryReason

KEPT_MAX: Final = 10_000
"""The maximum number of events that are kept."""


@dataclass(slots=True)
class Outage:
    """The events that could not be written since a point in time (aware, UTC)."""

    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    kept: deque[Draft] = field(default_factory=deque)
    lost: int = 0

    def note(self, event: Draft, *, is_everything_kept: bool) -> bool:
        """Note an event that could not be written, and return whether it is kept for later."""
        happened = is_everything_kept or ACTIONS[event.action].is_kept
        if happened and len(self.kept) < KEPT_MAX:
            self.kept.append(event)
            return True
        self.lost += 1
        return False

    def forget_written(self, written: "Outage") -> bool:
        """Remove what was written from an earlier copy of this; returns whether nothing was added since."""
        for _ in range(len(written.kept)):
            self.kept.popleft()
        self.lost -= written.lost
        return not self.kept and not self.lost

    def copy(self) -> "Outage":
        """Return a copy of the current state."""
        return Outage(self.since, deque(self.kept), self.lost)

    def events(self) -> list[Draft]:
        """Return the events to write before any other: those that were kept, and the event of the outage."""
        late, lost = len(self.kept), self.lost
        message = (
            f"the audit log could not be written since {self.since:%Y-%m-%d %H:%M:%S} UTC:"
            f" {late} events are written late, {lost} are lost"
        )
        recovered = AuditRecovered(
            reason=RecoveryReason.WRITABLE_AGAIN,
            message=message,
            since=timestamp(self.since),
            late=late,
            lost=lost,
        )
        return [*self.kept, make_draft(make_event(recovered))]
