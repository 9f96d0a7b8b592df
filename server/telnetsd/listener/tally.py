"""Counts over all processes of a server: connections, handshakes, sources, sessions of a user.

Each process counts its own, and receives the counts of the others, which are a moment old. If several processes
accept connections, a limit may be exceeded by the number of connections that arrive in that moment.
"""

from collections import Counter
from collections.abc import Callable, Mapping


def _tell_nobody(_: str, __: int) -> None:
    """Do nothing: a single process has no other process to notify."""


class Tally:
    """The counts of one process, and what it has received from the others.

    Counts go back to zero with the connections, so there are never more than a few keys per connection.
    """

    def __init__(self) -> None:
        self._here: Counter[str] = Counter()
        self._elsewhere: Counter[str] = Counter()
        self.tell: Callable[[str, int], None] = _tell_nobody
        """Called with each change here: the key, and by how much."""

    def __getitem__(self, key: str) -> int:
        return self._here.get(key, 0) + self._elsewhere.get(key, 0)

    @property
    def here(self) -> Mapping[str, int]:
        """The counts of this process."""
        return self._here

    def add(self, key: str) -> None:
        """Count one more."""
        self._here[key] += 1
        self.tell(key, 1)

    def remove(self, key: str) -> None:
        """Count one less."""
        _change(self._here, key, -1)
        self.tell(key, -1)

    def hear(self, changes: Mapping[str, int]) -> None:
        """Record how the counts of other processes have changed."""
        for key, change in changes.items():
            _change(self._elsewhere, key, change)


def _change(counts: Counter[str], key: str, change: int) -> None:
    left = counts[key] + change
    if left:
        counts[key] = left
    else:
        del counts[key]
