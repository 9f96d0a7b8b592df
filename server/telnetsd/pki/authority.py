"""The built-in CA: issues certificates to the server and to users, and signs the CRLs that revoke them.

This module decides what a certificate contains. The subject, extensions and validity come from policy; a request
contributes only its public key. Serial numbers are 159 random bits (RFC 5280 section 4.1.2.2). Everything is made in
memory; the caller writes it to disk.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from telnetsd.events.reason import RevocationReason
from telnetsd.pki.keys import KeyType, MlDsaPublicKey, PrivateKey, generate_key, key_type_of
from telnetsd.pki.policies import ANY_POLICY
from telnetsd.pki.revocation import Revocation

ROOT_DAYS: Final = 3650
INTERMEDIATE_DAYS: Final = 1825
SERVER_DAYS: Final = 365
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far notBefore lies in the past, so that a peer whose clock is slightly behind accepts the certificate."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate together with the private key that was made for it."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class IssuedServer:
    """The server's certificate, with its P-256 key, which every client can verify."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class UserProfile:
    """The contents of a user's certificate, other than the public key.

    Attributes:
        name: The common name.
        days: How long the certificate is valid.
        policy_oid: The certificate policy of the assurance class; empty for none.
        crl_url: Where relying parties find the CRL; empty for none.
    """

    name: str
    days: int
    policy_oid: str = ""
    crl_url: str = ""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign.

    Attributes:
        certificate: The certificate of the CA that signs: the root, or an intermediate below it.
        key: The private key of that CA.
        chain: The certificates that a peer needs above a leaf: the intermediate, if any, and the root.
        beside: If this CA has an ML-DSA key, the CA that issues certificates for all other kinds of key. OpenSSL
            before 3.5 cannot even load a certificate that is signed with ML-DSA. A key that a quantum computer can
            break is no safer below a CA that it cannot break.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...]
    beside: "Authority | None" = None

    def issuer_for(self, key: CertificatePublicKeyTypes) -> "Authority":
        """Return the CA that issues to the holder of a key."""
        return self if self.beside is None or isinstance(key, MlDsaPublicKey) else self.beside

    def chain_of(self, leaf: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Return the certificates that a peer needs above a leaf that we issued."""
        return self.issuer_for(leaf.public_key()).chain

    def issue_intermediate(self, common_name: str, at: datetime) -> Issued:
        """Issue a CA certificate that signs leaves only, with a new key of its own type; it may assert any class."""
        key = generate_key(key_type_of(self.key))
        days = timedelta(days=INTERMEDIATE_DAYS)
        builder = _ca_builder(common_name, key, at, min(at + days, self.certificate.not_valid_after_utc), 0)
        policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(ANY_POLICY), None)])
        builder = (
            builder.issuer_name(self.certificate.subject)
            .add_extension(policies, critical=False)
            .add_extension(self._authority_key_identifier(), critical=False)
        )
        return Issued(self._sign(builder), key)

    def issue_server(self, names: Iterable[str], at: datetime) -> IssuedServer:
        """Issue the server's certificate for host names and IP addresses, with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        return IssuedServer(self.certify_server(key.public_key(), names, at), key)

    def certify_server(
        self, public_key: CertificatePublicKeyTypes, names: Iterable[str], at: datetime
    ) -> x509.Certificate:
        """Issue a server's certificate for host names and IP addresses (RFC 6125: they are in the SAN)."""
        names = list(names)
        # RFC 5280 appendix A: a common name has at most 64 characters. Clients check the SAN.
        builder = self._leaf_builder(names[0][:64], public_key, at, SERVER_DAYS, ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
        return self._sign(builder)

    def issue_user(
        self, public_key: CertificatePublicKeyTypes, profile: UserProfile, at: datetime
    ) -> x509.Certificate:
        """Issue a client certificate for a public key whose holder has proved possession; valid from `at` on."""
        builder = self._leaf_builder(profile.name, public_key, at, profile.days, ExtendedKeyUsageOID.CLIENT_AUTH)
        if profile.policy_oid:
            policy = x509.PolicyInformation(x509.ObjectIdentifier(profile.policy_oid), None)
            builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
        if profile.crl_url:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(profile.crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return self._sign(builder)

    def issue_node(
        self, name: str, public_key: CertificatePublicKeyTypes, addresses: Iterable[str], at: datetime
    ) -> x509.Certificate:
        """Issue a certificate to a node of a fleet: a client of the engine; with addresses, a server of it too."""
        builder = self._leaf_builder(name, public_key, at, ROOT_DAYS, ExtendedKeyUsageOID.CLIENT_AUTH)
        names = [_general_name(address) for address in addresses]
        if not names:
            return self._sign(builder)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._leaf_builder(name, public_key, at, ROOT_DAYS, *purposes)
        return self._sign(builder.add_extension(x509.SubjectAlternativeName(names), critical=False))

    def sign_crl(
        self, revoked: Iterable[tuple[int, Revocation]], number: int, at: datetime, days: int
    ) -> x509.CertificateRevocationList:
        """Sign a CRL (RFC 5280 section 5) of serial numbers and their revocations, valid for `days` from `at`."""
        # Adding the entries one by one would copy them all each time.
        entries = [_crl_entry(serial_number, revocation) for serial_number, revocation in revoked]
        builder = (
            x509.CertificateRevocationListBuilder(revoked_certificates=entries)
            .issuer_name(self.certificate.subject)
            .last_update(at)
            .next_update(at + timedelta(days=days))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._authority_key_identifier(), critical=False)
        )
        return builder.sign(self.key, _hash_for(self.key))

    def _leaf_builder(
        self,
        common_name: str,
        public_key: CertificatePublicKeyTypes,
        at: datetime,
        days: int,
        *purposes: x509.ObjectIdentifier,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - CLOCK_SKEW)
            .not_valid_after(min(at + timedelta(days=days), self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(self._authority_key_identifier(), critical=False)
        )

    def _authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.key, _hash_for(self.key))


def create_root(common_name: str, at: datetime, path_length: int, key_type: KeyType = KeyType.EC) -> Authority:
    """Make a root CA for ten years; it signs leaves only if the path length is 0, or intermediates if it is 1."""
    key = generate_key(key_type)
    builder = _ca_builder(common_name, key, at, at + timedelta(days=ROOT_DAYS), path_length)
    certificate = builder.issuer_name(_name(common_name)).sign(key, _hash_for(key))
    return Authority(certificate, key, (certificate,))


def to_pem(*certificates: x509.Certificate) -> bytes:
    """Encode certificates as PEM, one after another."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def utc_now() -> datetime:
    """Return the current time (aware, UTC) in whole seconds, as certificates store it."""
    return datetime.now(UTC).replace(microsecond=0)


def _ca_builder(
    common_name: str, key: PrivateKey, at: datetime, not_after: datetime, path_length: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - CLOCK_SKEW)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _crl_entry(serial_number: int, revocation: Revocation) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial_number).revocation_date(revocation.revoked_at)
    # RFC 5280 5.3.1: the extension is omitted if there is no reason.
    if revocation.reason is not RevocationReason.UNSPECIFIED:
        reason = x509.CRLReason(x509.ReasonFlags(revocation.reason.value))
        builder = builder.add_extension(reason, critical=False)
    return builder.build()


def _hash_for(key: PrivateKey) -> hashes.SHA256 | None:
    # Ed25519 and ML-DSA do not let the caller choose a hash.
    return hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


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
