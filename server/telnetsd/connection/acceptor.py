"""Accept connections: count each one, then turn it away, or admit it and start its login."""

import asyncio
import resource
import time
from typing import Final

from telnetsd.connection.identification import Identification
from telnetsd.connection.login import Login
from telnetsd.connection.messages import STOPPING
from telnetsd.connection.stages import Shared, Stages
from telnetsd.events.reason import EndReason, TurnedAwayReason
from telnetsd.incoming import IncomingProtocol
from telnetsd.listener.admission import SPARE_DESCRIPTORS, Admission, Terms
from telnetsd.listener.arrival import Arrival, Origin
from telnetsd.listener.endpoint import Endpoint
from telnetsd.tls.transport import TlsTransport

LAST_WORDS_S: Final = 1.0


class Acceptor:
    """Accepts the connections of a process.

    Args:
        stages: The first generation.

    Attributes:
        admission: The limits.
        identification: Identifies the client that presented a certificate.
    """

    def __init__(self, stages: Stages) -> None:
        self.admission = Admission(_terms(stages))
        self._shared = Shared(stages, self.admission)
        self.identification = Identification(self._shared)
        self._arriving: set[Arrival] = set()

    @property
    def is_empty(self) -> bool:
        """Whether no connection is open, or about to be."""
        return not self._shared.open and not self._shared.tasks and not self._arriving

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""
        while self._shared.open or self._shared.tasks:
            self._shared.changed.clear()
            await self._shared.changed.wait()

    def adopt(self, stages: Stages) -> None:
        """Use the stages of another generation for every connection from now on."""
        self._shared.adopt(stages)
        self.admission.adopt(_terms(stages))

    def accept(self, endpoint: Endpoint) -> IncomingProtocol:
        """Return the protocol of a new raw connection, for the event loop's server."""
        timeout_s = self._shared.stages.settings.tls.handshake_timeout_s
        return Arrival(endpoint, self._receive, self._refuse_proxy, self._arriving, timeout_s)

    def tick(self) -> None:
        """Record the connections that did not become sessions, if the interval is over."""
        self._shared.turned_away.tick(time.monotonic())

    async def stop(self, timeout_s: float) -> None:
        """End every connection: sessions with a message, and after `timeout_s` seconds those that remain.

        When it returns, the end of every connection has been recorded.
        """
        shared = self._shared
        shared.is_stopping = True
        shared.stages.registry.end_all(EndReason.SERVER_STOPPED, STOPPING)
        if shared.tasks:
            await asyncio.wait(shared.tasks, timeout=timeout_s)
        left: tuple[TlsTransport | Arrival, ...] = (*self._shared.open, *self._arriving)
        for one in left:
            one.abort()
        if shared.tasks:
            # A connection that has only just begun sees that the server is stopping, and says so.
            await asyncio.wait(shared.tasks, timeout=LAST_WORDS_S)
        for task in shared.tasks:
            task.cancel()
        await asyncio.gather(*shared.tasks, return_exceptions=True)
        await self.wait_empty()
        shared.turned_away.flush()
        self.identification.stop()

    def _receive(self, _: asyncio.Transport, origin: Origin) -> IncomingProtocol | None:
        """Accept a raw connection, or turn it away."""
        slot = self.admission.admit(origin.address)
        if isinstance(slot, TurnedAwayReason):
            self._shared.turned_away.note_turned_away(origin, slot)
            return None
        stages = self._shared.stages
        login = Login(self._shared, self.identification, origin, slot)
        transport = TlsTransport(stages.context, login, stages.settings.tls)
        self._shared.open.add(transport)
        return transport

    def _refuse_proxy(self, origin: Origin, why: str) -> None:
        self._shared.turned_away.note_turned_away(origin, TurnedAwayReason.WRONG_PROXY_HEADER, why)


def _terms(stages: Stages) -> Terms:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(1, descriptors - SPARE_DESCRIPTORS)
    return Terms(stages.settings.limits, stages.settings.listener.max_connections, room)
