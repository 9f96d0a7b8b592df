"""How fast a session, or several together, may type: a token bucket."""


class Pace:
    """A limit on lines per second in the long run, and on the burst before that.

    Args:
        per_s: Lines per second.
        burst: How many lines may come at once.
    """

    __slots__ = ("_burst_s", "_free_at", "_interval_s", "is_told")

    def __init__(self, per_s: float, burst: int) -> None:
        self._interval_s = 1 / per_s
        self._burst_s = burst / per_s
        self.is_told = False
        """Whether the log has recorded that the lines come too fast."""
        self._free_at = 0.0
        """When the rate catches up with the lines counted so far, by the clock of `take`."""

    def take(self, now: float) -> float:
        """Count a line at the time `now`, in seconds, and return how many seconds to wait before the next."""
        self._free_at = max(self._free_at, now) + self._interval_s
        return max(0.0, self._free_at - now - self._burst_s)
