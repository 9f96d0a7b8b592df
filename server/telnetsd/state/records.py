"""What the tables hold, as values. Hashes and serial numbers are hexadecimal; times are aware, UTC, whole seconds."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from telnetsd.events.reason import RevocationReason
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation

FIRST_DEVICE: Final = "first"
"""How people call the device that has no label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate that the built-in CA issued.

    `is_renewed` says that it has a successor, issued by `renew`. `label` tells a user's devices apart; it is empty
    for the first one.
    """

    sha256: str
    user_name: str
    issuer_sha256: str
    spki_sha256: str
    serial_number: str
    public_key: str
    not_before: datetime
    not_after: datetime
    assurance_class: int = 0
    is_renewed: bool = False
    label: str = ""
    revocation: Revocation | None = None


@dataclass(frozen=True, slots=True)
class Pin:
    """A public key that was accepted for a user."""

    spki_sha256: str
    user_name: str
    added_at: datetime
    revocation: Revocation | None = None


@dataclass(frozen=True, slots=True)
class UserRecord:
    """Everything that is known about a user; the certificates are sorted newest first.

    `is_mapped` says that cert-to-name entries of other CAs may name this user.
    """

    user: User
    added_at: datetime
    is_mapped: bool
    certificates: tuple[IssuedCertificate, ...]
    pins: tuple[Pin, ...]

    @property
    def last_day(self) -> datetime | None:
        """The end of the last certificate that is not revoked, or None if there is none."""
        return max((one.not_after for one in self.certificates if one.revocation is None), default=None)


class RequestKind(StrEnum):
    """What an enrolment request contains."""

    SELF_SIGNED = "self-signed"
    CSR = "csr"
    RENEWAL = "renewal"


class RequestStatus(StrEnum):
    """The status of an enrolment request."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    COLLECTED = "collected"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """A request for a certificate.

    `name` is the requested name, `user_name` the name that the operator granted. `subject` is escaped.
    `replaces_sha256` is the certificate that a renewal replaces.
    """

    id: str
    kind: RequestKind
    name: str
    subject: str
    public_key: str
    spki_sha256: str
    source: str
    requested_at: datetime
    expires_at: datetime
    status: RequestStatus = RequestStatus.PENDING
    user_name: str | None = None
    certificate_sha256: str | None = None
    replaces_sha256: str | None = None
    code_failures: int = 0


def to_text(at: datetime) -> str:
    """Format a time as the database stores it."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def to_time(text: str) -> datetime:
    """Parse a time from the database."""
    return datetime.fromisoformat(text)


def to_revocation(revoked_at: str | None, reason: str | None) -> Revocation | None:
    """Parse a revocation from the database."""
    if revoked_at is None:
        return None
    return Revocation(to_time(revoked_at), RevocationReason(reason or RevocationReason.UNSPECIFIED))
