"""Comparing distinguished names (RFC 5280 section 7.1)."""

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from telnetsd.pki.names import name_key


def text(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, value)])


def bits(value: bytes) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, value, _type=_ASN1Type.BitString)])


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        (text("Example  Ltd"), text("example ltd"), True),
        (text("Example"), text("Example Ltd"), False),
        (bits(b"\x00a"), bits(b"\x00a"), True),
        (bits(b"\x00a"), bits(b"\x00A"), False),
    ],
)
def test_names_are_compared_without_case_and_extra_spaces_and_bits_exactly(
    one: x509.Name, other: x509.Name, are_equal: bool
) -> None:
    assert (name_key(one) == name_key(other)) is are_equal
