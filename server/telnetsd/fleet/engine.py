"""The node's way to the engine: one connection that is watched, and replaced by another one when it is of no use.

The client library does not notice a server that hangs behind TLS. So this goes to the server and back twice a second;
after two misses the connection is dropped, and the next server gets its turn.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from telnetsd.fleet.connection import Access, Connection, EngineError, NoAnswerError, open_connection

WATCH_S: Final = 0.5
_PING_S: Final = 0.4
_MISSES_MAX: Final = 2
_RETRY_MIN_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0

logger = logging.getLogger(__name__)

Begin = Callable[[Connection], Awaitable[None]]
"""Called with each new connection before it is used: to subscribe to what is heard on it."""


class Engine:
    """The engine, as a node reaches it.

    Args:
        access: The servers, and what the node shows to them.
        begin: Called with each new connection.
    """

    def __init__(self, access: Access, begin: Begin) -> None:
        self._access = access
        self._begin = begin
        self._connection: Connection | None = None
        self._has_connection = asyncio.Event()
        self.problem = "it was not reached yet"

    @property
    def server(self) -> str:
        """The server to which there is a connection; empty: none."""
        return self._connection.server if self._connection is not None else ""

    @property
    def now(self) -> Connection:
        """The connection.

        Raises:
            NoAnswerError: There is none.
        """
        if self._connection is None:
            raise NoAnswerError(f"the engine cannot be reached: {self.problem}")
        return self._connection

    async def connected(self, timeout_s: float) -> Connection:
        """Wait for a connection.

        Raises:
            NoAnswerError: There is none in time.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._has_connection.wait()
        return self.now

    async def run(self) -> None:
        """Keep a connection to one of the servers, until this is cancelled."""
        servers, retry_s = list(self._access.servers), _RETRY_MIN_S
        while True:
            try:
                connection = await open_connection(self._access, servers[0])
                retry_s = _RETRY_MIN_S
                await self._use(connection)
                self.problem = f"{connection.server} does not answer any more"
            except EngineError as error:
                self.problem = str(error)
            logger.debug("the engine: %s", self.problem)
            servers.append(servers.pop(0))
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _RETRY_MAX_S)

    async def _use(self, connection: Connection) -> None:
        try:
            await self._begin(connection)
            await connection.ping(_PING_S * _MISSES_MAX)
            self._connection = connection
            self._has_connection.set()
            await _watch(connection)
        finally:
            self._has_connection.clear()
            self._connection = None
            connection.abort()


async def _watch(connection: Connection) -> None:
    """Return when a connection is of no use any more."""
    misses = 0
    while misses < _MISSES_MAX and connection.is_open:
        try:
            await connection.ping(_PING_S)
        except NoAnswerError:
            misses += 1
        else:
            misses = 0
            await asyncio.sleep(WATCH_S)
