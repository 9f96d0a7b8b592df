"""The three outcomes of identification: a named user, a guest, a refusal.

Only `identify` makes them. Everything behind it takes an `Identity`, never a certificate, so that a certificate
that was merely presented cannot be mistaken for a user.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telnetsd.events.reason import CertificateStatus, GuestReason, RefusalReason
from telnetsd.pki.certificate import CertificateFacts
from telnetsd.pki.path_reason import PathProblem
from telnetsd.pki.revocation import Revocation

GUEST_ROLE: Final = "guest"
USER_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the operator added: the name, and the roles."""

    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedUser:
    """A user, known by a verified certificate.

    `rule_id` is the cert-to-name entry that named the user; `valid_until` (aware, UTC) is when the path ends;
    `assurance_class` is how far the CA looked into who it is, `class_name` what the operator calls that.
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
        """A named user's certificate is verified."""
        return CertificateStatus.VERIFIED


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody without a name, with the reason; the certificate, if any, is unverified or maps to nobody."""

    reason: GuestReason
    status: CertificateStatus
    certificate: CertificateFacts | None

    @property
    def roles(self) -> tuple[str, ...]:
        """A guest has the one role that guests have."""
        return (GUEST_ROLE,)

    @property
    def assurance_class(self) -> int:
        """Nobody has looked into who a guest is."""
        return 0


Admitted = NamedUser | Guest


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Somebody who may not come in, with the reason; the certificate, if any, is what was claimed.

    `otherwise` is who it would be if it were known that the certificate was not revoked; `problem` is what is wrong
    with the path, where there is none.
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
