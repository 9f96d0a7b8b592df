"""Penalties of sources whose connections fail: they grow with each failure, and block a source while in force.

As with the PerSourcePenalties of OpenSSH, a failure adds to the time for which its source is blocked. One failure, or
a few, stay below the threshold from which a penalty has an effect.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

SOURCES_MAX: Final = 65_536
"""The maximum number of sources that are remembered; beyond it, the one that failed least recently is forgotten."""


class Fine(NamedTuple):
    """What one failure adds to a source's penalty; the threshold and the longest penalty; all in seconds."""

    source: str
    seconds: float
    threshold_s: float
    longest_s: float


class Penalty(NamedTuple):
    """One source's penalty: its end, by the monotonic clock of the machine, and whether it is in force."""

    source: str
    until: float
    is_in_force: bool


def _tell_nobody(_: Fine) -> None:
    """Do nothing: a single process has no other process to notify."""


class Penalties:
    """The penalty of each source; the source that failed least recently comes first."""

    def __init__(self) -> None:
        self._all: dict[str, Penalty] = {}
        self.tell: Callable[[Fine], None] = _tell_nobody
        """Called with each fine that is imposed here."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> Iterable[Penalty]:
        """Every penalty that is remembered."""
        return self._all.values()

    def impose(self, fine: Fine, now: float) -> float:
        """Add to a source's penalty, and return by how many seconds it has grown below its threshold."""
        grown_s = self.hear(fine, now)
        self.tell(fine)
        return grown_s

    def hear(self, fine: Fine, now: float) -> float:
        """Apply a fine that was imposed here, or by another process; see `impose`."""
        before = self._all.get(fine.source)
        if before is None or before.until <= now:
            before = Penalty(fine.source, now, is_in_force=False)
        until = min(before.until + fine.seconds, now + fine.longest_s)
        is_in_force = before.is_in_force or until - now >= fine.threshold_s
        self._keep(Penalty(fine.source, until, is_in_force))
        return min(until - now, fine.threshold_s) - min(before.until - now, fine.threshold_s)

    def take_over(self, penalties: Iterable[Penalty]) -> None:
        """Add the penalties that other processes have remembered so far."""
        for one in penalties:
            self._keep(one)

    def is_in_force(self, source: str, now: float) -> bool:
        """Tell whether a source is to be turned away."""
        penalty = self._all.get(source)
        return penalty is not None and penalty.is_in_force and penalty.until > now

    def _keep(self, penalty: Penalty) -> None:
        self._all.pop(penalty.source, None)
        self._all[penalty.source] = penalty
        if len(self._all) > SOURCES_MAX:
            del self._all[next(iter(self._all))]
