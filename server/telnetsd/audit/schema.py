"""The schema of the audit log: every field, and every action with the fields and the reasons that it may have.

Field names are those of the Elastic Common Schema 9.4, and `telnetsd.*` for what it lacks. From these tables come
how ECS classes an event, the page docs/audit-events.md and the JSON Schema docs/audit-events.schema.json; and every
event that the tests see is held against them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final

from telnetsd.audit.event import Action, Outcome
from telnetsd.audit.reason import (
    AdmissionReason,
    CheckpointReason,
    CommandReason,
    DamageReason,
    EndReason,
    EnrolmentReason,
    LimitReason,
    LineReason,
    ProgramReason,
    Reason,
    RecoveryReason,
    ReloadReason,
    RetentionReason,
    ServerReason,
    ShippingReason,
)
from telnetsd.identity.outcome import CertificateStatus, EndpointReason, GuestReason, StatusReason
from telnetsd.listener.reason import TurnedAwayReason
from telnetsd.pki.certification_request import CsrReason
from telnetsd.pki.crl import CrlProblem
from telnetsd.pki.path_reason import PathReason
from telnetsd.pki.revocation import RevocationReason
from telnetsd.tls.reason import TlsReason

Schema = Mapping[str, Any]
"""A JSON Schema."""


@dataclass(frozen=True, slots=True)
class Field:
    """What one field holds: a JSON Schema, and words for people."""

    schema: Schema
    summary: str


def _words(*kinds: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": sorted({word.value for kind in kinds for word in kind})}


_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_FLAG: Final[Schema] = {"type": "boolean"}
_WORD: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9-]+$"}
_TIME: Final[Schema] = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_SHA256: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_SHA256_UPPER: Final[Schema] = {"type": "string", "pattern": "^[0-9A-F]{64}$"}
_UUID: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$",
}


def _name_fields(whose: str, path: str) -> dict[str, Field]:
    attributes = {
        "common_name": "common names",
        "country": "country codes",
        "locality": "localities",
        "organization": "organizations",
        "organizational_unit": "organizational units",
        "state_or_province": "states or provinces",
    }
    named = {f"{path}.{key}": Field(_TEXTS, f"{words} of {whose}") for key, words in attributes.items()}
    return {f"{path}.distinguished_name": Field(_TEXT, f"{whose}, as RFC 4514 writes it"), **named}


FIELDS: Final[Mapping[str, Field]] = {
    "@timestamp": Field(_TIME, "when it happened, UTC, with microseconds"),
    "message": Field(_TEXT, "one sentence for people; text of a peer in it is escaped"),
    "ecs.version": Field({"const": "9.4.0"}, "the version of the Elastic Common Schema"),
    "event.action": Field(_words(Action), "what happened"),
    "event.category": Field(_TEXTS, "the class that ECS has for it"),
    "event.dataset": Field({"const": "telnetsd.audit"}, "always telnetsd.audit"),
    "event.hash": Field(_SHA256, "SHA-256 of this line as it was without this member"),
    "event.kind": Field({"const": "event"}, "always event"),
    "event.outcome": Field(_words(Outcome), "how it went"),
    "event.reason": Field(_WORD, "why, as an enumerated word"),
    "event.sequence": Field({"type": "integer", "minimum": 1}, "counts the lines of the log, from 1"),
    "event.type": Field(_TEXTS, "the class within the category"),
    "file.name": Field(_TEXT, "a file beside the log that it is about"),
    "rule.id": Field(_TEXT, "the cert-to-name entry that named the user"),
    "source.ip": Field(_TEXT, "where the connection came from"),
    "source.port": Field({"type": "integer", "minimum": 0, "maximum": 65535}, "its port"),
    "user.name": Field(_TEXT, "a named user, and nobody else: what a certificate claims never gets here"),
    "user.roles": Field(_TEXTS, "the roles that count in the session"),
    "user.target.name": Field(_TEXT, "the user whom an operator's change is about"),
    "user.target.roles": Field(_TEXTS, "that user's roles"),
    "tls.cipher": Field(_TEXT, "the cipher suite"),
    "tls.curve": Field(_TEXT, "the group of the key exchange"),
    "tls.resumed": Field(_FLAG, "whether the TLS session was resumed"),
    "tls.server.hash.sha256": Field(_SHA256_UPPER, "the SHA-256 of the server's own new certificate"),
    "tls.version": Field(_TEXT, "the version of TLS"),
    "tls.version_protocol": Field({"const": "tls"}, "always tls"),
    "tls.client.hash.sha256": Field(_SHA256_UPPER, "the certificate's SHA-256"),
    "tls.client.issuer": Field(_TEXT, "its issuer, as RFC 4514 writes it"),
    "tls.client.server_name": Field(_TEXT, "the server name that the client asked for"),
    "tls.client.subject": Field(_TEXT, "its subject, as RFC 4514 writes it"),
    "tls.client.x509.alternative_names": Field(_TEXTS, "its subject alternative names"),
    **_name_fields("the issuer", "tls.client.x509.issuer"),
    "tls.client.x509.not_after": Field(_TIME, "until when it is valid"),
    "tls.client.x509.not_before": Field(_TIME, "since when it is valid"),
    "tls.client.x509.public_key_algorithm": Field(_TEXT, "the kind of its key"),
    "tls.client.x509.public_key_size": Field(_COUNT, "the size of its key, in bits"),
    "tls.client.x509.serial_number": Field(_TEXT, "its serial number, in upper-case hexadecimal"),
    "tls.client.x509.signature_algorithm": Field(_TEXT, "how it was signed"),
    **_name_fields("the subject", "tls.client.x509.subject"),
    "tls.client.x509.version_number": Field(_TEXT, "its X.509 version"),
    "telnetsd.audit.key_id": Field(_SHA256, "the audit key that signs from now on"),
    "telnetsd.audit.lines": Field(_COUNT, "how many lines of the log it is about"),
    "telnetsd.audit.first_sequence": Field(_COUNT, "the first of those lines"),
    "telnetsd.audit.last_sequence": Field(_COUNT, "the last of those lines"),
    "telnetsd.audit.last_sha256": Field(_SHA256, "SHA-256 of the last of those lines"),
    "telnetsd.audit.late": Field(_COUNT, "how many events are written later than they happened"),
    "telnetsd.audit.lost": Field(_COUNT, "how many events were not written at all; what they record was refused"),
    "telnetsd.audit.since": Field(_TIME, "since when the log could not be written"),
    "telnetsd.certificate.revocation_reason": Field(_words(RevocationReason), "why a certificate was revoked"),
    "telnetsd.certificate.revoked_at": Field(_TIME, "when it was revoked"),
    "telnetsd.certificate.status": Field(_words(CertificateStatus), "what became of the certificate"),
    "telnetsd.chain.previous": Field(_SHA256, "SHA-256 of the whole line before; zeros in the first line of all"),
    "telnetsd.checkpoint.algorithm": Field({"const": "Ed25519"}, "how the line is signed"),
    "telnetsd.checkpoint.key_id": Field(_SHA256, "the audit key: SHA-256 of its SubjectPublicKeyInfo"),
    "telnetsd.checkpoint.signature": Field(
        _TEXT, "signs the line as it was without this member and `event.hash`; base64"
    ),
    "telnetsd.collector.name": Field(_TEXT, "a collector, as the configuration calls it"),
    "telnetsd.command.exit_status": Field(
        {"type": "integer"}, "the exit status of its program; minus the signal that ended it"
    ),
    "telnetsd.command.line": Field(_TEXT, "what was typed, escaped; secrets and answers to questions left out"),
    "telnetsd.command.name": Field(_TEXT, "the command's name"),
    "telnetsd.commands": Field(_COUNT, "how many lines of guests it is about"),
    "telnetsd.connections": Field(_COUNT, "how many connections it is about"),
    "telnetsd.enrolment.id": Field(_TEXT, "the request"),
    "telnetsd.enrolment.kind": Field(_TEXT, "what kind of request it is"),
    "telnetsd.enrolment.name": Field(_TEXT, "the user name that is asked for"),
    "telnetsd.enrolment.spki_sha256": Field(_SHA256, "SHA-256 of the public key that it is about"),
    "telnetsd.enrolment.subject": Field(_TEXT, "the subject that the request claims"),
    "telnetsd.handshake_s": Field({"type": "number", "minimum": 0}, "how long the TLS handshake took, in seconds"),
    "telnetsd.identity.class": Field(_COUNT, "the user's assurance class"),
    "telnetsd.identity.kind": Field({"enum": ["guest", "refusal", "user"]}, "what identification came to"),
    "telnetsd.identity.reason": Field(_WORD, "why somebody is a guest, or refused"),
    "telnetsd.line.bytes_received": Field(_COUNT, "how many bytes came from the line to this session"),
    "telnetsd.line.bytes_sent": Field(_COUNT, "how many bytes this session sent to the line"),
    "telnetsd.line.duration_s": Field({"type": "number", "minimum": 0}, "how long it was connected, in seconds"),
    "telnetsd.line.kind": Field({"enum": ["exec", "serial", "tcp", "telnet", "tls"]}, "what kind of line it is"),
    "telnetsd.line.name": Field(_TEXT, "the line, as the configuration calls it"),
    "telnetsd.line.writer": Field(
        _TEXT, "who writes to the line, where this session only watches or took it from them"
    ),
    "telnetsd.operator.login": Field(_TEXT, "as whom they have logged in, as the system was told (login uid)"),
    "telnetsd.operator.name": Field(
        _TEXT, "who did it: the operating system's user on the command line, or by the control socket"
    ),
    "telnetsd.operator.sudo_user": Field(_TEXT, "who they claim to have been before sudo"),
    "telnetsd.path.cause": Field(_TEXT, "why no path leads from the certificate to a trust anchor"),
    "telnetsd.path.subject": Field(
        _TEXT, "the subject of the certificate at fault; the client's own where it is not there"
    ),
    "telnetsd.pin.spki_sha256": Field(_SHA256, "SHA-256 of the pinned public key"),
    "telnetsd.proxy.ip": Field(_TEXT, "the proxy that spoke for the source"),
    "telnetsd.recording.bytes": Field(_COUNT, "how long the recording is"),
    "telnetsd.recording.file": Field(_TEXT, "its file below audit/recordings"),
    "telnetsd.recording.is_whole": Field(
        _FLAG, "false where it reached its greatest length, or the server was killed"
    ),
    "telnetsd.recording.sha256": Field(_SHA256, "SHA-256 of the file"),
    "telnetsd.session.id": Field(_UUID, "the session, a UUIDv7"),
}

ALWAYS: Final = (
    "@timestamp", "message", "ecs.version", "event.action", "event.category", "event.dataset", "event.hash",
    "event.kind", "event.outcome", "event.reason", "event.sequence", "event.type", "telnetsd.chain.previous",
)  # fmt: skip
_SOURCE: Final = ("source.ip", "source.port", "telnetsd.proxy.ip")
"""Where a connection comes from; one that came by a Unix socket comes from nowhere."""
_SESSION: Final = (
    "telnetsd.session.id", "telnetsd.identity.kind", "telnetsd.certificate.status", "tls.cipher",
    "tls.resumed", "tls.version", "tls.version_protocol", "tls.curve",
)  # fmt: skip
_CERTIFICATE: Final = tuple(name for name in FIELDS if name.startswith("tls.client."))
_WHO: Final = (
    *_SOURCE, "user.name", "user.roles", "rule.id", "telnetsd.identity.class", "telnetsd.identity.reason",
    "tls.client.hash.sha256", "tls.client.server_name",
)  # fmt: skip
"""Whose deed it is; their certificate by its fingerprint: the event that their session begins with has all of it."""
_REFUSAL: Final = (PathReason, StatusReason, GuestReason, EndpointReason)
_PATH: Final = ("telnetsd.path.cause", "telnetsd.path.subject")
_REVOCATION: Final = ("telnetsd.certificate.revocation_reason", "telnetsd.certificate.revoked_at")
_COMMAND: Final = ("telnetsd.command.line", "telnetsd.command.name")
_LINE: Final = ("telnetsd.line.name", "telnetsd.line.kind")
_RECORDING: Final = tuple(name for name in FIELDS if name.startswith("telnetsd.recording."))
_OPERATOR: Final = ("telnetsd.operator.name",)
_OPERATOR_CLAIMS: Final = ("telnetsd.operator.login", "telnetsd.operator.sudo_user")
_TARGET: Final = ("user.target.name",)
_ENROLMENT: Final = tuple(name for name in FIELDS if name.startswith("telnetsd.enrolment."))
_CHANGED_BY: Final = (*_OPERATOR, *_OPERATOR_CLAIMS, *_SESSION, *_WHO)
"""A change is made by an operator, or for whoever stands at the enrolment desk in a session."""
_CHECKPOINT: Final = tuple(name for name in FIELDS if name.startswith("telnetsd.checkpoint."))


@dataclass(frozen=True, slots=True)
class Definition:
    """One action.

    Attributes:
        summary: When it happens.
        categories: event.category.
        types: event.type.
        outcome: event.outcome.
        reasons: The words that event.reason may be, one by one or a whole enumeration.
        required: The fields that it always has, beside those of every event.
        optional: The fields that it may have.
        has_other_reasons: Whether event.reason may be a word of another package as well.
    """

    summary: str
    categories: tuple[str, ...]
    types: tuple[str, ...]
    outcome: Outcome
    reasons: tuple[type[StrEnum] | StrEnum, ...]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    has_other_reasons: bool = False

    def words(self) -> list[str]:
        """Return the words that event.reason may be, in order."""
        kinds = ((one,) if isinstance(one, StrEnum) else one for one in self.reasons)
        return sorted({word.value for word in chain.from_iterable(kinds)})


def _done(
    summary: str, category: str, *types: str, required: tuple[str, ...], optional: tuple[str, ...]
) -> Definition:
    """Define a change of the installation that was made."""
    return Definition(summary, (category,), types, Outcome.SUCCESS, (Reason.OK,), required, (*_CHANGED_BY, *optional))


DEFINITIONS: Final[Mapping[Action, Definition]] = {
    Action.SESSION_STARTED: Definition(
        "somebody came in: a named user, or a guest with the reason",
        ("authentication", "session"), ("start",), Outcome.SUCCESS, (AdmissionReason.IDENTIFIED, GuestReason),
        (*_SESSION, "telnetsd.handshake_s"), (*_WHO, *_CERTIFICATE),
    ),
    Action.SESSION_CONTINUED: Definition(
        "a session was open when this file of the log began; its certificate is repeated",
        ("session",), ("info",), Outcome.SUCCESS, (Reason.OK,), _SESSION, (*_WHO, *_CERTIFICATE),
    ),
    Action.SESSION_ENDED: Definition(
        "a session is over",
        ("session",), ("end",), Outcome.SUCCESS, (EndReason, *_REFUSAL), _SESSION, _WHO,
    ),
    Action.SESSION_REFUSED: Definition(
        "somebody did not come in",
        ("authentication",), ("start",), Outcome.FAILURE, (AdmissionReason, *_REFUSAL),
        (), (*_SESSION, *_WHO, *_CERTIFICATE, *_REVOCATION, *_PATH),
    ),
    Action.SESSION_KICKED: Definition(
        "an operator ends a session",
        ("session",), ("end",), Outcome.SUCCESS, (EndReason.KICKED,), (*_SESSION, *_OPERATOR), _WHO,
    ),
    Action.SESSION_WATCHED: Definition(
        "an operator begins to watch a session",
        ("session",), ("info",), Outcome.SUCCESS, (Reason.OK,), (*_SESSION, *_OPERATOR), _WHO,
    ),
    Action.SESSION_SLOWED: Definition(
        "a session types faster than it may, and is read more slowly from now on; once a session",
        ("session",), ("info",), Outcome.SUCCESS, (LimitReason.TOO_MANY_LINES,), _SESSION, _WHO,
    ),
    Action.GUESTS_REFUSED: Definition(
        "guests and refused clients of a source have filled their part of the log for an hour: what more they"
        " wanted was refused in words, and counted every ten seconds",
        ("network",), ("denied",), Outcome.FAILURE, (LimitReason.LOG_FILLED,),
        ("telnetsd.connections", "telnetsd.commands"), _SOURCE,
    ),
    Action.HANDSHAKE_FAILED: Definition(
        "a TLS handshake was not completed; beyond a thousand in ten seconds they are counted, by reason",
        ("network",), ("connection", "denied"), Outcome.FAILURE, (TlsReason,), (),
        (*_SOURCE, "telnetsd.connections"),
    ),
    Action.CONNECTION_REFUSED: Definition(
        "connections are turned away before their handshake: the first of a source at once, others counted",
        ("network",), ("connection", "denied"), Outcome.FAILURE, (TurnedAwayReason,),
        ("telnetsd.connections",), _SOURCE,
    ),
    Action.COMMAND_EXECUTED: Definition(
        "a command is about to run; written before it does",
        ("api",), ("allowed",), Outcome.SUCCESS, (CommandReason.PERMITTED,), (*_SESSION, *_COMMAND), _WHO,
    ),
    Action.COMMAND_DENIED: Definition(
        "a line was refused",
        ("api",), ("denied",), Outcome.FAILURE, (CommandReason,), (*_SESSION, *_COMMAND), _WHO,
    ),
    Action.COMMAND_FAILED: Definition(
        "a command that ran came to nothing; one of another package may have reasons of its own",
        ("api",), ("end",), Outcome.FAILURE, (CommandReason, EnrolmentReason, CsrReason, LineReason, ProgramReason),
        (*_SESSION, *_COMMAND), (*_WHO, "telnetsd.command.exit_status"), has_other_reasons=True,
    ),
    Action.LINE_CONNECTED: Definition(
        "a session is about to be connected to a line: to write, or to watch who does",
        ("session", "network"), ("start",), Outcome.SUCCESS,
        (LineReason.WRITING, LineReason.WATCHING, LineReason.TAKEN_OVER, LineReason.HANDED_OVER),
        (*_SESSION, *_LINE), (*_WHO, "telnetsd.line.writer"),
    ),
    Action.LINE_DISCONNECTED: Definition(
        "a session is not connected to a line any more",
        ("session", "network"), ("end",), Outcome.SUCCESS, (LineReason,),
        (*_SESSION, *_LINE, "telnetsd.line.duration_s", "telnetsd.line.bytes_received", "telnetsd.line.bytes_sent"),
        _WHO,
    ),
    Action.RECORDING_CLOSED: Definition(
        "what a line showed was recorded; the log vouches for the file",
        ("file",), ("creation",), Outcome.SUCCESS, (Reason.OK, EndReason.SERVER_LOST),
        (*_SESSION, *_LINE, *_RECORDING), (*_WHO, "telnetsd.line.writer"),
    ),
    Action.CERTIFICATE_ISSUED: _done(
        "a certificate was issued: to a user, or to the server",
        "iam",
        "creation",
        required=(),
        optional=(*_TARGET, "user.target.roles", "tls.server.hash.sha256", *_CERTIFICATE),
    ),
    Action.CERTIFICATE_RENEWED: _done(
        "a user's certificate was renewed",
        "iam",
        "creation",
        required=_TARGET,
        optional=("user.target.roles", *_CERTIFICATE),
    ),
    Action.CERTIFICATE_REVOKED: _done(
        "a certificate was revoked, or put on hold",
        "iam", "deletion", required=_REVOCATION, optional=(*_TARGET, *_CERTIFICATE),
    ),
    Action.CERTIFICATE_RESTORED: _done(
        "a certificate's hold has ended", "iam", "change", required=_TARGET, optional=_CERTIFICATE
    ),
    Action.PIN_ADDED: _done(
        "a public key was accepted for a user",
        "iam", "creation", required=(*_TARGET, "telnetsd.pin.spki_sha256"), optional=(),
    ),
    Action.PIN_REVOKED: _done(
        "a pin was revoked, or put on hold",
        "iam", "deletion", required=(*_TARGET, "telnetsd.pin.spki_sha256", *_REVOCATION), optional=(),
    ),
    Action.PIN_RESTORED: _done(
        "a pin's hold has ended", "iam", "change", required=(*_TARGET, "telnetsd.pin.spki_sha256"), optional=()
    ),
    Action.USER_ADDED: _done(
        "a user was added", "iam", "user", "creation", required=(*_TARGET, "user.target.roles"), optional=()
    ),
    Action.USER_CHANGED: _done(
        "a user's roles were changed", "iam", "user", "change", required=(*_TARGET, "user.target.roles"), optional=()
    ),
    Action.USER_REMOVED: _done(
        "a user was removed", "iam", "user", "deletion", required=(*_TARGET, "user.target.roles"), optional=()
    ),
    Action.ENROLMENT_REQUESTED: _done(
        "somebody asks to be let in", "iam", "creation", required=_ENROLMENT, optional=()
    ),
    Action.ENROLMENT_APPROVED: _done(
        "a request was granted", "iam", "admin", "change", required=(*_ENROLMENT, *_TARGET), optional=()
    ),
    Action.ENROLMENT_DENIED: _done(
        "a request was denied", "iam", "admin", "deletion", required=_ENROLMENT, optional=()
    ),
    Action.ENROLMENT_COLLECTED: _done(
        "what was granted was handed out", "iam", "info", required=_ENROLMENT, optional=()
    ),
    Action.ENROLMENT_EXPIRED: Definition(
        "a request's time was over, or it gave way to one of a network that has made fewer",
        ("iam",), ("deletion",), Outcome.SUCCESS, (Reason.OK, EnrolmentReason.GAVE_WAY), _ENROLMENT, _CHANGED_BY,
    ),
    Action.TRUST_ANCHOR_ADDED: _done(
        "a CA may vouch for users", "configuration", "creation", required=(), optional=_CERTIFICATE
    ),
    Action.TRUST_ANCHOR_REMOVED: _done(
        "a CA may not vouch for users any more", "configuration", "deletion", required=(), optional=_CERTIFICATE
    ),
    Action.CA_ROTATED: _done(
        "another CA of ours issues from now on", "configuration", "change", required=(), optional=_CERTIFICATE
    ),
    Action.CA_RETIRED: _done(
        "a former CA of ours is not trusted any more", "configuration", "deletion", required=(), optional=_CERTIFICATE
    ),
    Action.CRL_ISSUED: _done("our CRL was signed", "configuration", "change", required=(), optional=()),
    Action.CRL_REJECTED: Definition(
        "a CRL does not count, or no longer",
        ("configuration",), ("info",), Outcome.FAILURE, (CrlProblem,),
    ),
    Action.CHANGE_UNDONE: Definition(
        "a change was cut off, and what the log said of it did not happen",
        ("configuration",), ("change",), Outcome.FAILURE, (Reason.INTERRUPTED,),
    ),
    Action.SERVER_STARTED: Definition(
        "the server listens", ("process",), ("start",), Outcome.SUCCESS, (ServerReason.STARTED,)
    ),
    Action.SERVER_STOPPED: Definition(
        "the server has stopped", ("process",), ("end",), Outcome.SUCCESS, (ServerReason.SIGNAL,)
    ),
    Action.SERVER_RELOADED: Definition(
        "the server serves with what it loaded anew",
        ("configuration",), ("change",), Outcome.SUCCESS, (ReloadReason,), _OPERATOR,
    ),
    Action.RELOAD_FAILED: Definition(
        "what was to be loaded has an error, and nothing was changed",
        ("configuration",), ("info",), Outcome.FAILURE, (Reason.WRONG_CONFIGURATION,), _OPERATOR,
    ),
    Action.AUDIT_CHECKPOINT: Definition(
        "the log was signed; also where a file of it begins, and where a rotated one ends",
        ("file",), ("info",), Outcome.SUCCESS, (CheckpointReason,), _CHECKPOINT,
    ),
    Action.AUDIT_RECOVERED: Definition(
        "what was amiss with the log was set right",
        ("file",), ("change",), Outcome.SUCCESS, (RecoveryReason,), (),
        ("file.name", "telnetsd.audit.lines", "telnetsd.audit.late", "telnetsd.audit.lost", "telnetsd.audit.since"),
    ),
    Action.AUDIT_DAMAGED: Definition(
        "the log is not as it was left, and cannot be set right",
        ("file",), ("info",), Outcome.FAILURE, (DamageReason,), (), ("telnetsd.audit.lines",),
    ),
    Action.AUDIT_PRUNED: Definition(
        "a rotated file is about to be removed, being old or one too many",
        ("file",), ("deletion",), Outcome.SUCCESS, (RetentionReason,),
        ("file.name", "telnetsd.audit.first_sequence", "telnetsd.audit.last_sequence", "telnetsd.audit.last_sha256"),
    ),
    Action.AUDIT_KEY_CHANGED: Definition(
        "another audit key signs from now on",
        ("configuration",), ("change",), Outcome.SUCCESS, (Reason.OK,), (*_OPERATOR, "telnetsd.audit.key_id"),
        _OPERATOR_CLAIMS,
    ),
    Action.AUDIT_NOT_SHIPPED: Definition(
        "events did not reach a collector; they are in the log",
        ("network",), ("info",), Outcome.FAILURE, (ShippingReason,),
        ("telnetsd.collector.name", "telnetsd.audit.first_sequence", "telnetsd.audit.last_sequence"),
    ),
}  # fmt: skip
