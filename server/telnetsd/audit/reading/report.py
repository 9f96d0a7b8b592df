"""What happened in some time, for people who were not there: counted from the log, without I/O."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from telnetsd.audit.index.blocks import Attachment
from telnetsd.audit.reading.moment import Zone
from telnetsd.audit.reading.row import EventRow, LoggedEvent, describe, text_of
from telnetsd.audit.reading.statistics import TURNED_AWAY, Counting, Figures
from telnetsd.events.fields import parse_timestamp
from telnetsd.events.of_sessions import LineAlert, SessionStarted
from telnetsd.events.of_the_server import (
    AuditDamaged,
    AuditNotShipped,
    AuditRecovered,
    CertificateExpiring,
    NotificationFailed,
)

ROWS_MAX: Final = 500
"""How many rows of one kind are kept; the others are counted."""
_ALERTS: Final = frozenset(
    one.action
    for one in (LineAlert, AuditDamaged, AuditRecovered, AuditNotShipped, CertificateExpiring, NotificationFailed)
)


@dataclass(slots=True)
class Rows:
    """Events of one kind, as far as there is room."""

    rows: list[EventRow] = field(default_factory=list)
    left_out: int = 0

    def add(self, event: LoggedEvent) -> None:
        """Add an event."""
        if len(self.rows) < ROWS_MAX:
            self.rows.append(describe(event))
        else:
            self.left_out += 1


@dataclass(slots=True)
class UserFigures:
    """What one user did: logins, refusals and denials, and the time of the last login."""

    logins: int = 0
    refusals: int = 0
    last_login: datetime | None = None


@dataclass(frozen=True, slots=True)
class LineUse:
    """How one user used one line: how often, and for how many seconds in all."""

    line: str
    user: str
    times: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Everything that a report says about an interval."""

    figures: Figures
    users: dict[str, UserFigures]
    lines: list[LineUse]
    changes: Rows
    alerts: Rows


class ReportWriter:
    """Collects what a report says, from events in the order of the log.

    Args:
        zone: The time zone of days and hours.
    """

    def __init__(self, zone: Zone) -> None:
        self._counting = Counting(zone=zone)
        self._users: defaultdict[str, UserFigures] = defaultdict(UserFigures)
        self._changes = Rows()
        self._alerts = Rows()

    def add(self, event: LoggedEvent) -> None:
        """Add an event of the interval."""
        self._counting.add(event)
        action, user = text_of(event, "event.action"), text_of(event, "user.name")
        if user:
            self._add_user(self._users[user], action, event)
        if text_of(event, "telnetsd.operator.name"):
            self._changes.add(event)
        if action in _ALERTS:
            self._alerts.add(event)

    @staticmethod
    def _add_user(figures: UserFigures, action: str, event: LoggedEvent) -> None:
        if action == SessionStarted.action:
            figures.logins += 1
            figures.last_login = parse_timestamp(text_of(event, "@timestamp"))
        elif action in TURNED_AWAY:
            figures.refusals += 1

    def happened(self, attachments: Iterable[Attachment], begin: datetime, end: datetime) -> Happened:
        """Return everything, with the use of lines between two times (aware, UTC)."""
        return Happened(
            figures=self._counting.figures(),
            users=dict(sorted(self._users.items())),
            lines=line_use(attachments, begin, end),
            changes=self._changes,
            alerts=self._alerts,
        )


def line_use(attachments: Iterable[Attachment], begin: datetime, end: datetime) -> list[LineUse]:
    """Return who used which line between two times, and for how long: only the time in between counts."""
    times: Counter[tuple[str, str]] = Counter()
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for one in attachments:
        opened = parse_timestamp(one.opened_at) or begin
        closed = parse_timestamp(one.closed_at) or end
        first, last = max(opened, begin), min(closed, end)
        if first <= last:
            times[one.line, one.user] += 1
            seconds[one.line, one.user] += (last - first).total_seconds()
    return [LineUse(line, user, times[line, user], seconds[line, user]) for line, user in sorted(times)]
