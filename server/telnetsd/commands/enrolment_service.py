"""What the enrolment commands ask of the server: to accept a request, to return what was granted, to renew.

`administration.enrolment` is behind the service; a command sees only these values.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from telnetsd.errors import PeerError
from telnetsd.events.reason import EnrolmentReason
from telnetsd.identity.outcome import NamedUser
from telnetsd.pki.certification_request import CertificationRequest
from telnetsd.pki.facts import CertificateFacts


class EnrolmentError(PeerError):
    """A request is refused; the message is for the user, `.reason` for the log."""

    def __init__(self, reason: EnrolmentReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Applicant:
    """The client that asks: its source address, its certificate as TLS proved it, and the fields of its events."""

    source: str
    leaf_der: bytes
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an applicant keeps: the id and the fingerprint to read out, the one-time code, and when that expires."""

    request_id: str
    spki_sha256: str
    code: str
    expires_at: datetime


class EnrolmentService(Protocol):
    """Enrolment. Every method raises EnrolmentError when it refuses."""

    async def request_acceptance(self, applicant: Applicant, name: str, certificate: CertificateFacts) -> Receipt:
        """Request acceptance as `name` of a self-signed certificate, whose key TLS has proved."""

    async def request_certificate(self, applicant: Applicant, name: str, csr: CertificationRequest) -> Receipt:
        """Request a certificate for `name`, for a key that the certification request has proved."""

    async def renew(self, applicant: Applicant, user: NamedUser, csr: CertificationRequest) -> str | Receipt:
        """Renew a certificate for a new key; return the new chain in PEM, or a receipt if the operator decides."""

    async def collect_by_key(self, applicant: Applicant, spki_sha256: str) -> str:
        """Return the chain in PEM that was granted for a public key, to a client that has proved the key by TLS."""

    async def collect_by_code(self, applicant: Applicant, request_id: str, code: str) -> str:
        """Return the chain in PEM that was granted, to a client that has the request's one-time code; only once."""


class NodeAdmission(Protocol):
    """Admits machines to the fleet; refuses with EnrolmentError."""

    async def admit(self, applicant: Applicant, request: bytes) -> bytes:
        """Return what a machine gets that sent a request with the code of an invitation."""
