"""Identify the client that presented a certificate, on arrival or in an open session: at once, or in a thread.

Slow validation runs in a thread, so that a client that presents a lot of data keeps no other client waiting. The
decision itself is made on the event loop, by the generation that serves then.
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
    """The lock for the one connection of a source that is judged, and how many connections use or await it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Identification:
    """The identification of one process.

    Args:
        shared: Holds the generation that serves.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        # One thread: clients that present a lot of data wait for each other, and no other client does.
        self._judging = ThreadPoolExecutor(max_workers=1, thread_name_prefix="identity")
        self._judging_again = ThreadPoolExecutor(max_workers=1, thread_name_prefix="identity-again")
        self._turns_of: dict[str, _SourceTurn] = {}

    def at_once(self, peer: PeerCertificate | None, endpoint: Endpoint) -> Identity | None:
        """Return the identity that `peer` leads to at an endpoint, which may be a refusal; None if it takes long."""
        stages, now = self._shared.stages, datetime.now(UTC)
        return None if stages.identifier.is_costly(peer, now) else stages.identify(peer, endpoint, now)

    async def again(self, peer: PeerCertificate | None, endpoint: Endpoint) -> Identity:
        """Identify the client of an open session: see `arriving`; this does not wait for arriving connections."""
        return await self._in_thread(self._judging_again, peer, endpoint)

    async def arriving(self, peer: PeerCertificate | None, endpoint: Endpoint, source: Source) -> Identity:
        """Return the identity that `peer` leads to at an endpoint, by the generation that serves now.

        One connection of a source is judged at a time, so that a source with many connections does not keep others
        waiting. The decision itself is made in the same turn of the event loop as the return from here.
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
        """Stop judging certificates."""
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
            # A verdict for an open session is kept, even if the caller no longer waits for it.
            await (asyncio.shield(judged) if judging is self._judging_again else judged)


def _keep(identifier: Identifier, peer: PeerCertificate, judged: asyncio.Future[Verdict]) -> None:
    if not judged.cancelled() and judged.exception() is None:
        identifier.keep(peer, judged.result())
