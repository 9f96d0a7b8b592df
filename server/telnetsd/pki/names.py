"""Distinguished names as RFC 5280 section 7.1 compares them: without regard to case and spacing."""

import unicodedata
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

NameKey = tuple["RdnKey", ...]
RdnKey = frozenset[tuple[str, str]]
"""A relative distinguished name as it is compared: its attributes, by OID and folded value."""
_FORMAT: Final = "Cf"
"""The category of invisible characters, such as U+00AD: comparison ignores them (RFC 4518 section 2.2)."""
_CASE_EXACT: Final = frozenset({NameOID.SERIAL_NUMBER.dotted_string})


def name_key(name: x509.Name) -> NameKey:
    """Return a key that is equal for two names that are the same (RFC 5280 section 7.1)."""
    return tuple(frozenset(map(_attribute_key, rdn)) for rdn in name.rdns)


def _attribute_key(attribute: x509.NameAttribute[str | bytes]) -> tuple[str, str]:
    value, oid = attribute.value, attribute.oid.dotted_string
    if isinstance(value, bytes):
        return oid, value.hex()
    visible = (one for one in unicodedata.normalize("NFKC", value) if unicodedata.category(one) != _FORMAT)
    folded = " ".join("".join(visible).split())
    return oid, folded if oid in _CASE_EXACT else folded.casefold()
