"""Penalties of sources whose connections fail: they grow with each failure, and keep a source out while in force.

As with the PerSourcePenalties of OpenSSH, a failure adds to the time for which its source is not welcome; one
failure, or a few, stay below the threshold from which on that counts.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

SOURCES_MAX: Final = 65_536
"""How many sources are kept in mind: beyond it the one that has failed least recently is forgotten."""


class Fine(NamedTuple):
    """What one failure adds to a source's penalty, in seconds; from when on that counts, and the longest one."""

    source: str
    seconds: float
    threshold_s: float
    longest_s: float


class Penalty(NamedTuple):
    """One source's: until when, by the monotonic clock of the machine, and whether it has come into force."""

    source: str
    until: float
    is_in_force: bool


def _tell_nobody(_: Fine) -> None:
    """Where one process serves, there is nobody to tell."""


class Penalties:
    """The penalty of each source, those that failed least recently first."""

    def __init__(self) -> None:
        self._all: dict[str, Penalty] = {}
        self.tell: Callable[[Fine], None] = _tell_nobody
        """Is told of each fine that is imposed here."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> Iterable[Penalty]:
        """Every penalty that is kept in mind."""
        return self._all.values()

    def impose(self, fine: Fine, now: float) -> float:
        """Add to a source's penalty, and return by how many seconds it has grown below its threshold."""
        grown_s = self.hear(fine, now)
        self.tell(fine)
        return grown_s

    def hear(self, fine: Fine, now: float) -> float:
        """Take in a fine that was imposed here, or by another process; see `impose`."""
        before = self._all.get(fine.source)
        if before is None or before.until <= now:
            before = Penalty(fine.source, now, is_in_force=False)
        until = min(before.until + fine.seconds, now + fine.longest_s)
        is_in_force = before.is_in_force or until - now >= fine.threshold_s
        self._keep(Penalty(fine.source, until, is_in_force))
        return min(until - now, fine.threshold_s) - min(before.until - now, fine.threshold_s)

    def take_over(self, penalties: Iterable[Penalty]) -> None:
        """Take in what others have kept in mind so far."""
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
