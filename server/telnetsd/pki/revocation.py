"""Revocation in the terms of RFC 5280 section 5.3.1."""

from dataclasses import dataclass
from datetime import datetime

from telnetsd.events.reason import RevocationReason


@dataclass(frozen=True, slots=True)
class Revocation:
    """When a certificate was revoked (aware, UTC), and why."""

    revoked_at: datetime
    reason: RevocationReason

    @property
    def is_hold(self) -> bool:
        """Whether the revocation can be lifted."""
        return self.reason is RevocationReason.CERTIFICATE_HOLD


def still_counts(revocation: Revocation | None) -> bool:
    """Tell whether something may be valid, now or later: it is not revoked, or only on hold."""
    return revocation is None or revocation.is_hold
