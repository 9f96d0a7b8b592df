"""The three outcomes of identification: a named user, a guest, a refusal.

Only `identify` makes them. All code after it takes an `Identity`, never a certificate, so that a certificate that was
merely presented cannot be mistaken for a user.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telnetsd.events.reason import CertificateStatus, GuestReason, RefusalReason
from telnetsd.pki.facts import CertificateFacts, PathProblem
from telnetsd.pki.revocation import Revocation

GUEST_ROLE: Final = "guest"
USER_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class User:
    """A user whom the operator added: the name, and the roles."""

    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedUser:
    """A user, known by a verified certificate.

    `rule_id` is the cert-to-name entry that named the user; `valid_until` (aware, UTC) is when the path expires;
    `assurance_class` is how far the CA investigated the user; `class_name` is the operator's name for that class.
    """

    name: str
    roles: tuple[str, ...]
    rule_id: str
    certificate: CertificateFacts
    valid_until: datetime
    assurance_class: int = 0
    class_name: str = ""

    @property
    def status(self) -> CertificateStatus:
        """The status of a named user's certificate, which is always verified."""
        return CertificateStatus.VERIFIED


@dataclass(frozen=True, slots=True)
class Guest:
    """A client without a user name, with the reason; the certificate, if any, is unverified or maps to no user."""

    reason: GuestReason
    status: CertificateStatus
    certificate: CertificateFacts | None

    @property
    def roles(self) -> tuple[str, ...]:
        """The one role that guests have."""
        return (GUEST_ROLE,)

    @property
    def assurance_class(self) -> int:
        """The class of every guest: no CA has investigated a guest."""
        return 0


Admitted = NamedUser | Guest


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A client that may not connect, with the reason; the certificate, if any, is what the client claimed.

    `otherwise` is the identity that the client would have if its certificate were known not to be revoked. `problem`
    is what is wrong with the path, if there is no valid path.
    """

    reason: RefusalReason
    status: CertificateStatus
    certificate: CertificateFacts | None
    revocation: Revocation | None = None
    otherwise: Admitted | None = None
    problem: PathProblem | None = None


Identity = Admitted | Refusal


def is_user_name(text: str) -> bool:
    """Tell whether `text` can be a user name: 1 to 32 of a-z, 0-9, dot, dash, underscore, a letter first.

    One small alphabet leaves no room for look-alikes, control characters or case folding.
    """
    return USER_NAME_PATTERN.fullmatch(text) is not None and text != GUEST_ROLE
