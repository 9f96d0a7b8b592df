"""Work that many clients make, done a little at a time, so that together they do not keep anybody else waiting."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

PER_TURN: Final = 4
PAUSE_S: Final = 0.005
"""How long others have the event loop for themselves, when more is waiting than is done in a turn."""


class Turns:
    """A queue of pieces of work, each of a millisecond at most; who has more to do queues again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def take(self, work: Callable[[], None]) -> None:
        """Do a piece of work when it is its turn: in the next one of the event loop, where nobody else waits."""
        self._waiting.append(work)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        try:
            for _ in range(min(PER_TURN, len(self._waiting))):
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._loop.call_later(PAUSE_S, self._run)
            else:
                self._is_due = False
