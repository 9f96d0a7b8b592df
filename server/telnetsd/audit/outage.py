"""An outage of the audit log: since when it cannot be written, and what it has to be told afterwards.

Some events tell of what has happened whether it is recorded or not: a session that is over, a handshake that failed.
They are kept, up to a limit, and written late. The others are lost, and what they would have recorded was refused;
their number is written. Where the operator chose to go on without the log, every event is kept.
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
"""How many events are kept, at the most."""


@dataclass(slots=True)
class Outage:
    """What could not be written since a moment (aware, UTC)."""

    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    kept: deque[Draft] = field(default_factory=deque)
    lost: int = 0

    def note(self, event: Draft, *, is_everything_kept: bool) -> bool:
        """Take note of an event that could not be written, and tell whether it is kept for later."""
        happened = is_everything_kept or ACTIONS[event.action].is_kept
        if happened and len(self.kept) < KEPT_MAX:
            self.kept.append(event)
            return True
        self.lost += 1
        return False

    def forget_written(self, written: "Outage") -> bool:
        """Forget what was written of an earlier state of this; tells whether nothing has come since."""
        for _ in range(len(written.kept)):
            self.kept.popleft()
        self.lost -= written.lost
        return not self.kept and not self.lost

    def copy(self) -> "Outage":
        """Return this as it is now."""
        return Outage(self.since, deque(self.kept), self.lost)

    def events(self) -> list[Draft]:
        """Return what has to be written before anything else: what was kept, and the event of the outage."""
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
