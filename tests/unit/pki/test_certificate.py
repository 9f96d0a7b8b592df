"""What can be read from a certificate, good or broken, without trusting a byte of it."""

import subprocess
import warnings
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from support.certificates import Recipe, make_ca
from support.machine import needs_openssl
from telnetsd.pki.certificate import (
    NAMES_MAX,
    SERIAL_MAX_DIGITS,
    TEXT_MAX_CHARS,
    MalformedCertificateError,
    certificate_sha256,
    describe,
    describe_der,
    key_facts,
    parse_certificate,
)
from telnetsd.pki.facts import UNREADABLE

LEAF = Recipe().signed_by(make_ca())


def test_the_facts_are_those_of_the_certificate() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, "alice"),
        ]
    )
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.example"),
            x509.RFC822Name("a@a.example"),
            x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "d")])),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        ]
    )
    leaf = Recipe(subject=subject, extensions=[(names, False)]).signed_by(make_ca())
    facts = describe(leaf.certificate)
    assert facts.subject.distinguished_name == "CN=alice,O=Example,C=DE"
    assert dict(facts.subject.attributes)["common_name"] == ("alice",)
    assert dict(facts.subject.attributes)["organization"] == ("Example",)
    assert facts.issuer.distinguished_name == "CN=Test CA"
    assert facts.version == 3
    assert facts.serial_number == f"{leaf.certificate.serial_number:X}"
    assert (facts.public_key_algorithm, facts.public_key_size) == ("EC secp256r1", 256)
    assert facts.signature_algorithm == "ecdsa-with-SHA256"
    assert facts.sha256 == certificate_sha256(leaf.certificate)
    assert facts.alternative_names[:3] == ("a.example", "a@a.example", "CN=d")


def test_a_key_without_a_size_of_its_own_has_a_size() -> None:
    assert key_facts(ed448.Ed448PrivateKey.generate().public_key()) == ("Ed448", 456)


@given(data=st.binary(max_size=400))
def test_any_bytes_can_be_described(data: bytes) -> None:
    assert describe_der(data).sha256 == sha256(data).hexdigest()


@given(position=st.integers(0, len(LEAF.der) - 1), byte=st.integers(0, 255))
def test_a_certificate_with_a_changed_byte_is_parsed_or_refused_and_described_either_way(
    position: int, byte: int
) -> None:
    der = LEAF.der[:position] + bytes([byte]) + LEAF.der[position + 1 :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            parse_certificate(der)
        except MalformedCertificateError as error:
            assert str(error)
        assert describe_der(der).sha256 == sha256(der).hexdigest()


def test_bytes_that_are_not_a_certificate_are_unreadable() -> None:
    assert describe_der(b"hello").subject.distinguished_name == UNREADABLE


@needs_openssl
@pytest.mark.parametrize("serial", ["-5", "0"])
def test_a_serial_number_that_is_not_positive_can_be_described(serial: str, tmp_path: Path) -> None:
    out = tmp_path / "it.der"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(tmp_path / "it.key"), "-subj", "/CN=x", "-set_serial", serial]
    subprocess.run([*command, "-outform", "DER", "-out", out], check=True)
    assert describe_der(out.read_bytes()).serial_number == serial


def test_the_facts_kept_of_a_certificate_are_bounded() -> None:
    with warnings.catch_warnings(action="ignore"):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a" * 60_000, _validate=False)])
    names = x509.SubjectAlternativeName([x509.DNSName("b" * 5000)] * 100)
    facts = describe(Recipe(subject=subject, extensions=[(names, False)]).self_signed().certificate)
    assert len(facts.subject.distinguished_name) == TEXT_MAX_CHARS
    assert len(dict(facts.subject.attributes)["common_name"][0]) == TEXT_MAX_CHARS
    assert len(facts.alternative_names) == NAMES_MAX
    assert len(facts.alternative_names[0]) == TEXT_MAX_CHARS


@needs_openssl
def test_a_serial_number_of_a_kilobyte_is_truncated(tmp_path: Path) -> None:
    out = tmp_path / "it.der"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(tmp_path / "it.key"), "-subj", "/CN=x", "-set_serial", "0x" + "7f" * 1000]
    subprocess.run([*command, "-outform", "DER", "-out", out], check=True)
    assert describe_der(out.read_bytes()).serial_number == "7F" * (SERIAL_MAX_DIGITS // 2)
