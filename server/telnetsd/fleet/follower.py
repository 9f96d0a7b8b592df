"""Following the stream of changes: it is read by position, and each change is applied to our own tables.

There is no consumer in the engine that could stall. A node that has put a change into the stream tells the others its
position, which makes it quick; once a second everyone asks where the stream ends, which makes it sure.
"""

import asyncio
import contextlib
import logging
from contextlib import closing
from typing import Final

from telnetsd.administration.installation.applying import (
    Outcome,
    Refusals,
    StoppedError,
    StreamMessage,
    apply_message,
    record_stop,
)
from telnetsd.administration.replication.message import message_sha256
from telnetsd.errors import OperatorError, StoreError
from telnetsd.events.reason import FleetStop
from telnetsd.files.home import Home
from telnetsd.fleet.connection import Connection, EngineError, NoAnswerError, Received, Stored
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.subjects import Subjects
from telnetsd.state.fleet import Membership
from telnetsd.state.opening import open_store

POLL_S: Final = 1.0
ANSWER_S: Final = 2.0
_AT_ONCE: Final = 16
"""How many messages are asked for at the same time."""
_LAG_RETRIES: Final = 100
_LAG_S: Final = 0.01
_SHORTER_MAX: Final = 10
"""How many times in a row the stream may seem to end before our position: its leader may just have changed."""

logger = logging.getLogger(__name__)


class Follower:
    """Keeps our tables as the stream of changes says.

    Args:
        home: The installation.
        engine: The engine.
        subjects: Those of the fleet.
    """

    def __init__(self, home: Home, engine: Engine, subjects: Subjects) -> None:
        self._home = home
        self._engine = engine
        self._subjects = subjects
        self._news = asyncio.Event()
        self._moved = asyncio.Condition()
        self._known_end = 0
        self._refusals = Refusals()
        self._shorter = 0
        self._checked: Connection | None = None
        self._told = ""
        self.problem = ""

    @property
    def end(self) -> int:
        """Where the stream ends, as far as is known."""
        return self._known_end

    async def hear(self, news: Received) -> None:
        """Look at the stream: another node says that it has something new. Nothing that it says is believed."""
        if not news.data:
            self._news.set()

    def expect(self, position: int) -> None:
        """Note that the stream has a message at a position."""
        self._known_end = max(self._known_end, position)
        self._news.set()

    async def run(self) -> None:
        """Follow the stream until this is cancelled, or until this node must not apply the next change."""
        while not self.problem:
            self._news.clear()
            try:
                await self._catch_up(await self._engine.connected(POLL_S))
                self._told = ""
            except StoppedError as error:
                await self._stop(error)
            except EngineError as error:
                logger.debug("following: %s", error)
                await asyncio.sleep(_LAG_S)
            except (OperatorError, StoreError, OSError) as error:
                if str(error) != self._told:
                    self._told = str(error)
                    logger.warning("a change of the fleet was not applied: %s; it is tried again", error)
                await asyncio.sleep(POLL_S)
            # Any node may say at any rate that there is something new.
            await asyncio.sleep(_LAG_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL_S)

    async def caught_up(self, timeout_s: float) -> None:
        """Wait until this node has every change that is in the stream now.

        Raises:
            EngineError: The engine does not say where the stream ends, or this takes too long.
        """
        connection = await self._engine.connected(timeout_s)
        end = await connection.last_position(self._subjects.state, ANSWER_S)
        self.expect(end)
        await self.reached(end, timeout_s)

    async def reached(self, position: int, timeout_s: float) -> None:
        """Wait until this node has the change at a position.

        Raises:
            NoAnswerError: This takes too long, or this node applies no more changes.
        """
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                while (await self.membership()).sequence < position and not self.problem:
                    await self._moved.wait()
        except TimeoutError:
            raise NoAnswerError(f"change {position} was not applied here in time") from None
        if self.problem:
            raise NoAnswerError(f"this node applies no more changes: {self.problem}")

    async def moves(self, timeout_s: float) -> None:
        """Wait until this node gets another change, or until the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait()

    async def membership(self) -> Membership:
        """Return our place in the fleet.

        Raises:
            OperatorError: We are in none.
        """
        return await asyncio.to_thread(_read_membership, self._home)

    async def _catch_up(self, connection: Connection) -> None:
        membership = await self.membership()
        if connection is not self._checked:
            await self._check_history(connection, membership)
            self._checked = connection
        end = self._known_end = await connection.last_position(self._subjects.state, ANSWER_S)
        self._check_end(membership.sequence)
        while (position := (await self.membership()).sequence) < end:
            wanted = range(position + 1, min(position + _AT_ONCE, end) + 1)
            reading = [asyncio.ensure_future(self._read(connection, one)) for one in wanted]
            try:
                for one in reading:
                    await self._apply(await one)
            finally:
                for one in reading:
                    one.cancel()
                await asyncio.gather(*reading, return_exceptions=True)

    async def _check_history(self, connection: Connection, membership: Membership) -> None:
        """Compare the last change that we have with the one that the stream has there.

        Raises:
            StoppedError: It is another one.
        """
        if not membership.sequence:
            return
        found = await connection.at(self._subjects.state, membership.sequence, ANSWER_S)
        if found is not None and message_sha256(found.data) != membership.sha256:
            words = f"change {membership.sequence} in the stream is another one than here"
            raise StoppedError(FleetStop.OTHER_HISTORY, words)

    def _check_end(self, position: int) -> None:
        """Note whether the stream ends before our position.

        Raises:
            StoppedError: It does, again and again.
        """
        self._shorter = self._shorter + 1 if self._known_end < position else 0
        if self._shorter >= _SHORTER_MAX:
            words = f"the stream ends at change {self._known_end}, and this node has {position}"
            raise StoppedError(FleetStop.LOST_CHANGES, words)

    async def _read(self, connection: Connection, position: int) -> Stored:
        """Return the message at a position that the stream has; a server of the engine may lag a little.

        Raises:
            EngineError: It is not there.
        """
        for _ in range(_LAG_RETRIES):
            found = await connection.at(self._subjects.state, position, ANSWER_S)
            if found is not None:
                return found
            await asyncio.sleep(_LAG_S)
        raise EngineError(f"the stream has no change {position}")

    async def _apply(self, found: Stored) -> None:
        kind, node = self._subjects.parse_change(found.subject)
        message = StreamMessage(found.position, kind, node, found.data)
        outcome = await asyncio.to_thread(apply_message, self._home, message, self._refusals)
        if outcome is Outcome.REFUSED:
            logger.debug("change %d of the fleet does not count", found.position)
        async with self._moved:
            self._moved.notify_all()

    async def _stop(self, error: StoppedError) -> None:
        self.problem = str(error)
        logger.error("no more changes of the fleet are applied: %s; %s", error, error.reason.remedy)
        try:
            await asyncio.to_thread(record_stop, self._home, error)
        except OperatorError as failure:
            logger.warning("%s", failure)
        async with self._moved:
            self._moved.notify_all()


def _read_membership(home: Home) -> Membership:
    with closing(open_store(home)) as state:
        return state.fleet.require_membership()
