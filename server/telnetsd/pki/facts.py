"""What can be said about a certificate, as text and times: no X.509 library is needed to read it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from telnetsd.events.reason import PathReason

UNREADABLE: Final = "(unreadable)"
EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class NameFacts:
    """A subject or an issuer: the RFC 4514 string, and the attributes that ECS names."""

    distinguished_name: str
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What a certificate says about itself, as text: for display and logs, never the basis of a decision."""

    sha256: str
    spki_sha256: str = ""
    version: int = 0
    serial_number: str = ""
    subject: NameFacts = NameFacts(UNREADABLE)
    issuer: NameFacts = NameFacts(UNREADABLE)
    not_before: datetime = EPOCH
    not_after: datetime = EPOCH
    public_key_algorithm: str = UNREADABLE
    public_key_size: int = 0
    signature_algorithm: str = UNREADABLE
    alternative_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathProblem:
    """Why a path is not valid.

    Attributes:
        reason: The enumerated reason.
        cause: What is wrong, as text of ours or of the X.509 library; empty if the reason is sufficient.
        subject: The subject of the certificate at fault, in RFC 4514 form, unescaped; empty for the leaf itself.
    """

    reason: PathReason
    cause: str = ""
    subject: str = ""


def days_left(not_after: datetime, at: datetime) -> int:
    """Return the whole days from `at` until a certificate's end (both aware, UTC); negative when that has passed."""
    return (not_after - at).days


def key_words(algorithm: str, size: int) -> str:
    """Return an algorithm and its size in bits as readable text; omit a size that has no meaning."""
    return f"{algorithm}, {size} bits" if size else algorithm
