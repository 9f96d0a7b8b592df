"""What a connection goes through: the stages of one generation, and what all connections of a process share."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Services
from telnetsd.config.settings import Settings
from telnetsd.connection.staleness import Staleness
from telnetsd.connection.turned_away import TurnedAway
from telnetsd.identity.identify import Identifier, restrict
from telnetsd.identity.outcome import Admitted, Identity
from telnetsd.listener.admission import Admission, Source
from telnetsd.listener.endpoint import Endpoint
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.session.pace import Pace
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.visit import GuestTerms
from telnetsd.telnet.turns import Turns
from telnetsd.tls.engine import ServerContext
from telnetsd.tls.transport import TlsTransport

GUESTS_BURST_S: Final = 10
"""How many seconds' worth of lines all guests together may be ahead of their pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What a connection goes through; one generation."""

    context: ServerContext
    identifier: Identifier
    services: Services
    settings: Settings
    registry: SessionRegistry
    trail: Trail
    staleness: Staleness

    def identify(self, peer: PeerCertificate | None, endpoint: Endpoint, at: datetime) -> Identity:
        """Return the identity that `peer` leads to at an endpoint, which may be a refusal."""
        identity, asked = self.identifier.identify(peer, at), endpoint.settings

        def has_role(admitted: Admitted) -> bool:
            return not asked.roles or not self.services.table.roles_of(admitted).isdisjoint(asked.roles)

        return restrict(identity, needs_certificate=asked.require_certificate, has_role=has_role)


class Shared:
    """What all connections of a process share.

    Args:
        stages: The first generation.
        admission: The limits.

    Attributes:
        stages: The generation that serves now.
        is_stopping: Whether the server is about to stop.
    """

    def __init__(self, stages: Stages, admission: Admission) -> None:
        self.stages = stages
        self.admission = admission
        self.turned_away = TurnedAway(stages.trail, time.monotonic())
        self.guest_turns = Turns()
        self.is_stopping = False
        self._guest_pace = _make_guest_pace(stages)
        self.open: set[TlsTransport] = set()
        """The raw connections that are open."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        """Set when a connection has ended."""

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """The tasks of connections whose handshake is complete."""
        return tuple(self._tasks)

    def adopt(self, stages: Stages) -> None:
        """Use the stages of another generation for every connection from now on."""
        before, self.stages = self.stages.settings.limits, stages
        if stages.settings.limits.all_guests_lines_per_s != before.all_guests_lines_per_s:
            # Otherwise connected guests and new guests continue to share one.
            self._guest_pace = _make_guest_pace(stages)

    def start(self, serving: Coroutine[object, object, None]) -> None:
        """Serve a connection in a task of its own."""
        task = asyncio.get_running_loop().create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def guest_terms(self, source: Source) -> GuestTerms:
        """Return what a guest shares with others."""
        return GuestTerms(self._guest_pace, partial(self.may_log, source, is_command=True))

    def may_log(self, source: Source, *, is_command: bool) -> bool:
        """Tell whether a client without a name may use more of the log; what may not be logged is counted."""
        if self.admission.may_log(source):
            return True
        self.turned_away.note_unlogged(source.name, is_command=is_command)
        return False

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.changed.set()


def _make_guest_pace(stages: Stages) -> Pace:
    per_s = stages.settings.limits.all_guests_lines_per_s
    return Pace(per_s, round(GUESTS_BURST_S * per_s))
