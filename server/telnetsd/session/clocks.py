"""The clocks of a session: idle, lifetime, and the end of its certificate. They have no timers of their own."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from telnetsd.pki.facts import days_left


class Due(Enum):
    """What a check of the clocks has found: the reasons to end a session, and two warnings."""

    CERTIFICATE_EXPIRED = auto()
    MAX_TIME = auto()
    IDLE_TIMEOUT = auto()
    IDLE_WARNING = auto()
    EXPIRY_WARNING = auto()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a session may last, in seconds, and how many days before expiry the certificate warning starts."""

    idle_timeout_s: float
    idle_warning_s: float
    max_time_s: float
    window_days: int


class Clocks:
    """When a session started, when its user last typed, and which warnings were given.

    Args:
        now: The monotonic clock, in seconds.
    """

    __slots__ = ("_heard", "_is_warned", "_started", "is_told_of_expiry")

    def __init__(self, now: float) -> None:
        self._started = self._heard = now
        self._is_warned = False
        self.is_told_of_expiry = False
        """Whether the user was warned that the certificate is about to expire."""

    def note_heard(self, now: float) -> None:
        """Note that the user has typed something."""
        self._heard = now
        self._is_warned = False

    def idle_s(self, now: float) -> float:
        """Return how long the user has typed nothing, in seconds."""
        return now - self._heard

    def look(self, now: float, at: datetime, valid_until: datetime | None, bounds: Bounds) -> list[Due]:
        """Return what is due, in order: the warnings that are not given yet, and at most one reason to end.

        Args:
            now: The monotonic clock, in seconds.
            at: The current time (aware, UTC).
            valid_until: The end of the user's certificate (aware); None for a guest.
            bounds: How long the session may last.
        """
        due = []
        if valid_until is not None and not self.is_told_of_expiry:
            self.is_told_of_expiry = is_expiring(valid_until, at, bounds.window_days)
            due += [Due.EXPIRY_WARNING] * self.is_told_of_expiry
        end = self._look_at_end(now, at, valid_until, bounds)
        if end is not None:
            due.append(end)
        elif not self._is_warned and self.idle_s(now) > bounds.idle_timeout_s - bounds.idle_warning_s:
            self._is_warned = True
            due.append(Due.IDLE_WARNING)
        return due

    def _look_at_end(self, now: float, at: datetime, valid_until: datetime | None, bounds: Bounds) -> Due | None:
        if valid_until is not None and at > valid_until:
            return Due.CERTIFICATE_EXPIRED
        if now - self._started > bounds.max_time_s:
            return Due.MAX_TIME
        return Due.IDLE_TIMEOUT if self.idle_s(now) > bounds.idle_timeout_s else None


def is_expiring(valid_until: datetime, at: datetime, window_days: int) -> bool:
    """Tell whether a certificate is in its last days; both times are aware."""
    return days_left(valid_until, at) < window_days
