"""How fast a session, or several together, may type: a token bucket."""


class Pace:
    """So many lines a second on the long run, and a burst before that.

    Args:
        per_s: Lines a second.
        burst: How many may come at once.
    """

    __slots__ = ("_burst_s", "_free_at", "_interval_s", "is_told")

    def __init__(self, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s
        self._burst_s = burst / per_s
        self.is_told = False
        """Whether somebody was told that it is too fast."""
        self._free_at = 0.0
        """When what was taken so far has been earned, by the clock of `take`."""

    def take(self, now: float) -> float:
        """Take in a line at a moment, in seconds, and return for how many seconds to wait before the next."""
        self._free_at = max(self._free_at, now) + self._interval_s
        return max(0.0, self._free_at - now - self._burst_s)
