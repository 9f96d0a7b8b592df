"""The pipeline of one connection: the only module that names every stage.

listener, TLS, identity, session: each returns a value, and this module passes it on and tells the audit log before
the effect that it records is let through. A connection that fails anywhere ends here, in words to the peer and in an
event.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

from telnetsd.audit.event import TEXT_MAX_CHARS, Action, Fields, identity_fields, merge
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.reason import AdmissionReason, EndReason
from telnetsd.audit.record import Trail
from telnetsd.commands.caller import Services
from telnetsd.config import Settings
from telnetsd.escaping import escape
from telnetsd.identity.identify import Identifier
from telnetsd.identity.outcome import Admitted, Guest, NamedUser, Refusal
from telnetsd.lines.table import LineTable
from telnetsd.listener.sockets import shown_address
from telnetsd.session.greeting import AUDIT_UNAVAILABLE, refuse
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.session import Session, Visit
from telnetsd.session.session_id import new_session_id
from telnetsd.telnet.protocol import NvtProtocol
from telnetsd.tls.engine import ServerContext, TlsDetails, TlsError
from telnetsd.tls.reason import TlsReason
from telnetsd.tls.transport import TlsEvents, TlsTransport

FAILURE_WORDS: Final = {
    TlsReason.PLAIN_TEXT: "a plain-text client was told that this is a TLS port",
    TlsReason.TIMEOUT: "the TLS handshake took too long",
    TlsReason.CONNECTION_CLOSED: "the connection was closed before the TLS handshake was complete",
    TlsReason.UNSUPPORTED_VERSION: "the client speaks no TLS version that is taken here",
    TlsReason.NOTHING_IN_COMMON: "client and server have no cipher, group or signature in common",
    TlsReason.SERVER_CERTIFICATE_REJECTED: "the client does not trust the server's certificate",
    TlsReason.PEER_ALERT: "the client gave up the TLS handshake",
    TlsReason.PROTOCOL_ERROR: "the client broke the TLS protocol",
}

LAST_WORDS_S: Final = 1.0
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


class Connections:
    """Takes connections, and leads each through the stages."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._serving: set[asyncio.Task[None]] = set()
        self._open: set[TlsTransport] = set()
        self._has_lost = asyncio.Event()
        self._is_stopping = False

    @property
    def is_empty(self) -> bool:
        """Whether no connection is open."""
        return not self._open and not self._serving

    def change(self, stages: Stages) -> None:
        """Lead every connection from now on through the stages of another generation."""
        self._stages = stages

    def accept(self, line_name: str = "") -> asyncio.Protocol:
        """Return the protocol of a new raw connection, for the event loop's server.

        Args:
            line_name: The line that the listener leads straight to; empty for the one with a prompt.
        """
        if len(self._open) >= self._stages.settings.listener.max_connections:
            return _TurnedAway(self._stages.trail)
        timeout_s = self._stages.settings.tls.handshake_timeout_s
        events = TlsEvents(partial(self._established, line_name), self._failed, self._lost)
        transport = TlsTransport(self._stages.context, events, handshake_timeout_s=timeout_s)
        self._open.add(transport)
        return transport

    async def stop(self, timeout_s: float) -> None:
        """End every connection: sessions with a sentence, and after `timeout_s` seconds whatever is left.

        When it returns, every connection has told the log of its end.
        """
        self._is_stopping = True
        self._stages.registry.end_all(EndReason.SERVER_STOPPED, STOPPING)
        if self._serving:
            await asyncio.wait(self._serving, timeout=timeout_s)
        for transport in tuple(self._open):
            transport.abort()
        if self._serving:
            # What has only just begun sees that the server stops, and says so.
            await asyncio.wait(self._serving, timeout=LAST_WORDS_S)
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        while self._open:
            self._has_lost.clear()
            await self._has_lost.wait()

    def _established(self, line_name: str, transport: TlsTransport) -> asyncio.Protocol:
        protocol = NvtProtocol()
        task = asyncio.get_running_loop().create_task(self._serve(transport, protocol, line_name))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return protocol

    def _failed(self, transport: TlsTransport, error: TlsError) -> None:
        words = FAILURE_WORDS[error.reason]
        message = f"{words} ({error.detail})" if error.detail else words
        self._stages.trail.with_fields(_source_fields(transport)).record(
            Action.HANDSHAKE_FAILED, error.reason, message
        )

    def _lost(self, transport: TlsTransport) -> None:
        self._open.discard(transport)
        self._has_lost.set()

    async def _serve(self, transport: TlsTransport, protocol: NvtProtocol, line_name: str) -> None:
        try:
            admitted = await self._admit(transport, protocol, line_name)
            if admitted is not None:
                await self._talk(*admitted)
        except AuditUnavailableError:
            _say_goodbye(protocol, [AUDIT_UNAVAILABLE])
        except Exception:
            logger.exception("a connection failed by a fault of the server")
            trail = self._stages.trail.with_fields(_source_fields(transport))
            trail.record(
                Action.SESSION_REFUSED, AdmissionReason.INTERNAL_ERROR, "the server failed to serve a connection"
            )
            _say_goodbye(protocol, ["refused: the server has failed; tell the operator"])

    async def _admit(
        self, transport: TlsTransport, protocol: NvtProtocol, line_name: str
    ) -> tuple[Session, int] | None:
        """Identify a client, and return its session and the round of looks that it was found in; None for nobody.

        What is needed for that alone is let go of before the session begins, which may last for days.
        """
        stages, now = self._stages, datetime.now(UTC)
        rounds, peer = stages.registry.rounds, transport.get_extra_info("peer_certificate")
        identity = stages.identifier.identify(peer, now)
        tls: TlsDetails = transport.get_extra_info("tls")
        visit_id = new_session_id()
        own = {**_source_fields(transport), "tls": _tls_fields(tls), "telnetsd": {"session": {"id": visit_id}}}
        trail = stages.trail.with_fields(merge(identity_fields(identity), own))
        if self._is_stopping:
            await trail.record(Action.SESSION_REFUSED, AdmissionReason.SERVER_STOPPED, "the server is being stopped")
            _say_goodbye(protocol, [f"refused: {STOPPING}"])
            return None
        if isinstance(identity, Refusal):
            await trail.record(Action.SESSION_REFUSED, identity.reason, _refusal_message(identity))
            _say_goodbye(protocol, refuse(identity))
            return None
        source = shown_address(_peer_of(transport))
        straight_to = line_name or _line_by_name(stages.services.lines, tls.server_name)
        visit = Visit(visit_id, identity, peer, source, tls, now, straight_to)
        await trail.record(Action.SESSION_STARTED, _reason_of(identity), _start_message(identity))
        return Session(visit, protocol, trail, stages.services, stages.settings.session), rounds

    async def _talk(self, session: Session, rounds: int) -> None:
        stages = self._stages
        stages.registry.add(session)
        if self._is_stopping:
            session.end(EndReason.SERVER_STOPPED, STOPPING)
        elif rounds != stages.registry.rounds:
            # Everybody was looked at again while the event was being written, and this session was not there yet.
            session.adopt(stages.services, stages.settings.session)
            session.reidentify(stages.identifier.identify(session.peer, datetime.now(UTC)))
        try:
            await session.run()
        finally:
            self._stages.registry.remove(session)
            reason = session.end_reason or EndReason.INTERNAL_ERROR
            message = f"{session.user}: the session ended ({reason.value})"
            await session.trail.record(Action.SESSION_ENDED, reason, message)


class _TurnedAway(asyncio.Protocol):
    """A connection beyond the limit: closed at once, and told to the log."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close."""
        message = "more connections are open than [listener] max_connections allows"
        trail = self._trail.with_fields(_source_fields(transport))
        trail.record(Action.SESSION_REFUSED, AdmissionReason.TOO_MANY_CONNECTIONS, message)
        transport.close()


def _line_by_name(lines: LineTable, server_name: str) -> str:
    """Return the line that a server name leads straight to; empty when it leads to none."""
    line = lines.by_server_name(server_name)
    return line.name if line is not None else ""


def _say_goodbye(protocol: NvtProtocol, lines: list[str]) -> None:
    protocol.writer.write("".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace"))
    protocol.writer.close()


def _peer_of(transport: asyncio.BaseTransport) -> tuple[Any, ...]:
    # The address is gone with a connection that was reset before it was looked at.
    return transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 -- says unknown, binds nothing


def _source_fields(transport: asyncio.BaseTransport) -> Fields:
    address, port = _peer_of(transport)[:2]
    return {"source": {"ip": address, "port": port}}


def _tls_fields(tls: TlsDetails) -> Fields:
    fields: Fields = {
        "version": tls.version,
        "version_protocol": "tls",
        "cipher": tls.cipher,
        "curve": tls.group,
        "resumed": tls.resumed,
    }
    if tls.server_name:
        fields["client"] = {"server_name": escape(tls.server_name, TEXT_MAX_CHARS)}
    return fields


def _reason_of(identity: Admitted) -> StrEnum:
    return identity.reason if isinstance(identity, Guest) else AdmissionReason.IDENTIFIED


def _start_message(identity: Admitted) -> str:
    if isinstance(identity, NamedUser):
        return f"{identity.name} logged in"
    subject = identity.certificate.subject.distinguished_name if identity.certificate else ""
    claimed = f", presenting {escape(subject, TEXT_MAX_CHARS)}" if subject else ""
    return f"a guest came in ({identity.reason.value}{claimed})"


def _refusal_message(refusal: Refusal) -> str:
    subject = refusal.certificate.subject.distinguished_name if refusal.certificate else ""
    claimed = (
        f"somebody presenting {escape(subject, TEXT_MAX_CHARS)}" if subject else "somebody without a certificate"
    )
    return f"{claimed} was refused ({refusal.reason.value})"
