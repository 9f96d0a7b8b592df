"""cert-to-name: the ordered mapping of a verified certificate to a user (RFC 7407 section 4).

An entry names the certificate that must stand in the validated path by its fingerprint, and says how the name is
found (map-type). The first entry whose fingerprint is in the path and that yields a user decides.

The built-in CA has one entry, of the map-type `issued`: the user is the one that the certificate was issued to, held
by the operator's state and found by the issuing CA and the public key. Nothing that stands in the certificate's
subject is looked at.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from telnetsd.identity.outcome import User
from telnetsd.pki.path import Path

BUILT_IN_RULE_ID: Final = "built-in-ca"


class MapType(StrEnum):
    """How an entry finds the name."""

    ISSUED = "issued"


class IssuedCertificates(Protocol):
    """What cert-to-name asks of the operator's state."""

    def user_of(self, issuer_sha256: str, spki_sha256: str) -> User | None:
        """Return the user to whom this CA issued a certificate for this public key."""


@dataclass(frozen=True, slots=True)
class CertToNameEntry:
    """One row of the mapping; `fingerprint_sha256` is of a CA (or leaf) in the validated path."""

    id: str
    fingerprint_sha256: str
    map_type: MapType


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A user, and the entry that found them."""

    user: User
    rule_id: str


def map_to_name(path: Path, entries: tuple[CertToNameEntry, ...], issued: IssuedCertificates) -> NameMatch | None:
    """Return the first match of the mapping for a validated path, or None when no entry yields a user."""
    for entry in entries:
        if entry.fingerprint_sha256 not in path.fingerprints_sha256:
            continue
        match entry.map_type:
            case MapType.ISSUED:
                _, issuer_sha256, *_ = path.fingerprints_sha256
                user = issued.user_of(issuer_sha256, path.leaf_spki_sha256)
        if user is not None:
            return NameMatch(user, entry.id)
    return None


def built_in_entry(ca_sha256: str) -> CertToNameEntry:
    """The entry of the built-in CA."""
    return CertToNameEntry(BUILT_IN_RULE_ID, ca_sha256, MapType.ISSUED)
