"""One connection, from its handshake to the end of its session: the only module that names every stage.

TLS, identity and session each return a value. This module passes it on, and records each event before the effect that
it describes. A connection that fails at any stage ends here, with a message to the peer and an event.
"""

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.audit.who import presented, who_is
from telnetsd.connection import messages
from telnetsd.connection.identification import Identification
from telnetsd.connection.messages import STOPPING, Refused
from telnetsd.connection.stages import Shared
from telnetsd.connection.turned_away import source_of
from telnetsd.events.context import SessionPart
from telnetsd.events.fields import timestamp
from telnetsd.events.of_sessions import SessionEnded, SessionRefused, SessionStarted
from telnetsd.events.reason import AdmissionReason, EndReason, TlsReason
from telnetsd.identity.outcome import GUEST_ROLE, Admitted, Guest, Identity, NamedUser, Refusal
from telnetsd.lines.table import LineTable
from telnetsd.listener.admission import Slot
from telnetsd.listener.arrival import Origin
from telnetsd.racing import unless
from telnetsd.session.greeting import AUDIT_UNAVAILABLE
from telnetsd.session.journal import Journal
from telnetsd.session.screen import make_screen
from telnetsd.session.session import Session
from telnetsd.session.session_id import new_session_id
from telnetsd.session.visit import Visit
from telnetsd.telnet.protocol import NvtProtocol
from telnetsd.tls.engine import TlsDetails, TlsError
from telnetsd.tls.transport import TlsTransport

GONE_EARLY: Final = "the connection was closed before its client was identified"

logger = logging.getLogger(__name__)


class Login:
    """One connection; see `tls.transport.TlsEvents`.

    Args:
        shared: What all connections share.
        identification: Identifies the client that presented a certificate.
        origin: Where the connection comes from.
        slot: What the connection counts against the limits.
    """

    __slots__ = ("_begun", "_handshake_s", "_identification", "_origin", "_shared", "_slot")

    def __init__(self, shared: Shared, identification: Identification, origin: Origin, slot: Slot) -> None:
        self._shared = shared
        self._identification = identification
        self._origin = origin
        self._slot = slot
        self._begun = asyncio.get_running_loop().time()
        self._handshake_s = 0.0

    # Called by the transport.

    def established(self, transport: TlsTransport) -> asyncio.Protocol:
        """See TlsEvents."""
        self._shared.admission.establish(self._slot)
        self._handshake_s = asyncio.get_running_loop().time() - self._begun
        protocol = NvtProtocol()
        self._shared.start(self._serve(transport, protocol))
        return protocol

    def failed(self, error: TlsError) -> None:
        """See TlsEvents."""
        shared, limits = self._shared, self._shared.stages.settings.limits
        shared.admission.establish(self._slot)
        is_late = error.reason is TlsReason.TIMEOUT
        seconds = limits.penalty_timeout_s if is_late else limits.penalty_handshake_s
        shared.admission.penalise(self._slot.source, seconds)
        words = error.reason.sentence
        message = f"{words} ({error.detail})" if error.detail else words
        shared.turned_away.note_failed(self._origin, error.reason, message)

    def lost(self, transport: TlsTransport) -> None:
        """See TlsEvents."""
        self._shared.open.discard(transport)
        self._shared.admission.leave(self._slot)
        self._shared.changed.set()

    # From identity to session.

    async def _serve(self, transport: TlsTransport, protocol: NvtProtocol) -> None:
        try:
            admitted = await self._admit(transport, protocol)
            if admitted is not None:
                await self._talk(*admitted)
        except AuditUnavailableError:
            _refuse(transport, protocol, [AUDIT_UNAVAILABLE])
        except Exception:
            logger.exception("a connection failed: internal error")
            event = SessionRefused(
                reason=AdmissionReason.INTERNAL_ERROR, message="the server failed to serve a connection"
            )
            self._shared.stages.trail.bound_to(source_of(self._origin)).record(event)
            _refuse(transport, protocol, ["refused: internal server error; tell the operator"])

    async def _admit(self, transport: TlsTransport, protocol: NvtProtocol) -> tuple[Session, int] | None:
        """Identify a client, and return its session and the round of checks that it belongs to; None for a refusal.

        Objects that only this step needs are released before the session begins, since it may last for days.
        """
        # Before the decision, which may take several turns: a round of checks after this misses the session.
        rounds, session_id = self._shared.stages.registry.rounds, new_session_id()
        journal = Journal(session_id)
        journal.debug("connection from %s: handshake in %.3f s", self._origin.shown, self._handshake_s)
        identity = await self._identify(transport, protocol)
        if identity is None:
            journal.debug("the client disconnected before it was identified")
            return None
        trail = self._trail_of(identity, session_id, transport.get_extra_info("tls"))
        admitted = self._decide(identity)
        if isinstance(admitted, Refused):
            journal.debug("is refused: %s", admitted.words[0])
            if admitted.event is not None:
                await trail.record(admitted.event)
            _refuse(transport, protocol, admitted.words)
            return None
        return await self._start_session(admitted, transport, protocol, trail, session_id), rounds

    async def _identify(self, transport: TlsTransport, protocol: NvtProtocol) -> Identity | None:
        """Identify a client; None if it disconnects first, since its certificate is then no longer judged."""
        endpoint, peer = self._origin.endpoint, transport.get_extra_info("peer_certificate")
        identity = self._identification.at_once(peer, endpoint)
        if identity is not None:
            return identity
        identity = await unless(
            protocol.wait_lost(), self._identification.arriving(peer, endpoint, self._slot.source)
        )
        if identity is None:
            shared = self._shared
            shared.admission.penalise(self._slot.source, shared.stages.settings.limits.penalty_handshake_s)
            shared.turned_away.note_failed(self._origin, TlsReason.CONNECTION_CLOSED, GONE_EARLY)
        return identity

    def _trail_of(self, identity: Identity, session_id: str, tls: TlsDetails) -> Trail:
        trail = self._shared.stages.trail.bound_to(
            SessionPart(
                id=session_id,
                who=who_is(identity),
                tls=messages.tls_part(tls),
                source=source_of(self._origin),
            )
        )
        if isinstance(identity, NamedUser):
            return trail
        return trail.metered(partial(self._shared.admission.charge_log, self._slot.source))

    def _decide(self, identity: Identity) -> Admitted | Refused:
        """Admit a client, which then counts as a session, or return why it is refused."""
        shared, source = self._shared, self._slot.source
        if not isinstance(identity, NamedUser) and not shared.may_log(source, is_command=False):
            return messages.refused_for_log()
        if shared.is_stopping:
            return messages.refused_for_stop(identity)
        if isinstance(identity, Refusal):
            shared.admission.penalise(source, shared.stages.settings.limits.penalty_refused_s)
            return messages.refused_for_identity(identity)
        stages = shared.stages
        if stages.staleness.is_refused(stages.services.table.roles_of(identity), datetime.now(UTC)):
            return messages.refused_for_staleness(identity)
        return identity if self._take_session(identity) else messages.refused_for_number(identity)

    def _take_session(self, identity: Admitted) -> bool:
        admission = self._shared.admission
        if isinstance(identity, NamedUser):
            return admission.take_session(self._slot, identity.name, is_guest=False)
        # A client that connects and disconnects without a name, again and again, only fills the log.
        admission.penalise(self._slot.source, self._shared.stages.settings.limits.penalty_guest_s)
        return admission.take_session(self._slot, GUEST_ROLE, is_guest=True)

    async def _start_session(
        self, identity: Admitted, transport: TlsTransport, protocol: NvtProtocol, trail: Trail, session_id: str
    ) -> Session:
        """Record the start of a session, and then start it.

        Raises:
            AuditUnavailableError: The log cannot be written.
        """
        stages, tls = self._shared.stages, transport.get_extra_info("tls")
        guests = None
        if isinstance(identity, Guest):
            protocol.take_turns(self._shared.guest_turns)
            guests = self._shared.guest_terms(self._slot.source)
        started_at = datetime.now(UTC)
        cut_off_since = stages.staleness.cut_off_since(started_at)
        visit = Visit(
            id=session_id,
            identity=identity,
            peer=transport.get_extra_info("peer_certificate"),
            origin=self._origin,
            tls=tls,
            started_at=started_at,
            cut_off_since=cut_off_since,
            straight_to=self._origin.endpoint.line or _line_by_name(stages.services.lines, tls.server_name),
        )
        await trail.record(
            SessionStarted(
                reason=identity.reason if isinstance(identity, Guest) else AdmissionReason.IDENTIFIED,
                message=messages.start_message(identity),
                handshake_s=round(self._handshake_s, 6),
                cut_off_since=timestamp(cut_off_since) if cut_off_since is not None else None,
                certificate=presented(identity),
            )
        )
        return Session(visit, protocol, trail, stages.services, stages.settings, guests=guests)

    async def _talk(self, session: Session, rounds: int) -> None:
        registry = self._shared.stages.registry
        registry.add(session)
        try:
            await self._look_once_more(session, rounds)
            await session.run()
        finally:
            registry.remove(session)
            reason = session.end_reason or EndReason.INTERNAL_ERROR
            message = f"{session.user}: the session ended ({reason.value})"
            await session.trail.record(SessionEnded(reason=reason, message=message))

    async def _look_once_more(self, session: Session, rounds: int) -> None:
        """Check a session that was admitted while something changed, or while the server is stopping."""
        stages = self._shared.stages
        if self._shared.is_stopping:
            session.end(EndReason.SERVER_STOPPED, STOPPING)
        elif rounds != stages.registry.rounds:
            # Every session was checked again while the event was being written, and this one did not exist yet.
            session.adopt(stages.services, stages.settings)
            session.reidentify(await self._identification.again(session.visit.peer, session.visit.origin.endpoint))


def _line_by_name(lines: LineTable, server_name: str) -> str:
    """Return the line that a server name leads directly to; empty if it leads to none."""
    line = lines.by_server_name(server_name)
    return line.name if line is not None else ""


def _refuse(transport: TlsTransport, protocol: NvtProtocol, lines: list[str]) -> None:
    details: TlsDetails = transport.get_extra_info("tls")
    make_screen(protocol, details.application).refuse(lines)
