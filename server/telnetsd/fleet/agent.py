"""The agent of a node: a process of its own, the only one of the node that talks to the engine.

It is a child of the server, so that what the engine does never delays a session; a verb that changes something while
no server runs starts one for itself. Several may run at the same time: what a node has is in its database.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Coroutine
from contextlib import closing
from typing import Final

from telnetsd.administration.replication.agent_messages import LINE_MAX_BYTES, FleetState, NodeStatus
from telnetsd.administration.replication.pending import list_pending
from telnetsd.config.loading import load_settings
from telnetsd.files.freshness import Freshness
from telnetsd.files.home import Home
from telnetsd.fleet.access import load_access
from telnetsd.fleet.connection import Connection, EngineError, NoAnswerError
from telnetsd.fleet.desk import Desk
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.follower import ANSWER_S, Follower
from telnetsd.fleet.founding import write_first_state
from telnetsd.fleet.gate import Gate
from telnetsd.fleet.life import Life
from telnetsd.fleet.publishing import Publisher
from telnetsd.fleet.spreading import Spreader
from telnetsd.fleet.subjects import Subjects
from telnetsd.fleet.turns import Turns
from telnetsd.listener.sockets import open_unix_listener
from telnetsd.state.fleet import FleetNode, Membership
from telnetsd.state.opening import open_store

CATCH_UP_S: Final = 25.0
_RETRY_S: Final = 0.2
_STDIN: Final = 0

logger = logging.getLogger(__name__)


class Agent:
    """The parts of an agent.

    Args:
        home: The installation.

    Raises:
        OperatorError: The home folder is of no fleet, or something is missing.
    """

    def __init__(self, home: Home) -> None:
        fleet = load_settings(home.config_file).fleet
        self._home = home
        self._membership = _read_membership(home)
        self._subjects = Subjects(self._membership.fleet)
        self._access = load_access(home, fleet, self._membership)
        self._engine = Engine(self._access, self._begin)
        node = self._membership.node
        self._has_state = asyncio.Event()
        self._follower = Follower(home, self._engine, self._subjects)
        freshness = Freshness(home.fleet_freshness)
        self._life = Life(self._engine, self._follower, self._subjects, node, freshness)
        turns = Turns(self._engine, self._follower, self._subjects, node)
        publisher = Publisher(self._engine, self._subjects)
        self._spreader = Spreader(
            home, self._engine, self._subjects, follower=self._follower, turns=turns, publisher=publisher
        )
        self._desk = Desk(
            self._engine,
            self._subjects,
            follower=self._follower,
            turns=turns,
            publisher=publisher,
            spreader=self._spreader,
            catch_up=self._catch_up,
            describe=self._describe,
        )

    async def run(self) -> None:
        """Serve the processes of this node on a socket in the home folder, until standard input ends."""
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        # A signal from a terminal is for the server, which closes our standard input.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)
        loop.add_reader(_STDIN, stopping.set)
        listener = open_unix_listener(self._home.fleet_socket)
        server = await asyncio.start_unix_server(self._desk.serve, sock=listener, limit=LINE_MAX_BYTES)
        try:
            await self._work_until(stopping.wait())
        finally:
            server.close()
            self._home.fleet_socket.unlink(missing_ok=True)

    async def run_once(self) -> None:
        """Serve one process, on standard input, until it closes that."""
        connection = socket.socket(fileno=_STDIN)
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_MAX_BYTES)
        await self._work_until(self._desk.serve(reader, writer))

    async def _work_until(self, over: Coroutine[object, object, object]) -> None:
        """Work until `over` is done.

        Raises: What ended the work before; nothing should.
        """
        ending = asyncio.ensure_future(over)
        working = [asyncio.ensure_future(one) for one in (self._engine.run(), self._work())]
        try:
            done, _ = await asyncio.wait({ending, *working}, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in (ending, *working):
                one.cancel()
            await asyncio.gather(ending, *working, return_exceptions=True)

    async def _work(self) -> None:
        if self._membership.is_founding:
            await write_first_state(self._home, self._access, self._subjects)
        self._has_state.set()
        work = [self._follower.run(), self._life.run(), self._spreader.run()]
        if self._home.fleet_authority_keys.exists():
            work.append(Gate(self._home, self._access, self._follower).run())
        await asyncio.gather(*work)

    async def _begin(self, connection: Connection) -> None:
        await connection.hear(self._subjects.news, self._follower.hear)
        await connection.hear(self._subjects.urgent("*"), self._spreader.hear)

    async def _catch_up(self) -> None:
        """Wait until this node has every change.

        Raises:
            EngineError: This takes too long.
        """
        problem = f"the fleet has no stream yet: {self._engine.problem}"
        try:
            async with asyncio.timeout(CATCH_UP_S):
                await self._has_state.wait()
                while not self._follower.problem:
                    try:
                        await self._follower.caught_up(CATCH_UP_S)
                        await self._life.beat()
                    except EngineError as error:
                        # The servers of the engine may be about to agree on who leads.
                        problem = str(error)
                        await asyncio.sleep(_RETRY_S)
                    else:
                        return
        except TimeoutError:
            raise NoAnswerError(problem) from None
        raise NoAnswerError(f"this node applies no more changes: {self._follower.problem}")

    async def _describe(self) -> FleetState:
        nodes, waiting = await asyncio.to_thread(_read_nodes, self._home)
        last: int | None = None
        statuses = [_unseen(one) for one in nodes]
        with contextlib.suppress(EngineError):
            connection = await self._engine.connected(ANSWER_S)
            last = await connection.last_position(self._subjects.state, ANSWER_S)
            await self._life.beat()
            statuses = await self._life.read(nodes)
        position = (await self._follower.membership()).sequence
        return FleetState(
            server=self._engine.server,
            is_current=self._life.is_fresh and position == last,
            position=position,
            last=last,
            problem=self._follower.problem or ("" if self._engine.server else self._engine.problem),
            waiting=waiting,
            nodes=statuses,
        )


def run_agent(home: Home, *, is_once: bool) -> None:
    """Run the agent of a node until it is no longer needed.

    Raises:
        OperatorError: The home folder is of no fleet, or something is missing.
    """
    # The library logs what its caller hears of anyway; and asyncio that a connection which ended has ended.
    for name in ("nats", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.run(_run(home, is_once=is_once))


async def _run(home: Home, *, is_once: bool) -> None:
    agent = Agent(home)
    await (agent.run_once() if is_once else agent.run())


def _read_membership(home: Home) -> Membership:
    with closing(open_store(home)) as state:
        return state.fleet.require_membership()


def _read_nodes(home: Home) -> tuple[list[FleetNode], int]:
    """Return the nodes that belong to the fleet, and how many of our changes are not in the stream yet."""
    with closing(open_store(home)) as state:
        node = state.fleet.require_membership().node
        waiting = sum(one.node == node for one in list_pending(state))
        return [one for one in state.fleet.nodes() if one.revoked_at is None], waiting


def _unseen(node: FleetNode) -> NodeStatus:
    capabilities = [one.value for one in node.capabilities]
    return NodeStatus(name=node.name, version="", capabilities=capabilities, seen_at="", lag=None)
