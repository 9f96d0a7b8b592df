"""How many of each there are, in all processes of a server: connections, handshakes, sources, sessions of a user.

Each process counts its own, and hears what the others have. What it hears is a moment old: where several processes
take connections, a limit may be passed by as many as come in that moment.
"""

from collections import Counter
from collections.abc import Callable, Mapping


def _tell_nobody(_: str, __: int) -> None:
    """Where one process serves, there is nobody to tell."""


class Tally:
    """The counts of one process, and what it has heard of the others.

    What is counted goes back to zero with the connections: there are never more keys than a few a connection.
    """

    def __init__(self) -> None:
        self._here: Counter[str] = Counter()
        self._elsewhere: Counter[str] = Counter()
        self.tell: Callable[[str, int], None] = _tell_nobody
        """Is told of each change here: the key, and by how much."""

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
        """Take in how the counts of others have changed."""
        for key, change in changes.items():
            _change(self._elsewhere, key, change)


def _change(counts: Counter[str], key: str, change: int) -> None:
    left = counts[key] + change
    if left:
        counts[key] = left
    else:
        del counts[key]
