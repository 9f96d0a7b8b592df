"""Who presented a certificate, for a connection that arrives and for a session that is open: at once, or in a thread.

What takes long is done in a thread, so that one client that presents much keeps no other waiting. The decision itself
is made on the event loop, by the generation that serves then.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from telnetsd.connection.stages import Shared
from telnetsd.identity.identify import Identifier, Verdict
from telnetsd.identity.outcome import Identity
from telnetsd.listener.admission import Source
from telnetsd.listener.endpoint import Endpoint
from telnetsd.pki.certificate import PeerCertificate


@dataclass(slots=True)
class _SourceTurn:
    """Which connection of a source is judged, and how many wait for that."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Identification:
    """The one of a process.

    Args:
        shared: The generation that serves.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        # One thread: clients that present much wait for each other, and no other client does.
        self._judging = ThreadPoolExecutor(max_workers=1, thread_name_prefix="identity")
        self._judging_again = ThreadPoolExecutor(max_workers=1, thread_name_prefix="identity-again")
        self._turns_of: dict[str, _SourceTurn] = {}

    def at_once(self, peer: PeerCertificate | None, endpoint: Endpoint) -> Identity | None:
        """Say who presented `peer`, and whether it may come in by an endpoint; None where that takes long."""
        stages, now = self._shared.stages, datetime.now(UTC)
        return None if stages.identifier.is_costly(peer, now) else stages.identify(peer, endpoint, now)

    async def again(self, peer: PeerCertificate | None, endpoint: Endpoint) -> Identity:
        """Say who presented what an open session has: see `arriving`; no arriving connection is waited for."""
        return await self._in_thread(self._judging_again, peer, endpoint)

    async def arriving(self, peer: PeerCertificate | None, endpoint: Endpoint, source: Source) -> Identity:
        """Say who presented `peer`, and whether it may come in by an endpoint; by the generation that serves now.

        One connection of a source at a time: others are not kept waiting by how many it has. The decision itself is
        made in one turn with the return from here.
        """
        turn = self._turns_of.setdefault(source.name, _SourceTurn())
        turn.waiting += 1
        try:
            async with turn.lock:
                return await self._in_thread(self._judging, peer, endpoint)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns_of[source.name]

    def stop(self) -> None:
        """Judge nothing more."""
        for judging in (self._judging, self._judging_again):
            judging.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(
        self, judging: ThreadPoolExecutor, peer: PeerCertificate | None, endpoint: Endpoint
    ) -> Identity:
        while True:
            identity = self.at_once(peer, endpoint)
            if identity is not None or peer is None:
                return identity or self._shared.stages.identify(peer, endpoint, datetime.now(UTC))
            identifier = self._shared.stages.identifier
            judge = partial(identifier.judge, peer, datetime.now(UTC))
            judged = asyncio.get_running_loop().run_in_executor(judging, judge)
            judged.add_done_callback(partial(_keep, identifier, peer))
            # What is judged for an open session is kept, also where nobody waits for it any more.
            await (asyncio.shield(judged) if judging is self._judging_again else judged)


def _keep(identifier: Identifier, peer: PeerCertificate, judged: asyncio.Future[Verdict]) -> None:
    if not judged.cancelled() and judged.exception() is None:
        identifier.keep(peer, judged.result())
