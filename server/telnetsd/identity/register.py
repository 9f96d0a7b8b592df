"""What identity asks of the operator's state."""

from typing import Protocol

from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation


class Register(Protocol):
    """Who is a user, by what, and what was taken back. Hashes and serial numbers are hexadecimal."""

    def version(self) -> int:
        """Return a number that is another one once anything of it may have changed."""

    def user_of(self, issuer_sha256: str, serial_number: str, spki_sha256: str) -> User | None:
        """Return the user to whom this CA issued this certificate, unless it was revoked."""

    def pinned_user(self, spki_sha256: str) -> User | None:
        """Return the user for whom this public key was accepted, unless that was taken back."""

    def mapped_user(self, name: str) -> User | None:
        """Return the user of that name, if entries of other CAs may name them."""

    def is_taken(self, name: str) -> bool:
        """Tell whether there is a user of that name, or was one who was removed."""

    def is_issued(self, issuer_sha256: str, serial_number: str) -> bool:
        """Tell whether this CA issued this certificate to a user: what is revoked of it, the state knows."""

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """Return the revocation of a certificate that this CA issued."""

    def revocation_of_pin(self, spki_sha256: str) -> Revocation | None:
        """Return since when an accepted public key is accepted no more."""
