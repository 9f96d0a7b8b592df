"""Changes that take access away: told to all nodes at once, and put into the stream as soon as that is possible.

A notice goes over the engine without waiting for its majority. Every node that hears it applies it and says so. The
stream decides later in which order it happened: until then each node keeps it on top of what the stream says.
"""

import asyncio
import logging
from collections import Counter
from contextlib import closing
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telnetsd.administration.installation.applying import (
    Outcome,
    Refusals,
    StoppedError,
    apply_notice,
    forget_pending,
)
from telnetsd.administration.replication.agent_messages import Spread
from telnetsd.administration.replication.message import ChangeBody, ChangeKind, MessageError, encode_change
from telnetsd.administration.replication.node_key import load_node_key
from telnetsd.administration.replication.pending import PendingChange, key_of_change, list_pending
from telnetsd.errors import OperatorError, StoreError
from telnetsd.files.home import Home
from telnetsd.fleet.connection import EngineError, Received
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.follower import Follower
from telnetsd.fleet.publishing import NotPublishedError, Publisher, UnknownOutcomeError
from telnetsd.fleet.subjects import Subjects
from telnetsd.fleet.turns import Turns
from telnetsd.state.fleet import Membership
from telnetsd.state.opening import open_store

NOTICES_MAX: Final = 20
"""How many notices of a node are looked at in a second."""
NOTICE_S: Final = 2.0
"""How long a node waits for what the others say to its notice."""
STREAM_S: Final = 3.0
"""How long the operator waits for the stream after that."""
_RETRY_S: Final = 1.0

logger = logging.getLogger(__name__)


class Spreader:
    """Brings the pending changes of this node to the others.

    Args:
        home: The installation.
        engine: The engine.
        subjects: Those of the fleet.
        follower: Applies what is in the stream.
        turns: Those of this node.
        publisher: Puts changes into the stream.
    """

    def __init__(
        self,
        home: Home,
        engine: Engine,
        subjects: Subjects,
        *,
        follower: Follower,
        turns: Turns,
        publisher: Publisher,
    ) -> None:
        self._home = home
        self._engine = engine
        self._subjects = subjects
        self._follower = follower
        self._turns = turns
        self._publisher = publisher
        self._refusals = Refusals()
        self._heard: tuple[int, Counter[str]] = (0, Counter())
        self._has_work = asyncio.Event()
        self._has_committed = asyncio.Condition()

    async def run(self) -> None:
        """Put pending changes into the stream, until this is cancelled."""
        told = ""
        self._has_work.set()
        while True:
            try:
                if not await self._commit_next():
                    self._has_work.clear()
                    await asyncio.wait_for(self._has_work.wait(), _RETRY_S)
            except TimeoutError:
                continue
            except (NotPublishedError, UnknownOutcomeError, EngineError, OperatorError, StoreError) as error:
                if str(error) != told:
                    told = str(error)
                    logger.debug("a pending change is not in the stream yet: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def spread(self, change_id: str) -> Spread:
        """Tell all nodes of a pending change, and wait a little until it is in the stream.

        Raises:
            EngineError: The engine does not answer: no node was told.
        """
        self._has_work.set()
        membership, others, pending = await asyncio.to_thread(_read, self._home, change_id)
        have = {membership.node}
        if pending is not None:
            have |= await self._tell(membership, pending, len(others)) & set(others)
        is_in_stream = await self._is_committed(change_id)
        return Spread(have=sorted(have), away=sorted(set(others) - have), is_in_stream=is_in_stream)

    async def hear(self, notice: Received) -> None:
        """Apply a notice, and say that we have."""
        node = notice.subject.rpartition(".")[2]
        if not self._is_heard(node):
            return
        try:
            outcome = await asyncio.to_thread(apply_notice, self._home, node, notice.data, self._refusals)
            membership = await self._follower.membership()
            # Only where that node alone can hear it: the asker may name any subject for the answer.
            if outcome is not Outcome.REFUSED and membership.sequence and notice.is_from(node):
                await notice.answer(membership.node.encode())
        except (OperatorError, StoreError, StoppedError) as error:
            logger.warning("a notice of the node %s was not applied: %s", node, error)
        except Exception as error:  # noqa: BLE001 -- the library says in many ways that the connection is gone
            logger.debug("a notice was not answered: %s", error)

    def _is_heard(self, node: str) -> bool:
        """Tell whether another notice of a node is looked at: some are in each second, since others wait for them."""
        second = int(asyncio.get_running_loop().time())
        if self._heard[0] != second:
            self._heard = (second, Counter())
        self._heard[1][node] += 1
        return self._heard[1][node] <= NOTICES_MAX

    async def _tell(self, membership: Membership, pending: PendingChange, others: int) -> set[str]:
        key = await asyncio.to_thread(load_node_key, self._home)
        notice = _message_of(pending, membership, key, previous="", is_notice=True)
        connection = await self._engine.connected(NOTICE_S)
        subject = self._subjects.urgent(membership.node)
        # This node hears its own notice as well.
        answers = await connection.ask_all(subject, notice, wanted=others + 1, timeout_s=NOTICE_S)
        return {answer.decode("ascii", "replace") for answer in answers}

    async def _is_committed(self, change_id: str) -> bool:
        try:
            async with asyncio.timeout(STREAM_S), self._has_committed:
                while not await asyncio.to_thread(_was_applied, self._home, change_id):
                    await self._has_committed.wait()
        except TimeoutError:
            return False
        return True

    async def _commit_next(self) -> bool:
        """Put the oldest pending change of this node into the stream; False if there is none.

        Raises:
            NotPublishedError: It is not in the stream yet.
            UnknownOutcomeError: It may be.
        """
        if await asyncio.to_thread(_oldest, self._home) is None:
            return False
        async with self._turns.one():
            await self.commit_all()
        return True

    async def commit_all(self) -> None:
        """Put all pending changes of this node into the stream; within a turn.

        Raises:
            NotPublishedError: One is not in the stream yet.
            UnknownOutcomeError: It may be.
        """
        before = ""
        while (pending := await asyncio.to_thread(_oldest, self._home)) is not None:
            if pending.key == before:
                raise NotPublishedError("a pending change of this node does not come into the stream")
            before, membership = pending.key, await self._follower.membership()
            if pending.rows:
                await self._commit(pending, membership)
            else:
                await asyncio.to_thread(forget_pending, self._home, pending.key)
        async with self._has_committed:
            self._has_committed.notify_all()

    async def _commit(self, pending: PendingChange, membership: Membership) -> None:
        key = await asyncio.to_thread(load_node_key, self._home)
        try:
            message = _message_of(pending, membership, key, previous=membership.sha256, is_notice=False)
        except MessageError as error:
            raise NotPublishedError(str(error)) from error
        subject = self._subjects.change(ChangeKind.TAKE, membership.node)
        position = await self._publisher.publish(subject, message, membership.sequence, self._turns.left_s)
        self._follower.expect(position)
        await self._engine.now.tell(self._subjects.news, b"")
        await self._follower.reached(position, STREAM_S)


def _message_of(
    pending: PendingChange, membership: Membership, key: Ed25519PrivateKey, *, previous: str, is_notice: bool
) -> bytes:
    """Return a pending change as a message.

    Raises:
        MessageError: It does not fit.
    """
    body = ChangeBody(
        fleet=membership.fleet,
        id=pending.id,
        node=membership.node,
        kind=ChangeKind.TAKE,
        by=pending.by,
        at=pending.at,
        previous=previous,
        after=membership.sequence,
        rows=pending.asked if is_notice else pending.rows,
        events=pending.events,
        audit=pending.audit,
    )
    return encode_change(body, key)


def _read(home: Home, change_id: str) -> tuple[Membership, list[str], PendingChange | None]:
    """Return our place, the names of the other nodes that belong to the fleet, and a pending change."""
    with closing(open_store(home)) as state:
        membership = state.fleet.require_membership()
        others = [one.name for one in state.fleet.nodes() if one.revoked_at is None and one.name != membership.node]
        key = key_of_change(membership.node, change_id)
        found = next((one for one in list_pending(state) if one.key == key), None)
        return membership, others, found


def _was_applied(home: Home, change_id: str) -> bool:
    """Tell whether the stream had a change of this node."""
    with closing(open_store(home)) as state:
        return state.fleet.was_applied(key_of_change(state.fleet.require_membership().node, change_id))


def _oldest(home: Home) -> PendingChange | None:
    """Return the oldest pending change that was made on this node."""
    with closing(open_store(home)) as state:
        node = state.fleet.require_membership().node
        return next((one for one in list_pending(state) if one.node == node), None)
