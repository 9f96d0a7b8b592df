"""Turns: one change at a time on this node, and as a rule in the fleet, so that operators wait instead of failing.

The lease is a courtesy: it makes a conflict rare. The stream alone sees to it that a place has only one change.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from telnetsd.fleet.connection import EngineError, RefusedByEngineError
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.follower import ANSWER_S, Follower
from telnetsd.fleet.publishing import NotPublishedError
from telnetsd.fleet.subjects import Subjects

TURN_S: Final = 14.0
"""How long a change may wait: when a server of the engine dies, the others need up to ten seconds to agree."""
PUBLISH_MIN_S: Final = 3.0
"""How much of that is left at least to bring a change into the stream."""
UNREACHED_S: Final = 4.0
"""After how long without any server of the engine a change is refused: it is not one of them that has just died."""
_POLL_S: Final = 0.02
_RETRY_S: Final = 0.2
_FREE: Final = b""


class Turns:
    """The turns of this node.

    Args:
        engine: The engine.
        follower: Catches up before a turn begins.
        subjects: Those of the fleet.
        node: Our name.
    """

    def __init__(self, engine: Engine, follower: Follower, subjects: Subjects, node: str) -> None:
        self._engine = engine
        self._follower = follower
        self._subjects = subjects
        self._node = node
        self._lock = asyncio.Lock()
        self._ends_at = 0.0

    @property
    def left_s(self) -> float:
        """How long the change of this turn may still wait for its answer."""
        return max(PUBLISH_MIN_S, self._ends_at - asyncio.get_running_loop().time())

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Have a turn for as long as the block lasts: no other change is made, and this node has them all.

        Raises:
            NotPublishedError: The engine does not answer, or this node applies no more changes.
        """
        if self._follower.problem:
            stopped = f"this node applies no more changes: {self._follower.problem}"
            raise NotPublishedError(f"nothing was changed: {stopped}")
        try:
            await asyncio.wait_for(self._lock.acquire(), TURN_S)
        except TimeoutError:
            words = "nothing was changed: other changes on this node take too long; try again"
            raise NotPublishedError(words) from None
        position = 0
        try:
            self._ends_at = asyncio.get_running_loop().time() + TURN_S
            position = await self._begin()
            yield
        finally:
            await self._give_back(position)
            self._lock.release()

    async def _begin(self) -> int:
        """Take the lease and catch up, as soon as the engine's majority answers; return the position of the lease.

        Raises:
            NotPublishedError: It does not answer in time.
        """
        unreached_s = 0.0
        while True:
            position, at = 0, asyncio.get_running_loop().time()
            try:
                position = await self._take_lease()
                await self._follower.caught_up(ANSWER_S)
            except EngineError as error:
                await self._give_back(position)
                unreached_s = 0.0 if self._engine.server else unreached_s + asyncio.get_running_loop().time() - at
                if self.left_s <= PUBLISH_MIN_S or unreached_s > UNREACHED_S:
                    without = "revoking works without it, see: telnetsd fleet status"
                    raise NotPublishedError(f"nothing was changed: {error}; {without}") from error
                await asyncio.sleep(_RETRY_S)
            else:
                return position

    async def _take_lease(self) -> int:
        """Wait for the lease, and return its position; 0 if the one who has it takes too long: we do without it.

        Raises:
            EngineError: The engine does not answer.
        """
        while self.left_s > PUBLISH_MIN_S:
            connection = await self._engine.connected(ANSWER_S)
            position, holder = await connection.last_by_leader(self._subjects.lease, self._subjects.leases, ANSWER_S)
            if holder in {_FREE, self._node.encode()}:
                with contextlib.suppress(RefusedByEngineError):
                    return await connection.put(
                        self._subjects.leases,
                        self._node.encode(),
                        timeout_s=ANSWER_S,
                        after=position,
                        of_subject=True,
                    )
            await asyncio.sleep(_POLL_S)
        return 0

    async def _give_back(self, position: int) -> None:
        if not position:
            return
        with contextlib.suppress(EngineError):
            await self._engine.now.put(
                self._subjects.leases, _FREE, timeout_s=ANSWER_S, after=position, of_subject=True
            )
