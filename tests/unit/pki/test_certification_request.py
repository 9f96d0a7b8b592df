"""Certification requests: one that proves its key is accepted, and other input raises only the expected error."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from support.certificates import ec_key
from support.requests import make_csr, pem
from telnetsd.events.reason import CsrReason
from telnetsd.pki.certificate import key_sha256
from telnetsd.pki.certification_request import CSR_MAX_BYTES, CsrError, parse_csr

GOOD = make_csr("alice").public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "key", [ec_key(), rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()]
)
@pytest.mark.parametrize("common_name", ["alice", None])
def test_a_request_that_proves_its_key_is_accepted(key: object, common_name: str | None) -> None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    else:
        csr = make_csr(common_name, key)
    for data in (pem(csr).encode(), csr.public_bytes(Encoding.DER)):
        taken = parse_csr(data, "alice")
        assert taken.public_key == csr.public_key()
        assert taken.spki_sha256 == key_sha256(csr.public_key())


def test_a_key_with_an_expensive_exponent_is_weak() -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    from telnetsd.pki.keys import is_costly_key, is_strong_key

    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    costly = RSAPublicNumbers((1 << 2000) + 1, modulus).public_key()
    assert is_costly_key(costly)
    assert not is_strong_key(costly)


def test_a_request_with_two_common_names_is_for_another_user() -> None:
    from support.certificates import name

    both = x509.Name([*name("alice"), *name("alice")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(both)
    from cryptography.hazmat.primitives import hashes

    with pytest.raises(CsrError) as caught:
        parse_csr(csr.sign(ec_key(), hashes.SHA256()).public_bytes(Encoding.DER), "alice")
    assert caught.value.reason is CsrReason.FOR_ANOTHER


def test_a_request_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(CsrError) as caught:
        parse_csr(b"x" * (CSR_MAX_BYTES + 1), "alice")
    assert caught.value.reason is CsrReason.TOO_LONG


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_with_a_message(data: bytes) -> None:
    with pytest.raises(CsrError):
        parse_csr(data, "alice")


@given(st.data())
def test_a_request_with_changed_bytes_is_refused_with_a_message(data: st.DataObject) -> None:
    content = bytearray(GOOD)
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    try:
        parsed = parse_csr(bytes(content), "alice")
    except CsrError as error:
        assert str(error).isprintable()
    else:
        # The change was without effect, such as one to the number of unused bits in the signature's last byte.
        assert replace(parsed, der=GOOD) == replace(parse_csr(GOOD, "alice"), der=GOOD)


def test_other_extensions_of_a_request_are_ignored() -> None:
    from cryptography.hazmat.primitives import hashes

    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
    csr = builder.sign(ec_key(), hashes.SHA256())
    assert parse_csr(csr.public_bytes(Encoding.DER), "alice").public_key == csr.public_key()
