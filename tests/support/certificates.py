"""Certificates for tests: good ones, and every kind of bad one, with real keys and real signatures."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from telnetsd.pki.certificate import PeerCertificate
from telnetsd.pki.keys import PrivateKey

Key = PrivateKey
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*bits: str) -> x509.KeyUsage:
    every: tuple[str, ...] = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    every += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: bit in bits for bit in every})


@dataclass
class Pair:
    """A certificate, its key, and the certificates that are sent with it."""

    certificate: x509.Certificate
    key: Key
    chain: list[x509.Certificate] = field(default_factory=list)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def peer(self) -> PeerCertificate:
        return PeerCertificate(self.der, tuple(one.public_bytes(Encoding.DER) for one in self.chain))

    def save(self, folder: Path, stem: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
        certificate.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (self.certificate, *self.chain)))
        key.touch(0o600)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


@dataclass
class Recipe:
    """A certificate to be made; the defaults make a good client certificate."""

    subject: x509.Name = field(default_factory=lambda: name("alice"))
    key: Key = field(default_factory=ec_key)
    not_before: datetime = field(default_factory=lambda: now() - DAY)
    not_after: datetime = field(default_factory=lambda: now() + 30 * DAY)
    serial_number: int = field(default_factory=x509.random_serial_number)
    extensions: list[tuple[x509.ExtensionType, bool]] = field(
        default_factory=lambda: [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        ]
    )

    def signed_by(self, issuer: Pair) -> Pair:
        return self.signed(issuer.certificate.subject, issuer.key)

    def self_signed(self) -> Pair:
        return self.signed(self.subject, self.key)

    def signed(self, issuer: x509.Name, key: Key) -> Pair:
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer)
            .public_key(self.key.public_key())
            .serial_number(self.serial_number)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
        )
        for extension, critical in self.extensions:
            builder = builder.add_extension(extension, critical)
        # As every CA does, and as path validation requires (RFC 5280 section 4.2.1.1).
        own, signer = (x509.SubjectKeyIdentifier.from_public_key(one.public_key()) for one in (self.key, key))
        builder = builder.add_extension(own, critical=False)
        if own != signer:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer)
            builder = builder.add_extension(identifier, critical=False)
        # Ed25519 and ML-DSA do not accept a hash of the caller's choice.
        algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None
        return Pair(builder.sign(key, algorithm), self.key)


class CostlyKey:
    """The public part of an RSA key whose exponent makes each verification take long; it signs nothing."""

    def __init__(self) -> None:
        self._modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n

    def public_key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers((1 << 2000) + 1, self._modulus).public_key()


def ca_extensions(path_length: int | None = None) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage("key_cert_sign", "crl_sign"), True),
    ]


def make_ca(common_name: str = "Test CA", **changes: object) -> Pair:
    recipe = Recipe(subject=name(common_name), not_after=now() + 3650 * DAY, extensions=ca_extensions())
    for key, value in changes.items():
        setattr(recipe, key, value)
    return recipe.self_signed()


def make_intermediate(issuer: Pair, common_name: str = "Test Intermediate", path_length: int | None = 0) -> Pair:
    recipe = Recipe(subject=name(common_name), not_after=now() + 365 * DAY, extensions=ca_extensions(path_length))
    return recipe.signed_by(issuer)


def make_crl(
    *serials: int,
    issuer: Pair,
    at: datetime | None = None,
    until: datetime | None = None,
    number: int | None = None,
    reason: x509.ReasonFlags | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    algorithm: hashes.SHA224 | hashes.SHA256 | None = None,
) -> bytes:
    begin = at or now() - timedelta(hours=1)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(begin).next_update(until or begin + 7 * DAY)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)
