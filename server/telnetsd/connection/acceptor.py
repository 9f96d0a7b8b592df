"""The pipeline of one connection: the only module that names every stage.

listener, TLS, identity, session: each returns a value, and this module passes it on and tells the audit log before
the effect that it records is let through. A connection that fails anywhere ends here, in words to the peer and in an
event.
"""

import asyncio
import logging
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, cast

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.audit.who import path_fault, presented, revoked, shown_subject, who_is
from telnetsd.commands.caller import Services
from telnetsd.config.settings import Settings
from telnetsd.connection.turned_away import TurnedAway, source_of
from telnetsd.escaping import escape
from telnetsd.events.context import Session as SessionPart
from telnetsd.events.context import Tls
from telnetsd.events.fields import CAUSE_MAX_CHARS, TEXT_MAX_CHARS
from telnetsd.events.of_sessions import SessionEnded, SessionRefused, SessionStarted
from telnetsd.events.reason import AdmissionReason, EndReason, RefusalReason, TlsReason, TurnedAwayReason
from telnetsd.identity.identify import Identifier, Verdict, restrict
from telnetsd.identity.outcome import GUEST_ROLE, Admitted, Guest, Identity, NamedUser, Refusal
from telnetsd.incoming import IncomingProtocol
from telnetsd.lines.table import LineTable
from telnetsd.listener.admission import SPARE_DESCRIPTORS, Admission, Slot, Source, Terms
from telnetsd.listener.arrival import Arrival, Origin
from telnetsd.listener.endpoint import Endpoint
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.racing import unless
from telnetsd.session.greeting import AUDIT_UNAVAILABLE, LOG_FILLED, refuse
from telnetsd.session.pace import Pace
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.session import Session
from telnetsd.session.session_id import new_session_id
from telnetsd.session.visit import GuestTerms, Visit
from telnetsd.telnet.protocol import NvtProtocol
from telnetsd.telnet.turns import Turns
from telnetsd.tls.engine import ServerContext, TlsDetails, TlsError
from telnetsd.tls.transport import TlsEvents, TlsTransport

GONE_EARLY: Final = "the connection was closed before it was known who had come"
LAST_WORDS_S: Final = 1.0
GUESTS_BURST_S: Final = 10
"""For how many seconds' worth of lines all guests together may be ahead of their pace."""
STOPPING: Final = "the server is being stopped"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stages:
    """What a connection goes through; one generation."""

    context: ServerContext
    identifier: Identifier
    services: Services
    settings: Settings
    registry: SessionRegistry
    trail: Trail

    def identify(self, peer: PeerCertificate | None, endpoint: Endpoint, at: datetime) -> Identity:
        """Say who presented `peer`, and whether they may come in by an endpoint."""
        identity, asked = self.identifier.identify(peer, at), endpoint.settings

        def has_role(admitted: Admitted) -> bool:
            return not asked.roles or not self.services.table.roles_of(admitted).isdisjoint(asked.roles)

        return restrict(identity, needs_certificate=asked.require_certificate, has_role=has_role)


class Connections:
    """Takes connections, and leads each through the stages."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._events = TlsEvents(self._established, self._failed, self._lost)
        self.admission = Admission(_terms(stages))
        self._turned_away = TurnedAway(stages.trail, time.monotonic())
        self._guest_turns = Turns()
        self._guest_pace = _make_guest_pace(stages)
        self._serving: set[asyncio.Task[None]] = set()
        self._open: set[TlsTransport] = set()
        self._arriving: set[Arrival] = set()
        self._has_changed = asyncio.Event()
        self._is_stopping = False
        # One thread: those who present much wait for each other, and for nobody else.
        self._judging = ThreadPoolExecutor(max_workers=1, thread_name_prefix="identity")
        self._judging_again = ThreadPoolExecutor(max_workers=1, thread_name_prefix="identity-again")
        self._turns_of: dict[str, _SourceTurn] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no connection is open, or about to be."""
        return not self._open and not self._serving and not self._arriving

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""
        while self._open or self._serving:
            self._has_changed.clear()
            await self._has_changed.wait()

    def change(self, stages: Stages) -> None:
        """Lead every connection from now on through the stages of another generation."""
        before, self._stages = self._stages.settings.limits, stages
        self.admission.adopt(_terms(stages))
        if stages.settings.limits.all_guests_lines_per_s != before.all_guests_lines_per_s:
            # Otherwise those who are in and those to come go on sharing one.
            self._guest_pace = _make_guest_pace(stages)

    def identify_at_once(self, peer: PeerCertificate | None, endpoint: Endpoint) -> Identity | None:
        """Say who presented `peer`, and whether they may come in by an endpoint; None where that takes long."""
        stages, now = self._stages, datetime.now(UTC)
        return None if stages.identifier.is_costly(peer, now) else stages.identify(peer, endpoint, now)

    async def identify_again(self, peer: PeerCertificate | None, endpoint: Endpoint) -> Identity:
        """Say who presented what an open session has: see `identify`; nobody who arrives is waited for."""
        return await self._identify_in(self._judging_again, peer, endpoint)

    async def identify(self, peer: PeerCertificate | None, endpoint: Endpoint, source: Source) -> Identity:
        """Say who presented `peer`, and whether they may come in by an endpoint; by the generation that serves now.

        What takes long is done in a thread, for one connection of a source at a time: others are not kept waiting by
        how many it has. The decision itself is made in one turn with the return from here.
        """
        turn = self._turns_of.setdefault(source.name, _SourceTurn())
        turn.waiting += 1
        try:
            async with turn.lock:
                return await self._identify_in(self._judging, peer, endpoint)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns_of[source.name]

    async def _identify_in(
        self, judging: ThreadPoolExecutor, peer: PeerCertificate | None, endpoint: Endpoint
    ) -> Identity:
        while True:
            identity = self.identify_at_once(peer, endpoint)
            if identity is not None or peer is None:
                return identity or self._stages.identify(peer, endpoint, datetime.now(UTC))
            identifier = self._stages.identifier
            judge = partial(identifier.judge, peer, datetime.now(UTC))
            judged = asyncio.get_running_loop().run_in_executor(judging, judge)
            judged.add_done_callback(partial(_keep, identifier, peer))
            # What is judged for an open session is kept, also where nobody waits for it any more.
            await (asyncio.shield(judged) if judging is self._judging_again else judged)

    def accept(self, endpoint: Endpoint) -> IncomingProtocol:
        """Return the protocol of a new raw connection, for the event loop's server."""
        timeout_s = self._stages.settings.tls.handshake_timeout_s
        return Arrival(endpoint, self._receive, self._refuse_proxy, self._arriving, timeout_s)

    def tick(self) -> None:
        """Tell the log of connections that did not become sessions, when it is time."""
        self._turned_away.tick(time.monotonic())

    async def stop(self, timeout_s: float) -> None:
        """End every connection: sessions with a sentence, and after `timeout_s` seconds whatever is left.

        When it returns, every connection has told the log of its end.
        """
        self._is_stopping = True
        self._stages.registry.end_all(EndReason.SERVER_STOPPED, STOPPING)
        if self._serving:
            await asyncio.wait(self._serving, timeout=timeout_s)
        left: tuple[TlsTransport | Arrival, ...] = (*self._open, *self._arriving)
        for one in left:
            one.abort()
        if self._serving:
            # What has only just begun sees that the server stops, and says so.
            await asyncio.wait(self._serving, timeout=LAST_WORDS_S)
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        while self._open:
            self._has_changed.clear()
            await self._has_changed.wait()
        self._turned_away.flush()
        for judging in (self._judging, self._judging_again):
            judging.shutdown(wait=False, cancel_futures=True)

    def _receive(self, _: asyncio.Transport, origin: Origin) -> IncomingProtocol | None:
        """Take a raw connection, or turn it away."""
        slot = self.admission.admit(origin.address)
        if isinstance(slot, TurnedAwayReason):
            self._turned_away.note_turned_away(origin, slot)
            return None
        arrived = _Arrived(origin, slot, asyncio.get_running_loop().time())
        stages = self._stages
        transport = TlsTransport(stages.context, self._events, stages.settings.tls, owned_by=arrived)
        self._open.add(transport)
        return transport

    def _refuse_proxy(self, origin: Origin, why: str) -> None:
        self._turned_away.note_turned_away(origin, TurnedAwayReason.WRONG_PROXY_HEADER, why)

    def _established(self, transport: TlsTransport) -> asyncio.Protocol:
        arrived = _arrived_by(transport)
        self.admission.establish(arrived.slot)
        arrived.handshake_s = asyncio.get_running_loop().time() - arrived.begun
        protocol = NvtProtocol()
        task = asyncio.get_running_loop().create_task(self._serve(transport, protocol, arrived))
        self._serving.add(task)
        task.add_done_callback(self._forget)
        return protocol

    def _forget(self, served: asyncio.Task[None]) -> None:
        self._serving.discard(served)
        self._has_changed.set()

    def _failed(self, transport: TlsTransport, error: TlsError) -> None:
        arrived, limits = _arrived_by(transport), self._stages.settings.limits
        self.admission.establish(arrived.slot)
        is_late = error.reason is TlsReason.TIMEOUT
        self.admission.penalise(
            arrived.slot.source, limits.penalty_timeout_s if is_late else limits.penalty_handshake_s
        )
        words = error.reason.sentence
        message = f"{words} ({error.detail})" if error.detail else words
        self._turned_away.note_failed(arrived.origin, error.reason, message)

    def _lost(self, transport: TlsTransport) -> None:
        self.admission.leave(_arrived_by(transport).slot)
        self._open.discard(transport)
        self._has_changed.set()

    async def _serve(self, transport: TlsTransport, protocol: NvtProtocol, arrived: "_Arrived") -> None:
        try:
            admitted = await self._admit(transport, protocol, arrived)
            if admitted is not None:
                await self._talk(*admitted)
        except AuditUnavailableError:
            _say_goodbye(protocol, [AUDIT_UNAVAILABLE])
        except Exception:
            logger.exception("a connection failed by a fault of the server")
            event = SessionRefused(
                reason=AdmissionReason.INTERNAL_ERROR, message="the server failed to serve a connection"
            )
            self._stages.trail.bound_to(source_of(arrived.origin)).record(event)
            _say_goodbye(protocol, ["refused: the server has failed; tell the operator"])

    async def _admit(
        self, transport: TlsTransport, protocol: NvtProtocol, arrived: "_Arrived"
    ) -> tuple[Session, int] | None:
        """Identify a client, and return its session and the round of looks that it was found in; None for nobody.

        What is needed for that alone is let go of before the session begins, which may last for days.
        """
        # Before the decision, which may take several turns: a round of looks after this misses the session.
        rounds, visit_id = self._stages.registry.rounds, new_session_id()
        identity = await self._identify_arrival(transport.get_extra_info("peer_certificate"), protocol, arrived)
        if identity is None:
            return None
        trail = self._trail_of(identity, visit_id, transport.get_extra_info("tls"), arrived)
        refused = self._refuse(identity, arrived)
        if refused is not None:
            if refused.reason is not None:
                await trail.record(_refused_event(identity, refused.reason, refused.message))
            _say_goodbye(protocol, refused.words)
            return None
        return await self._let_in(cast("Admitted", identity), transport, protocol, trail, visit_id, arrived), rounds

    async def _identify_arrival(
        self, peer: PeerCertificate | None, protocol: NvtProtocol, arrived: "_Arrived"
    ) -> Identity | None:
        """Say who has come; None when they have gone meanwhile: what they presented is judged no more then."""
        endpoint = arrived.origin.endpoint
        identity = self.identify_at_once(peer, endpoint)
        if identity is not None:
            return identity
        identity = await unless(protocol.wait_lost(), self.identify(peer, endpoint, arrived.slot.source))
        if identity is None:
            self.admission.penalise(arrived.slot.source, self._stages.settings.limits.penalty_handshake_s)
            self._turned_away.note_failed(arrived.origin, TlsReason.CONNECTION_CLOSED, GONE_EARLY)
        return identity

    def _trail_of(self, identity: Identity, visit_id: str, tls: TlsDetails, arrived: "_Arrived") -> Trail:
        part = SessionPart(id=visit_id, who=who_is(identity), tls=_tls_part(tls), source=source_of(arrived.origin))
        trail = self._stages.trail.bound_to(part)
        if isinstance(identity, NamedUser):
            return trail
        return trail.metered(partial(self.admission.charge_log, arrived.slot.source))

    def _refuse(self, identity: Identity, arrived: "_Arrived") -> "_Refused | None":
        """Say why somebody does not come in; None for who does, and has a take_session then."""
        source = arrived.slot.source
        if not isinstance(identity, NamedUser) and not self._may_log(source, is_command=False):
            return _Refused(None, "", list(LOG_FILLED))
        if self._is_stopping:
            message = "the server is being stopped"
            return _Refused(AdmissionReason.SERVER_STOPPED, message, [f"refused: {STOPPING}"])
        if isinstance(identity, Refusal):
            self.admission.penalise(source, self._stages.settings.limits.penalty_refused_s)
            return _Refused(identity.reason, _refusal_message(identity), refuse(identity))
        if not self._take_session(identity, arrived.slot):
            return _Refused(AdmissionReason.TOO_MANY_SESSIONS, *_too_many(identity))
        return None

    async def _let_in(
        self,
        identity: Admitted,
        transport: TlsTransport,
        protocol: NvtProtocol,
        trail: Trail,
        visit_id: str,
        arrived: "_Arrived",
    ) -> Session:
        """Begin a session, once that is on the log.

        Raises:
            AuditUnavailableError: It cannot be written.
        """
        stages, origin, tls, now = self._stages, arrived.origin, transport.get_extra_info("tls"), datetime.now(UTC)
        guests = None
        if isinstance(identity, Guest):
            protocol.take_turns(self._guest_turns)
            guests = GuestTerms(self._guest_pace, partial(self._may_log, arrived.slot.source, is_command=True))
        straight_to = origin.endpoint.line or _line_by_name(stages.services.lines, tls.server_name)
        peer = transport.get_extra_info("peer_certificate")
        visit = Visit(visit_id, identity, peer, origin, tls, now, straight_to)
        await trail.record(
            SessionStarted(
                reason=identity.reason if isinstance(identity, Guest) else AdmissionReason.IDENTIFIED,
                message=_start_message(identity),
                handshake_s=round(arrived.handshake_s, 6),
                certificate=presented(identity),
            )
        )
        return Session(visit, protocol, trail, stages.services, stages.settings, guests=guests)

    def _may_log(self, source: Source, *, is_command: bool) -> bool:
        """Tell whether somebody without a name may fill more of the log; what may not be logged is counted."""
        if self.admission.may_log(source):
            return True
        self._turned_away.note_unlogged(source.name, is_command=is_command)
        return False

    def _take_session(self, identity: Admitted, slot: Slot) -> bool:
        if isinstance(identity, NamedUser):
            return self.admission.take_session(slot, identity.name, is_guest=False)
        # Who comes and goes without a name, again and again, only fills the log.
        self.admission.penalise(slot.source, self._stages.settings.limits.penalty_guest_s)
        return self.admission.take_session(slot, GUEST_ROLE, is_guest=True)

    async def _talk(self, session: Session, rounds: int) -> None:
        stages = self._stages
        stages.registry.add(session)
        try:
            await self._look_once_more(session, rounds)
            await session.run()
        finally:
            self._stages.registry.remove(session)
            reason = session.end_reason or EndReason.INTERNAL_ERROR
            message = f"{session.user}: the session ended ({reason.value})"
            await session.trail.record(SessionEnded(reason=reason, message=message))

    async def _look_once_more(self, session: Session, rounds: int) -> None:
        """Look at a session that was let in while something changed, or while the server stops."""
        stages = self._stages
        if self._is_stopping:
            session.end(EndReason.SERVER_STOPPED, STOPPING)
        elif rounds != stages.registry.rounds:
            # Everybody was looked at again while the event was being written, and this session was not there yet.
            session.adopt(stages.services, stages.settings)
            session.reidentify(await self.identify_again(session.visit.peer, session.visit.origin.endpoint))


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why somebody does not come in: the reason and the message of the event (None: it is counted), and the words."""

    reason: AdmissionReason | RefusalReason | None
    message: str
    words: list[str]


@dataclass(slots=True)
class _SourceTurn:
    """Which connection of a source is judged, and how many wait for that."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@dataclass(slots=True)
class _Arrived:
    """A connection that was taken: where from, what it takes up, since when, and how long its handshake took."""

    origin: Origin
    slot: Slot
    begun: float
    handshake_s: float = 0.0


def _keep(identifier: Identifier, peer: PeerCertificate, judged: asyncio.Future[Verdict]) -> None:
    if not judged.cancelled() and judged.exception() is None:
        identifier.keep(peer, judged.result())


def _make_guest_pace(stages: Stages) -> Pace:
    per_s = stages.settings.limits.all_guests_lines_per_s
    return Pace(per_s, round(GUESTS_BURST_S * per_s))


def _arrived_by(transport: TlsTransport) -> _Arrived:
    return cast("_Arrived", transport.owned_by)


def _terms(stages: Stages) -> Terms:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(1, descriptors - SPARE_DESCRIPTORS)
    return Terms(stages.settings.limits, stages.settings.listener.max_connections, room)


def _line_by_name(lines: LineTable, server_name: str) -> str:
    """Return the line that a server name leads straight to; empty when it leads to none."""
    line = lines.by_server_name(server_name)
    return line.name if line is not None else ""


def _say_goodbye(protocol: NvtProtocol, lines: list[str]) -> None:
    protocol.writer.write("".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace"))
    protocol.writer.close()


def _tls_part(tls: TlsDetails) -> Tls:
    return Tls(
        version=tls.version,
        cipher=tls.cipher,
        curve=tls.group,
        resumed=tls.resumed,
        server_name=escape(tls.server_name, TEXT_MAX_CHARS) if tls.server_name else None,
    )


def _refused_event(identity: Identity, reason: AdmissionReason | RefusalReason, message: str) -> SessionRefused:
    refusal = identity if isinstance(identity, Refusal) else None
    revocation = refusal.revocation if refusal is not None else None
    return SessionRefused(
        reason=reason,
        message=message,
        certificate=presented(identity),
        revocation=revoked(revocation) if revocation is not None else None,
        fault=path_fault(refusal.problem) if refusal is not None else None,
    )


def _start_message(identity: Admitted) -> str:
    if isinstance(identity, NamedUser):
        return f"{identity.name} logged in"
    subject = shown_subject(identity)
    claimed = f", presenting {subject}" if subject else ""
    return f"a guest came in ({identity.reason.value}{claimed})"


def _too_many(identity: Admitted) -> tuple[str, list[str]]:
    """Return the message, and the words, for somebody who would be one too many."""
    if isinstance(identity, NamedUser):
        message = f"{identity.name} has as many sessions as [limits] sessions_per_user allows"
        return message, [f"refused: {identity.name} has too many sessions open", "end one of them first"]
    return "as many guests are in, from one source or from all, as [limits] allows", [
        "refused: too many guests are in",
        "come with a certificate, or later",
    ]


def _refusal_message(refusal: Refusal) -> str:
    subject = shown_subject(refusal)
    claimed = f"somebody presenting {subject}" if subject else "somebody without a certificate"
    problem = refusal.problem
    cause = f": {escape(problem.cause, CAUSE_MAX_CHARS)}" if problem is not None and problem.cause else ""
    return f"{claimed} was refused ({refusal.reason.value}){cause}"
