"""Statistics of the log: logins by user and by hour, refusals by reason, events by action."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from telnetsd.audit.reading.row import LoggedEvent, text_of, who_of
from telnetsd.events.fields import Outcome
from telnetsd.events.of_sessions import CommandDenied, HandshakeFailed, SessionRefused, SessionStarted

HOURS = range(24)
_TURNED_AWAY = {SessionRefused.action, HandshakeFailed.action, CommandDenied.action}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts by name, the most frequent first; hours (UTC, 00 to 23) are in order."""

    logins_by_user: dict[str, int]
    refusals_by_reason: dict[str, int]
    logins_by_hour: dict[str, int]
    events_by_action: dict[str, int]
    events: int
    failures: int


def count(events: Iterable[LoggedEvent]) -> Figures:
    """Count the events."""
    users, reasons, hours, actions = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    total = failures = 0
    for event in events:
        total += 1
        action = text_of(event, "event.action")
        actions[action] += 1
        failures += text_of(event, "event.outcome") == Outcome.FAILURE
        if action == SessionStarted.action:
            users[who_of(event)] += 1
            hours[text_of(event, "@timestamp")[11:13]] += 1
        elif action in _TURNED_AWAY:
            reasons[text_of(event, "event.reason")] += 1
    by_hour = {f"{hour:02}": hours[f"{hour:02}"] for hour in HOURS}
    return Figures(
        logins_by_user=dict(users.most_common()),
        refusals_by_reason=dict(reasons.most_common()),
        logins_by_hour=by_hour,
        events_by_action=dict(actions.most_common()),
        events=total,
        failures=failures,
    )
