"""The values in a verified certificate that may contain a name, by map-type (RFC 7407 section 4)."""

import ipaddress
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from telnetsd.config.values import MapType

VALUES_MAX: Final = 16
VALUE_MAX_CHARS: Final = 256
_UPN: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
_UTF8_STRING: Final = 0x0C
_STRING_TYPES: Final = {"UTF8String", "PrintableString"}
"""RFC 5280 section 4.1.2.4: the string types that a conforming CA uses for a DirectoryString."""


def values_of(certificate: x509.Certificate, map_type: MapType) -> list[str]:
    """Return the values of a certificate that an entry of this map-type examines.

    More than `VALUES_MAX` values count as none. So does a value that is longer than `VALUE_MAX_CHARS`, not printable
    or not of a usual string type: a name must not come from text that no person would read.
    """
    match map_type:
        case MapType.COMMON_NAME:
            values = _common_names(certificate.subject)
        case MapType.SUBJECT:
            values = [certificate.subject.rfc4514_string()] if _has_usual_strings(certificate.subject) else []
        case MapType.SPECIFIED:
            values = []
        case _:
            values = _alternative_names(certificate, map_type)
    values = [value for value in values if len(value) <= VALUE_MAX_CHARS and value.isprintable()]
    return values if len(values) <= VALUES_MAX else []


def _common_names(subject: x509.Name) -> list[str]:
    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    # More than one match of a name attribute is no match: it is unknown which of them the CA meant.
    if len(found) != 1 or not _has_usual_strings(subject):
        return []
    return [str(found[0].value)]


def _has_usual_strings(name: x509.Name) -> bool:
    # The library knows each attribute's string type but has no public name for it.
    types = (getattr(attribute, "_type", None) for attribute in name)
    return all(getattr(kind, "name", "") in _STRING_TYPES | {"IA5String"} for kind in types)


def _alternative_names(certificate: x509.Certificate, map_type: MapType) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [value for name in names if (value := _value_of(name, map_type)) is not None]


def _value_of(name: x509.GeneralName, map_type: MapType) -> str | None:
    is_any = map_type is MapType.SAN_ANY
    match name:
        case x509.RFC822Name(value=value) if is_any or map_type is MapType.SAN_RFC822_NAME:
            return _rfc822_name(value)
        case x509.DNSName(value=value) if is_any or map_type is MapType.SAN_DNS_NAME:
            return _lower(value)
        case x509.IPAddress(value=address) if is_any or map_type is MapType.SAN_IP_ADDRESS:
            return _ip_address(address)
        case x509.UniformResourceIdentifier(value=value) if map_type is MapType.SAN_URI:
            return value
        case x509.OtherName(type_id=kind, value=der) if kind == _UPN and map_type is MapType.SAN_UPN:
            return _utf8_string(der)
    return None


def _rfc822_name(value: str) -> str | None:
    # RFC 7407: the local part is passed unaltered, the host part is converted to lower case.
    local, at, host = value.rpartition("@")
    lowered = _lower(host)
    return None if lowered is None else f"{local}{at}{lowered}"


def _lower(value: str) -> str | None:
    # RFC 5280 4.2.1.6: an IA5String. Outside it, some letters become different letters in lower case.
    return value.lower() if value.isascii() else None


def _ip_address(address: object) -> str | None:
    # RFC 7407: IPv4 with dots, IPv6 as 32 lower-case hexadecimal digits without colons.
    match address:
        case ipaddress.IPv4Address():
            return str(address)
        case ipaddress.IPv6Address():
            return address.packed.hex()
    return None


def _utf8_string(der: bytes) -> str | None:
    """Decode a DER UTF8String of less than 128 bytes; a longer one is not a user name."""
    if len(der) < 2 or der[0] != _UTF8_STRING or der[1] != len(der) - 2 or der[1] >= 0x80:
        return None
    try:
        return der[2:].decode()
    except UnicodeDecodeError:
        return None
