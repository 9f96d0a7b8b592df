"""Revocation in the words of RFC 5280 section 5.3.1."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RevocationReason(StrEnum):
    """Why a certificate was revoked; `removeFromCRL` is no reason but the end of a hold."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Since when (aware, UTC) a certificate is revoked, and why."""

    revoked_at: datetime
    reason: RevocationReason

    @property
    def is_hold(self) -> bool:
        """Whether it can be taken back."""
        return self.reason is RevocationReason.CERTIFICATE_HOLD
