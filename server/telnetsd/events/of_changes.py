"""Events of changes: what operators, and users in sessions, change in an installation."""

from typing import ClassVar, Literal

from telnetsd.events import context
from telnetsd.events import fields as f
from telnetsd.events.event import Event
from telnetsd.events.reason import CommonReason, CrlProblem, EnrolmentReason


class Done(Event):
    """A change that was made as requested."""

    reason: Literal[CommonReason.OK] = CommonReason.OK


class CertificateIssued(Done):
    """A certificate was issued to a user, or to the server."""

    action: ClassVar = "certificate-issued"
    target: context.TargetPart | None = None
    certificate: context.CertificatePart | None = None
    issuer_sha256: f.CertificateIssuerSha256 | None = None
    spki_sha256: f.CertificateSpkiSha256 | None = None
    server_sha256: f.TlsServerSha256 | None = None


class CertificateRenewed(Done):
    """A user's certificate was renewed."""

    action: ClassVar = "certificate-renewed"
    target: context.TargetPart
    certificate: context.CertificatePart | None = None
    issuer_sha256: f.CertificateIssuerSha256 | None = None
    spki_sha256: f.CertificateSpkiSha256 | None = None


class CertificateRevoked(Done):
    """A certificate was revoked, or put on hold."""

    action: ClassVar = "certificate-revoked"
    revocation: context.RevocationPart
    target: f.TargetName | None = None
    certificate: context.CertificatePart | None = None
    serial_number: f.X509SerialNumber | None = None
    sha256: f.ClientSha256 | None = None


class CertificateRestored(Done):
    """A certificate is no longer on hold."""

    action: ClassVar = "certificate-restored"
    target: f.TargetName
    serial_number: f.X509SerialNumber | None = None
    sha256: f.ClientSha256 | None = None


class PinAdded(Done):
    """A public key was accepted for a user."""

    action: ClassVar = "pin-added"
    target: f.TargetName
    spki_sha256: f.PinSha256


class PinRevoked(Done):
    """A pin was revoked, or put on hold."""

    action: ClassVar = "pin-revoked"
    target: f.TargetName
    spki_sha256: f.PinSha256
    revocation: context.RevocationPart


class PinRestored(Done):
    """A pin is no longer on hold."""

    action: ClassVar = "pin-restored"
    target: f.TargetName
    spki_sha256: f.PinSha256


class UserAdded(Done):
    """A user was added."""

    action: ClassVar = "user-added"
    name: f.TargetName
    roles: f.TargetRoles


class UserChanged(Done):
    """A user's roles were changed."""

    action: ClassVar = "user-changed"
    name: f.TargetName
    roles: f.TargetRoles
    is_mapped: f.TargetIsMapped


class UserRenamed(Done):
    """A user has another name; the former one is never given to another user."""

    action: ClassVar = "user-renamed"
    name: f.TargetName
    changed: f.ChangedName


class UserRemoved(Done):
    """A user was removed."""

    action: ClassVar = "user-removed"
    name: f.TargetName
    roles: f.TargetRoles


class EnrolmentRequested(Done):
    """A client requests a certificate, or acceptance of its own."""

    action: ClassVar = "enrolment-requested"
    enrolment: context.EnrolmentPart


class EnrolmentApproved(Done):
    """A request was approved."""

    action: ClassVar = "enrolment-approved"
    enrolment: context.EnrolmentPart
    target: f.TargetName


class EnrolmentDenied(Done):
    """A request was denied."""

    action: ClassVar = "enrolment-denied"
    enrolment: context.EnrolmentPart


class EnrolmentCollected(Done):
    """An approved certificate was collected."""

    action: ClassVar = "enrolment-collected"
    enrolment: context.EnrolmentPart


class EnrolmentExpired(Event):
    """A request has expired, or was removed in favour of one from a network that has made fewer."""

    action: ClassVar = "enrolment-expired"
    reason: Literal[CommonReason.OK, EnrolmentReason.GAVE_WAY] = CommonReason.OK
    enrolment: context.EnrolmentPart


class TrustAnchorAdded(Done):
    """A CA is trusted to vouch for users."""

    action: ClassVar = "trust-anchor-added"
    certificate: context.CertificatePart


class TrustAnchorRemoved(Done):
    """A CA is no longer trusted to vouch for users."""

    action: ClassVar = "trust-anchor-removed"
    certificate: context.CertificatePart


class CaRotated(Done):
    """Another CA of this installation issues certificates from now on."""

    action: ClassVar = "ca-rotated"
    certificate: context.CertificatePart


class CaRetired(Done):
    """A previous CA of this installation is no longer trusted."""

    action: ClassVar = "ca-retired"
    certificate: context.CertificatePart


class CrlIssued(Done):
    """The CRL of this installation's CA was signed."""

    action: ClassVar = "crl-issued"


class CrlRejected(Event):
    """A CRL is not accepted, or is no longer accepted."""

    action: ClassVar = "crl-rejected"
    reason: CrlProblem


class InstallationBackedUp(Done):
    """A backup of the installation was made."""

    action: ClassVar = "installation-backed-up"
    last_sequence: f.BackupLastSequence
    last_sha256: f.BackupLastSha256
    sha256: f.BackupSha256
    has_keys: f.BackupHasKeys


class InstallationRestored(Done):
    """The installation was restored from a backup; changes that were made after it may be missing."""

    action: ClassVar = "installation-restored"
    taken_at: f.BackupTakenAt
    last_sequence: f.BackupLastSequence
    last_sha256: f.BackupLastSha256
    sha256: f.BackupSha256


class ChangeUndone(Event):
    """A change was interrupted, and what the log says about it did not happen."""

    action: ClassVar = "change-undone"
    reason: Literal[CommonReason.INTERRUPTED] = CommonReason.INTERRUPTED
