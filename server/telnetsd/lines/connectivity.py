"""Whether the upstream of a kept-open line is connected, since when, and which changes the log gets. Pure.

An upstream may come and go without end. The log gets the first changes at once; further ones are counted, and the
next change that is recorded says how many there were.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telnetsd.events.of_sessions import DownReason
from telnetsd.events.reason import LineReason

RECORDED_MAX: Final = 6
WINDOW_S: Final = 300.0
"""No more than RECORDED_MAX changes are recorded in this time."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change to record.

    Attributes:
        reason: Why the upstream is not connected; None if it is.
        why: The same, as a phrase that follows the line's name.
        unrecorded: How many changes before this one were not recorded.
    """

    reason: DownReason | None
    why: str
    unrecorded: int


class Connectivity:
    """The state of one upstream.

    Args:
        at: The current time (aware, UTC).
    """

    def __init__(self, at: datetime) -> None:
        self.since = at
        """Since when the state lasts."""
        self.reason: DownReason | None = LineReason.UNREACHABLE
        """Why the upstream is not connected; None if it is."""
        self.why = "is being connected"
        """The same, as a phrase that follows the line's name."""
        self._is_known = False
        self._times: deque[float] = deque(maxlen=RECORDED_MAX)
        self._unrecorded = 0

    @property
    def is_up(self) -> bool:
        """Whether the upstream is connected."""
        return self.reason is None

    def sentence(self, line_name: str) -> str:
        """Return a sentence that says why the upstream is not connected, and since when."""
        return f"{line_name} {self.why} (since {self.since:%Y-%m-%d %H:%M:%S} UTC), and is connected when possible"

    def note(self, reason: DownReason | None, why: str, at: datetime, now: float) -> Change | None:
        """Note a state, and return what is to be recorded.

        Args:
            reason: Why the upstream is not connected; None if it is.
            why: The same, as a phrase that follows the line's name.
            at: The current time (aware, UTC).
            now: The monotonic clock, in seconds.
        """
        is_changed = not self._is_known or self.is_up != (reason is None)
        self.reason, self.why, self._is_known = reason, why, True
        if not is_changed:
            return None
        self.since = at
        self._unrecorded += 1
        return self.due(now)

    def due(self, now: float) -> Change | None:
        """Return a change that was not recorded yet, if it may be recorded now."""
        is_full = len(self._times) == RECORDED_MAX and now - self._times[0] < WINDOW_S
        if is_full or not self._unrecorded:
            return None
        self._times.append(now)
        change = Change(self.reason, self.why, self._unrecorded - 1)
        self._unrecorded = 0
        return change
