"""Every field of the audit log: its name, what it holds, and what it means.

Names are those of the Elastic Common Schema 9.4, and `telnetsd.*` for what it lacks. An attribute of a part or an
event is annotated with one of these, so that a value of another type is a type error.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, get_args, get_origin

from telnetsd.events.part import Field, Schema
from telnetsd.events.reason import CertificateStatus, RevocationReason

ECS_VERSION: Final = "9.4.0"
DATASET: Final = "telnetsd.audit"
TEXT_MAX_CHARS: Final = 1024
"""The longest text of a peer in one field; a command line has a limit of its own."""
LINE_MAX_CHARS: Final = 8192
GUEST_LINE_MAX_CHARS: Final = 256
"""How much of a guest's refused line the log keeps; a command that runs is logged in full."""
CAUSE_MAX_CHARS: Final = 300
SERIAL_MAX_CHARS: Final = 80
"""A serial number has at most 20 bytes (RFC 5280 section 4.1.2.2); one that a peer makes up may be longer."""


class Outcome(StrEnum):
    """The outcome of an event (ECS event.outcome)."""

    SUCCESS = "success"
    FAILURE = "failure"


def timestamp(at: datetime) -> str:
    """RFC 3339 with microseconds, as in 2026-01-31T23:59:59.000000Z; `at` is aware, UTC."""
    # Three times as fast as strftime, and each event has at least one.
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: str) -> datetime | None:
    """Return the time of a timestamp (aware); None when the text is not a timestamp."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _words(kind: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": sorted(word.value for word in kind)}


_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
_FLAG: Final[Schema] = {"type": "boolean"}
_WORD: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9-]+$"}
_TIME: Final[Schema] = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}
_SHA256: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_SHA256_UPPER: Final[Schema] = {"type": "string", "pattern": "^[0-9A-F]{64}$"}
_UUID: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$",
}

_NAME_ATTRIBUTES: Final = {
    "distinguished_name": "",
    "common_name": "common names",
    "country": "country codes",
    "locality": "localities",
    "organization": "organizations",
    "organizational_unit": "organizational units",
    "state_or_province": "states or provinces",
}


def _of_name(whose: Literal["issuer", "subject"], key: str) -> Field:
    """Return a field of a distinguished name."""
    words = _NAME_ATTRIBUTES[key]
    if not words:
        return Field(f"tls.client.x509.{whose}.{key}", _TEXT, f"the {whose}, as RFC 4514 writes it")
    return Field(f"tls.client.x509.{whose}.{key}", _TEXTS, f"{words} of the {whose}")


IdentityKindWord = Literal["guest", "refusal", "user"]
"""The outcome of identification."""

# fmt: off
# The fields of every event; `audit.trail` and `audit.chain` write these.
Timestamp = Annotated[str, Field("@timestamp", _TIME, "when it happened, UTC, with microseconds")]
EventMessage = Annotated[str, Field("message", _TEXT, "one sentence for people; text of a peer in it is escaped")]
EcsVersion = Annotated[str, Field("ecs.version", {"const": ECS_VERSION}, "the version of the Elastic Common Schema")]
EventAction = Annotated[str, Field("event.action", _WORD, "what happened")]
EventCategory = Annotated[tuple[str, ...], Field("event.category", _TEXTS, "its ECS category")]
EventDataset = Annotated[str, Field("event.dataset", {"const": DATASET}, "always telnetsd.audit")]
EventHash = Annotated[str, Field("event.hash", _SHA256, "SHA-256 of this line without this member")]
EventKind = Annotated[str, Field("event.kind", {"const": "event"}, "always event")]
EventOutcome = Annotated[Outcome, Field("event.outcome", _words(Outcome), "the outcome")]
EventReason = Annotated[str, Field("event.reason", _WORD, "why, as an enumerated word")]
EventSequence = Annotated[
    int, Field("event.sequence", {"type": "integer", "minimum": 1}, "counts the lines of the log, from 1")
]
EventType = Annotated[tuple[str, ...], Field("event.type", _TEXTS, "its type within the category")]
ChainPrevious = Annotated[
    str, Field("telnetsd.chain.previous", _SHA256, "SHA-256 of the whole previous line; zeros in the very first line")
]

# The source of a connection, and the identity of the client.
SourceIp = Annotated[str, Field("source.ip", _TEXT, "where the connection came from")]
SourcePort = Annotated[int, Field("source.port", {"type": "integer", "minimum": 0, "maximum": 65535}, "its port")]
ProxyIp = Annotated[str, Field("telnetsd.proxy.ip", _TEXT, "the proxy that connected for the source")]
SessionId = Annotated[str, Field("telnetsd.session.id", _UUID, "the session, a UUIDv7")]
UserName = Annotated[
    str, Field("user.name", _TEXT, "a named user, and no other client: what a certificate claims never appears here")
]
UserRoles = Annotated[tuple[str, ...], Field("user.roles", _TEXTS, "the roles in effect in the session")]
RuleId = Annotated[str, Field("rule.id", _TEXT, "the cert-to-name entry that named the user")]
IdentityKind = Annotated[
    IdentityKindWord,
    Field("telnetsd.identity.kind", {"enum": list(get_args(IdentityKindWord))}, "the outcome of identification"),
]
IdentityClass = Annotated[int, Field("telnetsd.identity.class", _COUNT, "the user's assurance class")]
IdentityReason = Annotated[str, Field("telnetsd.identity.reason", _WORD, "why a client is a guest, or refused")]
CertificateStatusField = Annotated[
    CertificateStatus,
    Field("telnetsd.certificate.status", _words(CertificateStatus), "the result of checking the certificate"),
]
CertificateIssuerSha256 = Annotated[
    str, Field("telnetsd.certificate.issuer_sha256", _SHA256, "SHA-256 of the CA that issued it")
]
CertificateSpkiSha256 = Annotated[
    str, Field("telnetsd.certificate.spki_sha256", _SHA256, "SHA-256 of its public key (SubjectPublicKeyInfo)")
]
RevokedAt = Annotated[str, Field("telnetsd.certificate.revoked_at", _TIME, "when it was revoked")]
RevocationReasonField = Annotated[
    RevocationReason,
    Field("telnetsd.certificate.revocation_reason", _words(RevocationReason), "why a certificate was revoked"),
]
PathCause = Annotated[
    str, Field("telnetsd.path.cause", _TEXT, "why no path leads from the certificate to a trust anchor")
]
PathSubject = Annotated[
    str,
    Field("telnetsd.path.subject", _TEXT, "the subject of the certificate at fault; absent for the client's own"),
]

# TLS, and the certificate.
TlsCipher = Annotated[str, Field("tls.cipher", _TEXT, "the cipher suite")]
TlsCurve = Annotated[str, Field("tls.curve", _TEXT, "the group of the key exchange")]
TlsResumed = Annotated[bool, Field("tls.resumed", _FLAG, "whether the TLS session was resumed")]
TlsVersion = Annotated[str, Field("tls.version", _TEXT, "the version of TLS")]
TlsVersionProtocol = Annotated[Literal["tls"], Field("tls.version_protocol", {"const": "tls"}, "always tls")]
TlsServerSha256 = Annotated[
    str, Field("tls.server.hash.sha256", _SHA256_UPPER, "the SHA-256 of the server's own new certificate")
]
ClientSha256 = Annotated[str, Field("tls.client.hash.sha256", _SHA256_UPPER, "the certificate's SHA-256")]
ClientServerName = Annotated[
    str, Field("tls.client.server_name", _TEXT, "the server name that the client asked for")
]
ClientSubject = Annotated[str, Field("tls.client.subject", _TEXT, "its subject, as RFC 4514 writes it")]
ClientIssuer = Annotated[str, Field("tls.client.issuer", _TEXT, "its issuer, as RFC 4514 writes it")]
X509AlternativeNames = Annotated[
    tuple[str, ...], Field("tls.client.x509.alternative_names", _TEXTS, "its subject alternative names")
]
X509NotAfter = Annotated[str, Field("tls.client.x509.not_after", _TIME, "the end of its validity")]
X509NotBefore = Annotated[str, Field("tls.client.x509.not_before", _TIME, "the start of its validity")]
X509KeyAlgorithm = Annotated[str, Field("tls.client.x509.public_key_algorithm", _TEXT, "the kind of its key")]
X509KeySize = Annotated[int, Field("tls.client.x509.public_key_size", _COUNT, "the size of its key, in bits")]
X509SerialNumber = Annotated[
    str, Field("tls.client.x509.serial_number", _TEXT, "its serial number, in upper-case hexadecimal")
]
X509SignatureAlgorithm = Annotated[str, Field("tls.client.x509.signature_algorithm", _TEXT, "how it was signed")]
X509VersionNumber = Annotated[str, Field("tls.client.x509.version_number", _TEXT, "its X.509 version")]

IssuerDistinguishedName = Annotated[str, _of_name("issuer", "distinguished_name")]
IssuerCommonNames = Annotated[tuple[str, ...], _of_name("issuer", "common_name")]
IssuerCountries = Annotated[tuple[str, ...], _of_name("issuer", "country")]
IssuerLocalities = Annotated[tuple[str, ...], _of_name("issuer", "locality")]
IssuerOrganizations = Annotated[tuple[str, ...], _of_name("issuer", "organization")]
IssuerOrganizationalUnits = Annotated[tuple[str, ...], _of_name("issuer", "organizational_unit")]
IssuerStatesOrProvinces = Annotated[tuple[str, ...], _of_name("issuer", "state_or_province")]
SubjectDistinguishedName = Annotated[str, _of_name("subject", "distinguished_name")]
SubjectCommonNames = Annotated[tuple[str, ...], _of_name("subject", "common_name")]
SubjectCountries = Annotated[tuple[str, ...], _of_name("subject", "country")]
SubjectLocalities = Annotated[tuple[str, ...], _of_name("subject", "locality")]
SubjectOrganizations = Annotated[tuple[str, ...], _of_name("subject", "organization")]
SubjectOrganizationalUnits = Annotated[tuple[str, ...], _of_name("subject", "organizational_unit")]
SubjectStatesOrProvinces = Annotated[tuple[str, ...], _of_name("subject", "state_or_province")]

# Commands and lines.
CommandName = Annotated[str, Field("telnetsd.command.name", _TEXT, "the command's name")]
CommandLine = Annotated[
    str,
    Field("telnetsd.command.line", _TEXT, "what was typed, escaped; secrets and answers to questions left out"),
]
CommandExitStatus = Annotated[
    int,
    Field(
        "telnetsd.command.exit_status",
        {"type": "integer"},
        "the exit status of its program; minus the signal that ended it",
    ),
]
LineName = Annotated[str, Field("telnetsd.line.name", _TEXT, "the line's name in the configuration")]
LineKindName = Annotated[str, Field("telnetsd.line.kind", _WORD, "what kind of line it is: see docs/lines.md")]
LineWriter = Annotated[
    str,
    Field(
        "telnetsd.line.writer", _TEXT, "the user who writes to the line, if this session watches or took over"
    ),
]
LineDurationS = Annotated[
    float, Field("telnetsd.line.duration_s", _SECONDS, "how long it was connected, in seconds")
]
LineBytesReceived = Annotated[
    int, Field("telnetsd.line.bytes_received", _COUNT, "how many bytes came from the line to this session")
]
LineBytesSent = Annotated[
    int, Field("telnetsd.line.bytes_sent", _COUNT, "how many bytes this session sent to the line")
]
LineUnrecorded = Annotated[
    int,
    Field(
        "telnetsd.line.unrecorded_changes", _COUNT, "how many times it was connected or lost before that, unrecorded"
    ),
]
LineGapSince = Annotated[str, Field("telnetsd.line.unrecorded_since", _TIME, "since when output was not recorded")]
LineGapBytes = Annotated[int, Field("telnetsd.line.unrecorded_bytes", _COUNT, "how much output was not recorded")]
LineCommandText = Annotated[
    str, Field("telnetsd.line.command", _TEXT, "the command as the line showed it, escaped; redacted parts left out")
]
LinePrompt = Annotated[str, Field("telnetsd.line.prompt", _TEXT, "what the line showed before the command, escaped")]
LineOverruns = Annotated[
    int, Field("telnetsd.line.overruns", _COUNT, "how many times the serial port lost received bytes")
]
AlertName = Annotated[str, Field("telnetsd.alert.name", _TEXT, "the alert's name in the configuration")]
AlertText = Annotated[str, Field("telnetsd.alert.text", _TEXT, "the line of text that matched, escaped")]
AlertUnreported = Annotated[
    int, Field("telnetsd.alert.unreported", _COUNT, "how many times it matched before that, within a minute")
]
RecordingFile = Annotated[str, Field("telnetsd.recording.file", _TEXT, "its file below audit/recordings")]
RecordingBytes = Annotated[int, Field("telnetsd.recording.bytes", _COUNT, "the size of the recording")]
RecordingOffsetS = Annotated[
    float, Field("telnetsd.recording.offset_s", _SECONDS, "when in the recording, in seconds from its beginning")
]
RecordingIsWhole = Annotated[
    bool,
    Field("telnetsd.recording.is_whole", _FLAG, "false if it reached its limit, or the server was killed"),
]
RecordingSha256 = Annotated[str, Field("telnetsd.recording.sha256", _SHA256, "SHA-256 of the file")]

# Counts.
Connections = Annotated[int, Field("telnetsd.connections", _COUNT, "how many connections it is about")]
Commands = Annotated[int, Field("telnetsd.commands", _COUNT, "how many lines of guests it is about")]
HandshakeS = Annotated[float, Field("telnetsd.handshake_s", _SECONDS, "how long the TLS handshake took, in seconds")]

# Operators, and what they change.
OperatorName = Annotated[
    str,
    Field(
        "telnetsd.operator.name",
        _TEXT,
        "the operator: the operating system's user of the command line, or of the control socket",
    ),
]
OperatorLogin = Annotated[
    str, Field("telnetsd.operator.login", _TEXT, "the user that the operator logged in as (login uid)")
]
OperatorSudoUser = Annotated[
    str, Field("telnetsd.operator.sudo_user", _TEXT, "the user before sudo, as claimed by the operator")
]
ChangedName = Annotated[str, Field("user.changes.name", _TEXT, "the name that a user has from now on")]
TargetName = Annotated[str, Field("user.target.name", _TEXT, "the user whom an operator's change is about")]
TargetRoles = Annotated[tuple[str, ...], Field("user.target.roles", _TEXTS, "that user's roles")]
TargetIsMapped = Annotated[
    bool, Field("telnetsd.target.is_mapped", _FLAG, "whether cert-to-name entries of other CAs may name that user")
]
BackupTakenAt = Annotated[str, Field("telnetsd.backup.taken_at", _TIME, "when the backup was made")]
BackupLastSequence = Annotated[
    int, Field("telnetsd.backup.last_sequence", _COUNT, "the line of the log up to which it has every change")
]
BackupLastSha256 = Annotated[str, Field("telnetsd.backup.last_sha256", _SHA256, "SHA-256 of that line")]
BackupSha256 = Annotated[str, Field("telnetsd.backup.sha256", _SHA256, "SHA-256 of the backup")]
BackupHasKeys = Annotated[bool, Field("telnetsd.backup.has_keys", _FLAG, "whether it has the private keys")]
PinSha256 = Annotated[str, Field("telnetsd.pin.spki_sha256", _SHA256, "SHA-256 of the pinned public key")]
EnrolmentId = Annotated[str, Field("telnetsd.enrolment.id", _TEXT, "the request")]
EnrolmentKind = Annotated[str, Field("telnetsd.enrolment.kind", _TEXT, "what kind of request it is")]
EnrolmentName = Annotated[str, Field("telnetsd.enrolment.name", _TEXT, "the requested user name")]
EnrolmentSha256 = Annotated[
    str, Field("telnetsd.enrolment.spki_sha256", _SHA256, "SHA-256 of the public key that it is about")
]
EnrolmentSubject = Annotated[str, Field("telnetsd.enrolment.subject", _TEXT, "the subject that the request claims")]

# The fleet.
FleetName = Annotated[str, Field("telnetsd.fleet.name", _TEXT, "the name of the fleet")]
FleetNodeName = Annotated[str, Field("telnetsd.fleet.node", _TEXT, "the node of the fleet that it is about")]
FleetChangeId = Annotated[
    str, Field("telnetsd.fleet.change_id", _WORD, "the change, by the id that it has on every node")
]
FleetPosition = Annotated[
    int, Field("telnetsd.fleet.position", _COUNT, "its position in the fleet's stream of changes")
]
FleetCapabilities = Annotated[
    tuple[str, ...], Field("telnetsd.fleet.capabilities", _TEXTS, "what the node may do")
]
FleetCutOffSince = Annotated[
    str, Field("telnetsd.fleet.cut_off_since", _TIME, "since when this node may lack changes of the others")
]
FleetLife = Annotated[
    int, Field("telnetsd.fleet.life", _COUNT, "how many times a node of that name has joined")
]

# The log itself.
FileName = Annotated[str, Field("file.name", _TEXT, "a file beside the log that it is about")]
AuditKeyId = Annotated[str, Field("telnetsd.audit.key_id", _SHA256, "the audit key that signs from now on")]
AuditLines = Annotated[int, Field("telnetsd.audit.lines", _COUNT, "how many lines of the log it is about")]
AuditFirstSequence = Annotated[int, Field("telnetsd.audit.first_sequence", _COUNT, "the first of those lines")]
AuditLastSequence = Annotated[int, Field("telnetsd.audit.last_sequence", _COUNT, "the last of those lines")]
AuditLastSha256 = Annotated[str, Field("telnetsd.audit.last_sha256", _SHA256, "SHA-256 of the last of those lines")]
AuditLate = Annotated[
    int, Field("telnetsd.audit.late", _COUNT, "how many events were written late")
]
AuditLost = Annotated[
    int,
    Field("telnetsd.audit.lost", _COUNT, "how many events were never written; what they record was refused"),
]
AuditSince = Annotated[str, Field("telnetsd.audit.since", _TIME, "since when the log could not be written")]
CheckpointAlgorithm = Annotated[
    Literal["Ed25519"], Field("telnetsd.checkpoint.algorithm", {"const": "Ed25519"}, "how the line is signed")
]
CheckpointKeyId = Annotated[
    str, Field("telnetsd.checkpoint.key_id", _SHA256, "the audit key: SHA-256 of its SubjectPublicKeyInfo")
]
CheckpointSignature = Annotated[
    str,
    Field(
        "telnetsd.checkpoint.signature",
        _TEXT,
        "signs the line without this member and `event.hash`; base64",
    ),
]
NotifyName = Annotated[str, Field("telnetsd.notify.name", _TEXT, "the name of the [[notify]] entry")]
CollectorName = Annotated[str, Field("telnetsd.collector.name", _TEXT, "the collector's name in the configuration")]
# fmt: on

ALWAYS: Final = tuple(
    next(extra for extra in get_args(one) if isinstance(extra, Field)).name
    for one in (
        Timestamp, EventMessage, EcsVersion, EventAction, EventCategory, EventDataset, EventHash, EventKind,
        EventOutcome, EventReason, EventSequence, EventType, ChainPrevious,
    )
)  # fmt: skip
"""The fields that every event has."""


def all_fields() -> Iterator[Field]:
    """Yield every field that is declared in this module."""
    for one in globals().values():
        if get_origin(one) is Annotated:
            yield from (extra for extra in get_args(one)[1:] if isinstance(extra, Field))
