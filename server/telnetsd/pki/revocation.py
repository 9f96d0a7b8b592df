"""Revocation in the words of RFC 5280 section 5.3.1."""

from dataclasses import dataclass
from datetime import datetime

from telnetsd.events.reason import RevocationReason


@dataclass(frozen=True, slots=True)
class Revocation:
    """Since when (aware, UTC) a certificate is revoked, and why."""

    revoked_at: datetime
    reason: RevocationReason

    @property
    def is_hold(self) -> bool:
        """Whether it can be taken back."""
        return self.reason is RevocationReason.CERTIFICATE_HOLD
