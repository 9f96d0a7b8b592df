"""Work caused by many clients, done a little at a time, so that together they do not delay other clients."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

PER_TURN: Final = 4
PAUSE_S: Final = 0.005
PUMPS_PAUSE_S: Final = 0.001
"""How long the event loop is left to other work, if more is waiting than fits in a turn.

What passes bytes on pauses less: four pieces take some three milliseconds, and lines are read as fast as a core
allows. Other work still has its turn after each of these pauses.
"""


class Turns:
    """A queue of pieces of work, each of a millisecond at most; a caller with more work queues again.

    Args:
        pause_s: How long to pause between turns.
    """

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def take(self, work: Callable[[], None]) -> None:
        """Queue a piece of work; if nothing else waits, it runs in the next turn of the event loop."""
        self._waiting.append(work)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run)

    async def wait(self) -> None:
        """Wait for a turn; the work until the next wait counts as one piece."""
        ready: asyncio.Future[None] = self._loop.create_future()
        self.take(lambda: None if ready.done() else ready.set_result(None))
        await ready

    def _run(self) -> None:
        try:
            for _ in range(min(PER_TURN, len(self._waiting))):
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._loop.call_later(self._pause_s, self._run)
            else:
                self._is_due = False


_OF_LOOPS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Turns]] = WeakKeyDictionary()


def turns_of_pumps() -> Turns:
    """Return the turns of everything in this event loop that passes bytes on, in any direction."""
    loop = asyncio.get_running_loop()
    found = _OF_LOOPS.get(loop)
    if found is None:
        found = _OF_LOOPS[loop] = Turns(PUMPS_PAUSE_S)
    return found
