"""Parts that many events share: the source, identity and certificate of a client, and who makes a change."""

from telnetsd.events import fields as f
from telnetsd.events.part import Part


class SourcePart(Part):
    """Where a connection comes from; a connection over a Unix socket has no source."""

    ip: f.SourceIp | None = None
    port: f.SourcePort | None = None
    proxy_ip: f.ProxyIp | None = None


class TlsPart(Part):
    """What a handshake negotiated."""

    cipher: f.TlsCipher
    resumed: f.TlsResumed
    version: f.TlsVersion
    curve: f.TlsCurve
    version_protocol: f.TlsVersionProtocol = "tls"
    server_name: f.ClientServerName | None = None


class Who(Part):
    """Who a client is, or claims to be, with the fingerprint of its certificate: see `Certificate`.

    `user_name` is set for a named user only: what a rejected certificate claims is never put there.
    """

    kind: f.IdentityKind
    certificate_status: f.CertificateStatusField
    user_name: f.UserName | None = None
    user_roles: f.UserRoles | None = None
    rule_id: f.RuleId | None = None
    assurance_class: f.IdentityClass | None = None
    identity_reason: f.IdentityReason | None = None
    client_sha256: f.ClientSha256 | None = None


class SessionPart(Part):
    """The fields that a session's events share: its id, its client, the source and the TLS connection."""

    id: f.SessionId
    who: Who
    tls: TlsPart
    source: SourcePart


class IssuerName(Part):
    """The issuer of a certificate; see SubjectName."""

    distinguished_name: f.IssuerDistinguishedName
    common_name: f.IssuerCommonNames | None = None
    country: f.IssuerCountries | None = None
    locality: f.IssuerLocalities | None = None
    organization: f.IssuerOrganizations | None = None
    organizational_unit: f.IssuerOrganizationalUnits | None = None
    state_or_province: f.IssuerStatesOrProvinces | None = None


class SubjectName(Part):
    """The subject of a certificate; its attributes are those that ECS defines."""

    distinguished_name: f.SubjectDistinguishedName
    common_name: f.SubjectCommonNames | None = None
    country: f.SubjectCountries | None = None
    locality: f.SubjectLocalities | None = None
    organization: f.SubjectOrganizations | None = None
    organizational_unit: f.SubjectOrganizationalUnits | None = None
    state_or_province: f.SubjectStatesOrProvinces | None = None


class CertificatePart(Part):
    """A certificate; a long one of a client without a name has only the beginnings of its names."""

    sha256: f.ClientSha256
    subject: f.ClientSubject
    issuer: f.ClientIssuer
    serial_number: f.X509SerialNumber
    not_before: f.X509NotBefore
    not_after: f.X509NotAfter
    public_key_algorithm: f.X509KeyAlgorithm
    public_key_size: f.X509KeySize
    signature_algorithm: f.X509SignatureAlgorithm
    version_number: f.X509VersionNumber
    subject_name: SubjectName | None = None
    issuer_name: IssuerName | None = None
    alternative_names: f.X509AlternativeNames | None = None


class RevocationPart(Part):
    """When a certificate or a pin was revoked, and why."""

    revoked_at: f.RevokedAt
    reason: f.RevocationReasonField


class PathFault(Part):
    """Which certificate of a path is at fault, and why."""

    cause: f.PathCause
    subject: f.PathSubject | None = None


class OperatorPart(Part):
    """An operator on the command line, or at the control socket."""

    name: f.OperatorName
    login: f.OperatorLogin | None = None
    sudo_user: f.OperatorSudoUser | None = None


class TargetPart(Part):
    """The user that a change is about."""

    name: f.TargetName
    roles: f.TargetRoles | None = None


class SignaturePart(Part):
    """The signature of a checkpoint: `audit.chain` inserts it after everything else."""

    signature: f.CheckpointSignature


class LinePart(Part):
    """A line, in the events of sessions that are connected to it."""

    name: f.LineName
    kind: f.LineKindName


class EnrolmentPart(Part):
    """An enrolment request."""

    id: f.EnrolmentId
    kind: f.EnrolmentKind
    name: f.EnrolmentName
    spki_sha256: f.EnrolmentSha256
    subject: f.EnrolmentSubject
