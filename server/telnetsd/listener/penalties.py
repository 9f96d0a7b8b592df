"""Penalties of sources whose connections fail: they grow with each failure, and keep a source out while in force.

As with the PerSourcePenalties of OpenSSH, a failure adds to the time for which its source is not welcome; one
failure, or a few, stay below the threshold from which on that counts.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

SOURCES_MAX: Final = 65_536
"""How many sources are kept in mind: beyond it the one that has failed least recently is forgotten."""


@dataclass(frozen=True, slots=True)
class PenaltyTerms:
    """From how many seconds on a penalty is in force, and the longest one."""

    threshold_s: float
    longest_s: float


class Penalty(NamedTuple):
    """One source's: until when, by the monotonic clock of the machine, and whether it has come into force."""

    source: str
    until: float
    is_in_force: bool


def _tell_nobody(_: Penalty) -> None:
    """Where one process serves, there is nobody to tell."""


class Penalties:
    """The penalty of each source, those that failed least recently first."""

    def __init__(self) -> None:
        self._all: dict[str, Penalty] = {}
        self.tell: Callable[[Penalty], None] = _tell_nobody
        """Is told of each penalty that is imposed here."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> Iterable[Penalty]:
        """Every penalty that is kept in mind."""
        return self._all.values()

    def impose(self, source: str, seconds: float, now: float, terms: PenaltyTerms) -> None:
        """Add to a source's penalty."""
        before = self._all.get(source)
        if before is None or before.until <= now:
            before = Penalty(source, now, is_in_force=False)
        until = min(before.until + seconds, now + terms.longest_s)
        is_in_force = before.is_in_force or until - now >= terms.threshold_s
        penalty = Penalty(source, until, is_in_force)
        self.hear(penalty)
        self.tell(penalty)

    def is_in_force(self, source: str, now: float) -> bool:
        """Tell whether a source is to be turned away."""
        penalty = self._all.get(source)
        return penalty is not None and penalty.is_in_force and penalty.until > now

    def hear(self, penalty: Penalty) -> None:
        """Take in a penalty as it is now, imposed here or by another process."""
        self._all.pop(penalty.source, None)
        self._all[penalty.source] = penalty
        if len(self._all) > SOURCES_MAX:
            del self._all[next(iter(self._all))]
