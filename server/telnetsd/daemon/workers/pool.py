"""The processes that serve a server's connections: this process alone, or several workers (see `supervisor`)."""

import asyncio
import socket
from functools import partial
from typing import Final, Protocol

from telnetsd.administration.installation.generation import Generation
from telnetsd.control.server import WatchableSessions
from telnetsd.daemon.workers.process import ServingProcess
from telnetsd.events.reason import ReloadReason
from telnetsd.lines.directory import LocalDirectory
from telnetsd.listener.endpoint import Endpoint
from telnetsd.rpc.messages import Announce

STOP_TIMEOUT_S: Final = 5.0
WATCH_INTERVAL_S: Final = 0.25
"""How often clocks, state and files are checked: a session ends within a second of the reason for it."""

Listeners = list[tuple[socket.socket, Endpoint]]
"""Listening sockets, each with its endpoint."""


class WorkerPool(Protocol):
    """Accepts connections and runs their sessions."""

    @property
    def sessions(self) -> WatchableSessions:
        """Every open session."""

    @property
    def is_heard(self) -> bool:
        """Whether a process that accepts connections has recently given a sign of life."""

    async def start(self, listeners: Listeners) -> None:
        """Accept connections from now on.

        Raises:
            OperatorError: That is not possible.
        """

    async def adopt(self, generation: Generation, reason: ReloadReason) -> None:
        """Serve with another generation."""

    async def tick(self) -> None:
        """Check the state and the clocks."""

    def announce(self, news: Announce) -> None:
        """Show a line to every session; a lasting one also to each new session, until the next such announcement."""

    async def drain(self) -> None:
        """Accept no more connections, and return when the last open one has ended by itself."""

    async def stop(self) -> None:
        """Accept no more connections, end every session, and return when that is on the log."""


async def accept_on(process: ServingProcess, listeners: Listeners) -> list[asyncio.Server]:
    """Let a process accept connections."""
    loop = asyncio.get_running_loop()
    servers = []
    for one, endpoint in listeners:
        create = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
        servers.append(await create(partial(process.acceptor.accept, endpoint), sock=one))
    return servers


class OneProcess:
    """This process alone; see WorkerPool.

    Args:
        process: What it serves with.
        directory: The lines, all of them in this process.
    """

    def __init__(self, process: ServingProcess, directory: LocalDirectory) -> None:
        self._process = process
        self._directory = directory
        self._accepting: list[asyncio.Server] = []

    @property
    def sessions(self) -> WatchableSessions:
        """See WorkerPool."""
        return self._process.registry

    @property
    def is_heard(self) -> bool:
        """See WorkerPool; always true, since this process itself is asked."""
        return True

    async def start(self, listeners: Listeners) -> None:
        """See WorkerPool."""
        self._directory.adopt(self._process.generation.lines)
        self._accepting = await accept_on(self._process, listeners)

    async def adopt(self, generation: Generation, _: ReloadReason) -> None:
        """See WorkerPool."""
        self._directory.adopt(generation.lines)
        await self._process.adopt(generation)

    async def tick(self) -> None:
        """See WorkerPool."""
        await self._process.tick()
        self._directory.check_clocks()

    def announce(self, news: Announce) -> None:
        """See WorkerPool."""
        self._process.registry.announce(news)

    async def drain(self) -> None:
        """See WorkerPool."""
        for one in self._accepting:
            one.close()
        await self._process.acceptor.wait_empty()

    async def stop(self) -> None:
        """See WorkerPool."""
        for one in self._accepting:
            one.close()
        await self._process.acceptor.stop(STOP_TIMEOUT_S)
        await self._directory.close()
