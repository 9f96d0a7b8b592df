"""How long to wait before an upstream is connected again, without I/O: longer each time, and never in step."""

import random
from typing import Final

FIRST_S: Final = 1.0
MOST_S: Final = 60.0
JITTER: Final = 0.2
"""How much longer or shorter a wait may be, so that lines that were lost together are not connected together."""


class Backoff:
    """Waits of 1, 2, 4 … 60 seconds."""

    __slots__ = ("_next_s",)

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def take(self) -> float:
        """Return how long to wait now, in seconds; the next wait is twice as long."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, MOST_S)
        return wait_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 -- no secret

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next_s = FIRST_S
