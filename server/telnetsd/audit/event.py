"""The vocabulary of the audit log: actions, and the fields of the Elastic Common Schema (9.4) that go with them.

`event.action` and `event.reason` are enumerated words; which fields an action has is in `audit.schema`. What a peer
controls is escaped here, on its way into an event, and bounded.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from telnetsd.escaping import escape
from telnetsd.identity.outcome import Guest, Identity, NamedUser, Refusal
from telnetsd.pki.certificate import CertificateFacts, NameFacts
from telnetsd.pki.path_reason import PathProblem
from telnetsd.pki.revocation import Revocation

ECS_VERSION: Final = "9.4.0"
DATASET: Final = "telnetsd.audit"
TEXT_MAX_CHARS: Final = 1024
"""The longest text of a peer in one field; a command line has a limit of its own."""
LINE_MAX_CHARS: Final = 8192
GUEST_LINE_MAX_CHARS: Final = 256
"""How much of a line that is refused to a guest the log keeps; a command that runs is there in full."""
CLAIMED_MAX_BYTES: Final = 2048
"""How much of the certificate of somebody without a name an event has, as JSON."""
_CLAIMED_TEXT_CHARS: Final = 140
CAUSE_MAX_CHARS: Final = 300
SERIAL_MAX_CHARS: Final = 80
"""A serial number has 20 bytes at most (RFC 5280 section 4.1.2.2); one that a peer makes up may be longer."""
CERTIFICATES_KEPT: Final = 1024
"""Of how many certificates the fields are kept: whoever comes again brings the same."""

Fields = dict[str, Any]
"""A nested JSON object on its way to the log."""


class Action(StrEnum):
    """What happened."""

    SESSION_STARTED = "session-started"
    SESSION_CONTINUED = "session-continued"
    SESSION_ENDED = "session-ended"
    SESSION_REFUSED = "session-refused"
    SESSION_KICKED = "session-kicked"
    SESSION_WATCHED = "session-watched"
    SESSION_SLOWED = "session-slowed"
    HANDSHAKE_FAILED = "handshake-failed"
    CONNECTION_REFUSED = "connection-refused"
    GUESTS_REFUSED = "guests-refused"
    COMMAND_EXECUTED = "command-executed"
    COMMAND_DENIED = "command-denied"
    COMMAND_FAILED = "command-failed"
    LINE_CONNECTED = "line-connected"
    LINE_DISCONNECTED = "line-disconnected"
    RECORDING_CLOSED = "recording-closed"
    CERTIFICATE_ISSUED = "certificate-issued"
    CERTIFICATE_RENEWED = "certificate-renewed"
    CERTIFICATE_REVOKED = "certificate-revoked"
    CERTIFICATE_RESTORED = "certificate-restored"
    PIN_ADDED = "pin-added"
    PIN_REVOKED = "pin-revoked"
    PIN_RESTORED = "pin-restored"
    USER_ADDED = "user-added"
    USER_CHANGED = "user-changed"
    USER_REMOVED = "user-removed"
    ENROLMENT_REQUESTED = "enrolment-requested"
    ENROLMENT_APPROVED = "enrolment-approved"
    ENROLMENT_DENIED = "enrolment-denied"
    ENROLMENT_COLLECTED = "enrolment-collected"
    ENROLMENT_EXPIRED = "enrolment-expired"
    TRUST_ANCHOR_ADDED = "trust-anchor-added"
    TRUST_ANCHOR_REMOVED = "trust-anchor-removed"
    CA_ROTATED = "ca-rotated"
    CA_RETIRED = "ca-retired"
    CRL_ISSUED = "crl-issued"
    CRL_REJECTED = "crl-rejected"
    CHANGE_UNDONE = "change-undone"
    SERVER_STARTED = "server-started"
    SERVER_STOPPED = "server-stopped"
    SERVER_RELOADED = "server-reloaded"
    RELOAD_FAILED = "reload-failed"
    AUDIT_CHECKPOINT = "audit-checkpoint"
    AUDIT_RECOVERED = "audit-recovered"
    AUDIT_DAMAGED = "audit-damaged"
    AUDIT_PRUNED = "audit-pruned"
    AUDIT_KEY_CHANGED = "audit-key-changed"
    AUDIT_NOT_SHIPPED = "audit-not-shipped"


class Outcome(StrEnum):
    """How it went (ECS event.outcome)."""

    SUCCESS = "success"
    FAILURE = "failure"


def identity_fields(identity: Identity) -> Fields:
    """Say who it is, or who they say they are; the certificate by its fingerprint: see `presented_fields`.

    `user.name` is there for a named user only: what a rejected certificate claims never gets there.
    """
    fields: Fields = {"telnetsd": {"certificate": {"status": identity.status.value}}}
    match identity:
        case NamedUser():
            fields["user"] = {"name": identity.name, "roles": list(identity.roles)}
            fields["rule"] = {"id": identity.rule_id}
            fields["telnetsd"]["identity"] = {"kind": "user", "class": identity.assurance_class}
        case Guest():
            fields["user"] = {"roles": list(identity.roles)}
            fields["telnetsd"]["identity"] = {"kind": "guest", "reason": identity.reason.value}
        case Refusal():
            fields["telnetsd"]["identity"] = {"kind": "refusal", "reason": identity.reason.value}
            fields["telnetsd"]["certificate"].update(revocation_fields(identity.revocation))
            fields["telnetsd"].update(_problem_fields(identity.problem))
    if identity.certificate is not None:
        fields["tls"] = {"client": _hash_fields(identity.certificate)}
    return fields


def presented_fields(identity: Identity) -> Fields:
    """Return the certificate that somebody came with, for the one event of their session that has it in full.

    Of somebody without a name it has CLAIMED_MAX_BYTES at most: anybody can make a certificate, as long as they like.
    """
    facts = identity.certificate
    if facts is None:
        return {}
    is_named = isinstance(identity, NamedUser)
    return {"tls": {"client": certificate_fields(facts) if is_named else _claimed_fields(facts)}}


def shown_subject(identity: Identity) -> str:
    """Return the subject of somebody's certificate for a sentence; empty where there is none."""
    subject = identity.certificate.subject.distinguished_name if identity.certificate else ""
    return escape(subject, _CLAIMED_TEXT_CHARS)


def _problem_fields(problem: PathProblem | None) -> Fields:
    """Say which certificate of a path is at fault, and why; nothing where the reason says it all."""
    if problem is None or not problem.cause:
        return {}
    path = {"cause": escape(problem.cause, CAUSE_MAX_CHARS)}
    if problem.subject:
        path["subject"] = escape(problem.subject, _CLAIMED_TEXT_CHARS)
    return {"path": path}


def revocation_fields(revocation: Revocation | None) -> Fields:
    """Say since when and why a certificate is revoked; nothing when it is not."""
    if revocation is None:
        return {}
    return {"revoked_at": timestamp(revocation.revoked_at), "revocation_reason": revocation.reason.value}


@lru_cache(maxsize=CERTIFICATES_KEPT)
def certificate_fields(facts: CertificateFacts) -> Fields:
    """Return `tls.client`: x509 and the fingerprint, as ECS has them; not to be changed, since it is kept."""
    x509 = _x509_fields(facts)
    x509["subject"], x509["issuer"] = _name_fields(facts.subject), _name_fields(facts.issuer)
    if facts.alternative_names:
        x509["alternative_names"] = [escape(name, TEXT_MAX_CHARS) for name in facts.alternative_names]
    return {
        "x509": x509,
        "subject": escape(facts.subject.distinguished_name, TEXT_MAX_CHARS),
        "issuer": escape(facts.issuer.distinguished_name, TEXT_MAX_CHARS),
        **_hash_fields(facts),
    }


@lru_cache(maxsize=CERTIFICATES_KEPT)
def _claimed_fields(facts: CertificateFacts) -> Fields:
    """Return `tls.client` in CLAIMED_MAX_BYTES: where that is too little, with the beginning of its names."""
    fields = certificate_fields(facts)
    if len(msgspec.json.encode(fields)) <= CLAIMED_MAX_BYTES:
        return fields
    return {
        "x509": _x509_fields(facts),
        "subject": escape(facts.subject.distinguished_name, _CLAIMED_TEXT_CHARS),
        "issuer": escape(facts.issuer.distinguished_name, _CLAIMED_TEXT_CHARS),
        **_hash_fields(facts),
    }


def _x509_fields(facts: CertificateFacts) -> Fields:
    """Return what is of a bounded length in every certificate."""
    return {
        "version_number": str(facts.version),
        "serial_number": escape(facts.serial_number, SERIAL_MAX_CHARS),
        "not_before": timestamp(facts.not_before),
        "not_after": timestamp(facts.not_after),
        "public_key_algorithm": escape(facts.public_key_algorithm, SERIAL_MAX_CHARS),
        "public_key_size": facts.public_key_size,
        "signature_algorithm": escape(facts.signature_algorithm, SERIAL_MAX_CHARS),
    }


def _hash_fields(facts: CertificateFacts) -> Fields:
    # ECS writes hashes of certificates in upper case.
    return {"hash": {"sha256": facts.sha256.upper()}}


def timestamp(at: datetime) -> str:
    """RFC 3339 with microseconds, as in 2026-01-31T23:59:59.000000Z; `at` is aware, UTC."""
    # Three times as fast as strftime, and each event has at least one.
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: str) -> datetime | None:
    """Return the moment of a timestamp (aware); None when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def merge(into: Fields, other: Mapping[str, Any]) -> Fields:
    """Return both objects in one, the inner objects merged as well; `other` wins. Neither is changed."""
    merged = dict(into)
    for key, value in other.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged


def _name_fields(name: NameFacts) -> Fields:
    fields: Fields = {"distinguished_name": escape(name.distinguished_name, TEXT_MAX_CHARS)}
    for key, values in name.attributes:
        fields[key] = [escape(value, TEXT_MAX_CHARS) for value in values]
    return fields
