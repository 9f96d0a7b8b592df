"""The built-in CA: makes itself, the server's certificate, and certificates for users.

What is issued here is decided here: subject, extensions and validity come from policy. Serial numbers are 159 random
bits (RFC 5280 section 4.1.2.2). Everything is made in memory; writing it down is the caller's work.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from telnetsd.errors import OperatorError

CA_DAYS: Final = 3650
SERVER_DAYS: Final = 825
USER_DAYS: Final = 365
USER_RSA_BITS: Final = 3072
_CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far notBefore lies in the past, so that a peer whose clock is a little behind takes the certificate."""

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class KeyType(StrEnum):
    """The kinds of key that are made for users."""

    EC = "ec"
    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate together with the private key that was made for it."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM (PKCS #8, not encrypted): a secret."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True)
class Authority:
    """The built-in CA, able to sign."""

    issued: Issued

    @property
    def certificate(self) -> x509.Certificate:
        """The CA's own certificate."""
        return self.issued.certificate

    def issue_server(self, names: Iterable[str], at: datetime) -> Issued:
        """Issue the server's certificate for host names and IP addresses (RFC 6125: they stand in the SAN)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = list(names)
        builder = self._builder(names[0], key, at, SERVER_DAYS, ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
        return self._sign(builder, key)

    def issue_user(self, name: str, key_type: KeyType, days: int, at: datetime) -> Issued:
        """Issue a client certificate to a user; `days` counts from `at` (aware, UTC)."""
        key = generate_key(key_type)
        return self._sign(self._builder(name, key, at, days, ExtendedKeyUsageOID.CLIENT_AUTH), key)

    def _builder(
        self, common_name: str, key: PrivateKey, at: datetime, days: int, purpose: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        not_after = min(at + timedelta(days=days), self.certificate.not_valid_after_utc)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - _CLOCK_SKEW)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._authority_key_identifier(), critical=False)
        )

    def _authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def _sign(self, builder: x509.CertificateBuilder, key: PrivateKey) -> Issued:
        return Issued(builder.sign(self.issued.key, hashes.SHA256()), key)


def create_authority(common_name: str, at: datetime) -> Authority:
    """Make a root CA (P-256, ten years) that signs leaves only."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _CLOCK_SKEW)
        .not_valid_after(at + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(Issued(certificate, key))


def load_authority(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """Load the built-in CA.

    Raises:
        OperatorError: The files are no PEM, or the key is not that of the certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise OperatorError(f"the built-in CA cannot be read: certs/ca.pem, certs/ca.key: {error}") from error
    if key.public_key() != certificate.public_key() or not isinstance(key, PrivateKey):
        raise OperatorError("certs/ca.key is not the key of certs/ca.pem; put back the pair that belongs together")
    return Authority(Issued(certificate, key))


def generate_key(key_type: KeyType) -> PrivateKey:
    """Make a private key: P-256, RSA of 3072 bits, or Ed25519."""
    match key_type:
        case KeyType.EC:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=USER_RSA_BITS)
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()


def make_pkcs12(name: str, issued: Issued, chain: Iterable[x509.Certificate]) -> bytes:
    """Bundle key, certificate and chain (RFC 7292), without a password: the file is a secret as the key is."""
    return pkcs12.serialize_key_and_certificates(
        name.encode(), issued.key, issued.certificate, list(chain), NoEncryption()
    )


def utc_now() -> datetime:
    """The current time, aware, UTC, in whole seconds as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
