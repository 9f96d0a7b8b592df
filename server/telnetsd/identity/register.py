"""The interface through which identity queries the operator's state."""

from typing import Protocol

from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation


class Register(Protocol):
    """The users, how each is recognised, and what was revoked. Hashes and serial numbers are hexadecimal."""

    def version(self) -> int:
        """Return a number that is different once anything in the register may have changed."""

    def user_of(self, issuer_sha256: str, serial_number: str, spki_sha256: str) -> User | None:
        """Return the user to whom this CA issued this certificate, unless it was revoked."""

    def pinned_user(self, spki_sha256: str) -> User | None:
        """Return the user for whom this public key was accepted, unless that was revoked."""

    def mapped_user(self, name: str) -> User | None:
        """Return the user of that name, if entries of other CAs may name that user."""

    def is_taken(self, name: str) -> bool:
        """Tell whether a user has that name, or had it before being removed."""

    def is_issued(self, issuer_sha256: str, serial_number: str) -> bool:
        """Tell whether this CA issued this certificate to a user: if so, the state knows of its revocation."""

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """Return the revocation of a certificate that this CA issued."""

    def revocation_of_pin(self, spki_sha256: str) -> Revocation | None:
        """Return the revocation of a public key that was accepted and no longer is."""
