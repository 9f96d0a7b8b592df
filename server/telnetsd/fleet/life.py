"""Signs of life: each node puts one into the engine every few seconds, and reads those of the others.

That the majority of the engine has taken ours is what makes this node current: one that is connected to a server
which is cut off from the others stays connected. Only the engine's own times are compared, never those of nodes.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from telnetsd import __version__
from telnetsd.administration.replication.agent_messages import NodeStatus
from telnetsd.administration.replication.message import LEVEL
from telnetsd.errors import OperatorError, StoreError
from telnetsd.escaping import escape
from telnetsd.files.freshness import Freshness
from telnetsd.fleet.connection import EngineError, Stored
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.follower import ANSWER_S, Follower
from telnetsd.fleet.subjects import Subjects
from telnetsd.state.fleet import FleetNode

BEAT_S: Final = 5.0
BEAT_MIN_S: Final = 1.0
"""How soon a sign follows the one before it, if this node has got a change meanwhile."""
AWAY_S: Final = 20.0
"""After how long without a sign of life a node is away."""

logger = logging.getLogger(__name__)


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life of a node; `position` is the last change that it has."""

    version: str
    level: int
    position: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last sign of a node, and when the engine took it."""

    sign: Sign
    at: datetime


_SIGN_MAX_BYTES: Final = 1024
_VERSION_MAX_CHARS: Final = 32
_NEVER: Final = Sign(version="", level=0, position=0)
_decoder: Final = msgspec.json.Decoder(Sign)


class Life:
    """Our signs of life, and those of the others.

    Args:
        engine: The engine.
        follower: Knows which change was applied last.
        subjects: Those of the fleet.
        node: Our name.
        freshness: Where it is noted that this node is current.
    """

    def __init__(
        self, engine: Engine, follower: Follower, subjects: Subjects, node: str, freshness: Freshness
    ) -> None:
        self._engine = engine
        self._follower = follower
        self._subjects = subjects
        self._node = node
        self._freshness = freshness
        self._taken_at = float("-inf")

    @property
    def is_fresh(self) -> bool:
        """Whether the majority of the engine has taken our sign within the last seconds."""
        return asyncio.get_running_loop().time() - self._taken_at < AWAY_S

    async def run(self) -> None:
        """Give signs of life until this is cancelled."""
        while True:
            try:
                await self.beat()
            except (EngineError, OperatorError, StoreError, OSError) as error:
                logger.debug("no sign of life: %s", error)
                await asyncio.sleep(1)
            else:
                await asyncio.sleep(BEAT_MIN_S)
                await self._follower.moves(BEAT_S - BEAT_MIN_S)

    async def beat(self) -> None:
        """Give a sign of life.

        Raises:
            EngineError: The majority of the engine does not take it.
        """
        connection = await self._engine.connected(ANSWER_S)
        membership = await self._follower.membership()
        sign = Sign(version=__version__, level=LEVEL, position=membership.sequence)
        data = msgspec.json.encode(sign)
        await connection.put(self._subjects.life(self._node), data, timeout_s=ANSWER_S)
        self._taken_at = asyncio.get_running_loop().time()
        if membership.sequence >= self._follower.end and not self._follower.problem:
            self._freshness.note()

    async def read(self, nodes: list[FleetNode]) -> list[NodeStatus]:
        """Return what is known about nodes.

        Raises:
            EngineError: The engine does not answer.
        """
        connection = await self._engine.connected(ANSWER_S)
        stream, subjects = self._subjects.nodes, [self._subjects.life(one.name) for one in nodes]
        found = await asyncio.gather(*(connection.last_of(stream, subject, ANSWER_S) for subject in subjects))
        seen = [_read(one) for one in found]
        now = max((one.at for one in seen if one is not None), default=None)
        return [self._describe(node, one, now) for node, one in zip(nodes, seen, strict=True)]

    def _describe(self, node: FleetNode, seen: _Seen | None, now: datetime | None) -> NodeStatus:
        is_away = seen is None or now is None or now - seen.at > timedelta(seconds=AWAY_S)
        sign = seen.sign if seen is not None else _NEVER
        return NodeStatus(
            name=node.name,
            version=escape(sign.version, _VERSION_MAX_CHARS),
            capabilities=[one.value for one in node.capabilities],
            seen_at=seen.at.isoformat(timespec="seconds") if seen is not None else "",
            lag=None if is_away else max(self._follower.end - sign.position, 0),
        )


def _read(found: Stored | None) -> _Seen | None:
    """Return a node's sign; None if it gave none that can be read."""
    if found is None or len(found.data) > _SIGN_MAX_BYTES:
        return None
    try:
        # The engine writes nanoseconds, which no time of Python has.
        at = datetime.fromisoformat(f"{found.at[:26].rstrip('Z')}+00:00")
        return _Seen(_decoder.decode(found.data), at)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
