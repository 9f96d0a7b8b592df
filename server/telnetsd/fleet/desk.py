"""Where processes of this node that make a change ask the agent: see `administration.replication.agent_messages`."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, assert_never

import msgspec

from telnetsd.administration.replication.agent_messages import (
    AgentAnswer,
    AnyAgentRequest,
    BeginTurn,
    CatchUp,
    DescribeFleet,
    FleetState,
    PublishChange,
    SpreadChange,
)
from telnetsd.errors import OperatorError, StoreError
from telnetsd.fleet.connection import EngineError
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.follower import Follower
from telnetsd.fleet.publishing import NotPublishedError, Publisher, UnknownOutcomeError
from telnetsd.fleet.spreading import Spreader
from telnetsd.fleet.subjects import Subjects
from telnetsd.fleet.turns import Turns

_UNKNOWN: Final = "whether it was changed is not known yet: {}; see: telnetsd fleet status"
_decoder: Final = msgspec.json.Decoder(AnyAgentRequest)


class Desk:
    """Answers the processes of this node.

    Args:
        engine: The engine.
        subjects: Those of the fleet.
        follower: Applies what is in the stream.
        turns: Those of this node.
        publisher: Puts changes into the stream.
        spreader: Brings changes that take access away to the others.
        catch_up: Waits until this node has every change.
        describe: Returns the fleet as this node sees it.
    """

    def __init__(
        self,
        engine: Engine,
        subjects: Subjects,
        *,
        follower: Follower,
        turns: Turns,
        publisher: Publisher,
        spreader: Spreader,
        catch_up: Callable[[], Awaitable[None]],
        describe: Callable[[], Awaitable[FleetState]],
    ) -> None:
        self._engine = engine
        self._subjects = subjects
        self._follower = follower
        self._turns = turns
        self._publisher = publisher
        self._spreader = spreader
        self._catch_up = catch_up
        self._describe = describe

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests on a connection, until it is closed; its turn ends then."""
        try:
            async with contextlib.AsyncExitStack() as turn:
                while line := await reader.readline():
                    answer = await self._answer(line, turn)
                    writer.write(msgspec.json.encode(answer) + b"\n")
                    await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes, turn: contextlib.AsyncExitStack) -> AgentAnswer:
        try:
            request = _decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            return AgentAnswer(error=f"the agent does not know this request ({error}); restart the server")
        try:
            return AgentAnswer(ok=msgspec.Raw(msgspec.json.encode(await self._handle(request, turn))))
        except UnknownOutcomeError as error:
            return AgentAnswer(error=_UNKNOWN.format(error), is_unknown=True)
        except (NotPublishedError, EngineError, OperatorError, StoreError) as error:
            return AgentAnswer(error=str(error))

    async def _handle(self, request: AnyAgentRequest, turn: contextlib.AsyncExitStack) -> object:
        match request:
            case BeginTurn():
                await turn.enter_async_context(self._turns.one())
                # What was taken away here before comes before what is given now.
                await self._spreader.commit_all()
                return None
            case PublishChange():
                return await self._publish(request)
            case SpreadChange():
                return await self._spreader.spread(request.id)
            case CatchUp():
                await self._catch_up()
                return None
            case DescribeFleet():
                return await self._describe()
            case _:
                assert_never(request)

    async def _publish(self, request: PublishChange) -> int:
        membership = await self._follower.membership()
        subject = self._subjects.change(request.kind, membership.node)
        position = await self._publisher.publish(subject, request.message, request.after, self._turns.left_s)
        self._follower.expect(position)
        with contextlib.suppress(EngineError):
            await self._engine.now.tell(self._subjects.news, b"")
        return position
