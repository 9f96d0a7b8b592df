"""What the log and the screen say about a login: the parts and messages of its events, and the text of a refusal."""

from dataclasses import dataclass

from telnetsd.audit.who import path_fault, presented, revoked, shown_subject
from telnetsd.escaping import escape
from telnetsd.events.context import TlsPart
from telnetsd.events.fields import CAUSE_MAX_CHARS, TEXT_MAX_CHARS
from telnetsd.events.of_sessions import SessionRefused
from telnetsd.events.reason import AdmissionReason, RefusalReason
from telnetsd.identity.outcome import Admitted, Identity, NamedUser, Refusal
from telnetsd.session.greeting import LOG_FILLED, refuse
from telnetsd.tls.engine import TlsDetails

STOPPING = "the server is stopping"


@dataclass(frozen=True, slots=True)
class Refused:
    """A client that is refused: the event (None: it is only counted), and the text on its screen."""

    event: SessionRefused | None
    words: list[str]


def refused_for_log() -> Refused:
    """Refuse a client whose source has used up its share of the log."""
    return Refused(None, list(LOG_FILLED))


def refused_for_stop(identity: Identity) -> Refused:
    """Refuse a client because the server is stopping."""
    return Refused(_event(identity, AdmissionReason.SERVER_STOPPED, STOPPING), [f"refused: {STOPPING}"])


def refused_for_identity(refusal: Refusal) -> Refused:
    """Refuse a client for what it presented."""
    return Refused(_event(refusal, refusal.reason, _refusal_message(refusal)), refuse(refusal))


def refused_for_number(identity: Admitted) -> Refused:
    """Refuse a session that would exceed the permitted number."""
    if isinstance(identity, NamedUser):
        message = f"{identity.name} has as many sessions as [limits] sessions_per_user allows"
        words = [f"refused: {identity.name} has too many sessions open", "end one of them first"]
    else:
        message = "as many guests are connected, from one source or in all, as [limits] allows"
        words = ["refused: too many guests are connected", "connect with a certificate, or try again later"]
    return Refused(_event(identity, AdmissionReason.TOO_MANY_SESSIONS, message), words)


def refused_for_staleness(identity: Admitted) -> Refused:
    """Refuse a client since this server was cut off from its fleet for too long."""
    who = identity.name if isinstance(identity, NamedUser) else "a guest"
    message = f"{who} was refused: {AdmissionReason.FLEET_STALE.sentence}"
    words = ["refused: this server was cut off from its fleet for too long", "use another one, or tell the operator"]
    return Refused(_event(identity, AdmissionReason.FLEET_STALE, message), words)


def tls_part(tls: TlsDetails) -> TlsPart:
    """Return what the log records of a handshake."""
    return TlsPart(
        version=tls.version,
        cipher=tls.cipher,
        curve=tls.group,
        resumed=tls.resumed,
        server_name=escape(tls.server_name, TEXT_MAX_CHARS) if tls.server_name else None,
    )


def _event(identity: Identity, reason: AdmissionReason | RefusalReason, message: str) -> SessionRefused:
    refusal = identity if isinstance(identity, Refusal) else None
    revocation = refusal.revocation if refusal is not None else None
    return SessionRefused(
        reason=reason,
        message=message,
        certificate=presented(identity),
        revocation=revoked(revocation) if revocation is not None else None,
        fault=path_fault(refusal.problem) if refusal is not None else None,
    )


def start_message(identity: Admitted) -> str:
    """Return the message of a session's start."""
    if isinstance(identity, NamedUser):
        return f"{identity.name} logged in"
    subject = shown_subject(identity)
    claimed = f", presenting {subject}" if subject else ""
    return f"a guest connected ({identity.reason.value}{claimed})"


def _refusal_message(refusal: Refusal) -> str:
    subject = shown_subject(refusal)
    claimed = f"a client presenting {subject}" if subject else "a client without a certificate"
    problem = refusal.problem
    cause = f": {escape(problem.cause, CAUSE_MAX_CHARS)}" if problem is not None and problem.cause else ""
    return f"{claimed} was refused ({refusal.reason.value}){cause}"
