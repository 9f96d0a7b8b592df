"""cert-to-name: the ordered mapping of a verified certificate to a user (RFC 7407 section 4).

An entry gives the fingerprint of a certificate that must be in the validated path, and says how to find the name
(map-type). The first entry whose fingerprint is in the path and that yields a user decides.

The built-in CA's entries come first. Their user is the one to whom the certificate was issued. The operator's state
holds that user, and is searched by issuer, serial number and public key. The subject is ignored.

The operator writes the entries of other CAs. A name that they yield belongs to a user only if the operator added that
user with `user add --mapped`, or gave the entry `roles`. With `roles`, no user may have, or have had, that name.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import UnsetType

from telnetsd.config.settings import CertToNameSettings
from telnetsd.config.values import MapType, fingerprint_hex
from telnetsd.errors import OperatorError
from telnetsd.identity.name_pattern import NamePattern
from telnetsd.identity.names import values_of
from telnetsd.identity.outcome import User, is_user_name
from telnetsd.identity.register import Register
from telnetsd.pki.path import CertificationPath

BUILT_IN_RULE_ID: Final = "built-in-ca"
PIN_RULE_ID: Final = "pin"
_T = TypeVar("_T")


class NoMatch(StrEnum):
    """Why an entry names no user, as text for the operator."""

    OTHER_FINGERPRINT = "no certificate in the path has its fingerprint"
    NOT_ISSUED_TO_A_USER = "state.db has no user for the certificate: it was not issued here, or was revoked"
    NO_VALUE = "the certificate has no value of that map-type that could be a name"
    NO_NAME = "no value maps to a user name"
    SEVERAL_NAMES = "several values map to a user name, so it is ambiguous"
    NO_USER = "no user has that name; run: telnetsd user add NAME --mapped, or give the entry roles"
    NOT_MAPPED = "a user of that name was added without --mapped, or was removed; run: telnetsd user show NAME"


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A user, and the entry that found the user."""

    user: User
    rule_id: str


@dataclass(frozen=True, slots=True)
class IssuedEntry:
    """The entry of one of the built-in CA's anchors."""

    fingerprint_sha256: str
    id: str = BUILT_IN_RULE_ID

    def find(self, path: CertificationPath, register: Register) -> User | NoMatch:
        """Return the user to whom the leaf was issued."""
        if self.fingerprint_sha256 not in path.fingerprints_sha256:
            return NoMatch.OTHER_FINGERPRINT
        _, issuer_sha256, *_ = path.fingerprints_sha256
        user = register.user_of(issuer_sha256, path.leaf_serial_number, path.leaf_spki_sha256)
        return user or NoMatch.NOT_ISSUED_TO_A_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedEntry:
    """An entry of the configuration; `fingerprint_sha256` is that of a CA or of the leaf itself, in lower case."""

    id: str
    fingerprint_sha256: str
    map_type: MapType
    name: str | None
    pattern: NamePattern | None
    names: dict[str, str] | None
    roles: tuple[str, ...] | None

    def find(self, path: CertificationPath, register: Register) -> User | NoMatch:
        """Return the user whom the leaf names."""
        if self.fingerprint_sha256 not in path.known_by:
            return NoMatch.OTHER_FINGERPRINT
        name = self._find_name(path)
        return name if isinstance(name, NoMatch) else self._find_user(name, register)

    def _find_name(self, path: CertificationPath) -> str | NoMatch:
        if self.name is not None:
            return self.name
        values = values_of(path.leaf, self.map_type)
        if not values:
            return NoMatch.NO_VALUE
        found = [name for value in values if (name := self._name_in(value)) is not None]
        if not found:
            return NoMatch.NO_NAME
        return found[0] if len(found) == 1 else NoMatch.SEVERAL_NAMES

    def _name_in(self, value: str) -> str | None:
        if self.names is not None and value in self.names:
            return self.names[value]
        if self.pattern is not None:
            return self.pattern.name_in(value)
        return value if self.names is None and is_user_name(value) else None

    def _find_user(self, name: str, register: Register) -> User | NoMatch:
        user = register.mapped_user(name)
        if user is not None:
            return user
        if not is_user_name(name):
            return NoMatch.NO_NAME
        if register.is_taken(name):
            return NoMatch.NOT_MAPPED
        return User(name, self.roles) if self.roles is not None else NoMatch.NO_USER


CertToNameEntry = IssuedEntry | MappedEntry


def map_to_name(
    path: CertificationPath, entries: tuple[CertToNameEntry, ...], register: Register
) -> NameMatch | None:
    """Return the first match of the mapping for a validated path, or None when no entry yields a user."""
    for entry in entries:
        found = entry.find(path, register)
        if isinstance(found, User):
            return NameMatch(found, entry.id)
    return None


def make_entry(settings: CertToNameSettings) -> MappedEntry:
    """Make an entry from its settings.

    Raises:
        OperatorError: Its keys cannot be combined, or it could never name a user.
    """
    entry = MappedEntry(
        id=settings.id,
        fingerprint_sha256=fingerprint_hex(settings.fingerprint),
        map_type=settings.map_type,
        name=_given(settings.name),
        pattern=None if isinstance(settings.pattern, UnsetType) else NamePattern(settings.pattern, settings.id),
        names=_given(settings.names),
        roles=_given(settings.roles),
    )
    problem = _entry_problem(entry)
    if problem:
        raise OperatorError(f"wrong entry {settings.id!r} under [[cert_to_name]] in telnetsd.toml: {problem}")
    return entry


def _entry_problem(entry: MappedEntry) -> str:
    has_way = entry.pattern is not None or entry.names is not None
    if entry.map_type is MapType.SPECIFIED:
        if entry.name is None or has_way:
            return "the map_type specified requires name, and allows neither pattern nor names"
    elif entry.name is not None:
        return f"name belongs to the map_type specified, not to {entry.map_type.value}"
    elif entry.map_type is MapType.SUBJECT and not has_way:
        return "the map_type subject needs a pattern or names, as in pattern = 'CN={name},O=Example'"
    given = (entry.name, *(entry.names or {}).values())
    wrong = next((name for name in given if name is not None and not is_user_name(name)), None)
    return "" if wrong is None else f"{wrong!r} cannot be a user name"


def _given(value: _T | UnsetType) -> _T | None:
    return None if isinstance(value, UnsetType) else value
