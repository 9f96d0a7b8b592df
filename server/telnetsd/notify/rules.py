"""Which events a `[[notify]]` entry is for, and how many of them it passes on; without I/O."""

import difflib
from collections import deque
from fnmatch import fnmatchcase
from typing import Final

from telnetsd.audit.reading.row import LoggedEvent, value_of
from telnetsd.config.settings import NotifySettings
from telnetsd.errors import OperatorError
from telnetsd.events.catalogue import ACTIONS
from telnetsd.events.of_the_server import NotificationFailed

QUEUE_MAX: Final = 100
"""How many events wait for a receiver that cannot be reached: the newest ones; the others are counted."""
_HOUR_S: Final = 3600.0


def require_known(settings: NotifySettings) -> None:
    """Refuse an entry that names an action which no event has: it would never be told of it.

    Raises:
        OperatorError: It names one.
    """
    for pattern in settings.actions:
        if not any(fnmatchcase(action, pattern) for action in ACTIONS):
            near = difflib.get_close_matches(pattern, ACTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/audit-events.md"
            raise OperatorError(f"actions of [[notify]] {settings.name!r}: no event {pattern!r}; {hint}")


def is_wanted(settings: NotifySettings, event: LoggedEvent) -> bool:
    """Tell whether an entry is for an event; what an entry does not name sets no condition."""
    action = str(value_of(event, "event.action"))
    if action == NotificationFailed.action:
        return False  # it would report itself
    users = {str(value_of(event, path)) for path in ("user.name", "user.target.name")}
    return (
        any(fnmatchcase(action, pattern) for pattern in settings.actions)
        and _matches(str(value_of(event, "event.reason")), settings.reasons)
        and (not settings.users or not users.isdisjoint(settings.users))
    )


def _matches(word: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(word, pattern) for pattern in patterns)


class Outbox:
    """The events that wait for one receiver, and how many may go now.

    Args:
        per_hour: How many events may go in any hour.
    """

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._gone_at: deque[float] = deque()
        self._waiting: deque[LoggedEvent] = deque()
        self._held_back = 0

    def put(self, event: LoggedEvent) -> None:
        """Add an event; if too many wait, the oldest one is only counted."""
        self._waiting.append(event)
        if len(self._waiting) > QUEUE_MAX:
            self._waiting.popleft()
            self._held_back += 1

    def take(self, now: float) -> tuple[LoggedEvent, int] | None:
        """Return the next event that may go, and how many before it were held back; None if none may go now.

        While the rate allows none, only the newest event is kept, and the others are counted.
        """
        while self._gone_at and self._gone_at[0] <= now - _HOUR_S:
            self._gone_at.popleft()
        if len(self._gone_at) >= self._per_hour:
            while len(self._waiting) > 1:
                self._waiting.popleft()
                self._held_back += 1
            return None
        if not self._waiting:
            return None
        self._gone_at.append(now)
        held_back, self._held_back = self._held_back, 0
        return self._waiting.popleft(), held_back

    def put_back(self, event: LoggedEvent, held_back: int, *, was_received: bool) -> None:
        """Take the last event back, as the next one. If the receiver may have had it, it counts as sent as well."""
        if not was_received:
            self._gone_at.pop()
        self._held_back += held_back
        self._waiting.appendleft(event)
        if len(self._waiting) > QUEUE_MAX:
            self._waiting.popleft()
            self._held_back += 1

    def drop(self, held_back: int) -> None:
        """Give the last event up, and count it as held back."""
        self._held_back += held_back + 1
