"""Statistics of the log: logins by user, day and hour, refusals by reason, events by action, line and source."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from telnetsd.audit.reading.moment import Zone, to_zone
from telnetsd.audit.reading.row import LoggedEvent, text_of, who_of
from telnetsd.events.fields import Outcome, parse_timestamp
from telnetsd.events.of_sessions import CommandDenied, HandshakeFailed, SessionRefused, SessionStarted

HOURS = range(24)
TURNED_AWAY = frozenset({SessionRefused.action, HandshakeFailed.action, CommandDenied.action})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts by name, the most frequent first; days and hours (00 to 23) are in order."""

    logins_by_user: dict[str, int]
    logins_by_day: dict[str, int]
    logins_by_hour: dict[str, int]
    refusals_by_reason: dict[str, int]
    events_by_action: dict[str, int]
    events_by_line: dict[str, int]
    events_by_source: dict[str, int]
    events: int
    failures: int


@dataclass(slots=True, kw_only=True)
class Counting:
    """Counts events one by one; days and hours are those of a time zone."""

    zone: Zone
    users: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    hours: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    failures: int = 0

    def add(self, event: LoggedEvent) -> None:
        """Count an event."""
        action = text_of(event, "event.action")
        self.actions[action] += 1
        self.failures += text_of(event, "event.outcome") == Outcome.FAILURE
        for counter, path in ((self.lines, "telnetsd.line.name"), (self.sources, "source.ip")):
            if name := text_of(event, path):
                counter[name] += 1
        if action == SessionStarted.action:
            self._add_login(event)
        elif action in TURNED_AWAY:
            self.reasons[text_of(event, "event.reason")] += 1

    def _add_login(self, event: LoggedEvent) -> None:
        self.users[who_of(event)] += 1
        at = parse_timestamp(text_of(event, "@timestamp"))
        if at is not None:
            local = to_zone(at, self.zone)
            self.days[f"{local:%Y-%m-%d}"] += 1
            self.hours[f"{local:%H}"] += 1

    def figures(self) -> Figures:
        """Return what has been counted."""
        return Figures(
            logins_by_user=dict(self.users.most_common()),
            logins_by_day=dict(sorted(self.days.items())),
            logins_by_hour={f"{hour:02}": self.hours[f"{hour:02}"] for hour in HOURS},
            refusals_by_reason=dict(self.reasons.most_common()),
            events_by_action=dict(self.actions.most_common()),
            events_by_line=dict(self.lines.most_common()),
            events_by_source=dict(self.sources.most_common()),
            events=self.actions.total(),
            failures=self.failures,
        )


def count(events: Iterable[LoggedEvent], zone: Zone) -> Figures:
    """Count the events; days and hours are those of a time zone."""
    counting = Counting(zone=zone)
    for event in events:
        counting.add(event)
    return counting.figures()
