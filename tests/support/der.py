"""Certificates that no library would make: DER is taken apart, changed, and signed again with the real key."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.certificates import Key, Pair

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA224 = bytes.fromhex("300a06082a8648ce3d040301")
ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    ECDSA_SHA256: hashes.SHA256(),
    ECDSA_SHA224: hashes.SHA224(),
    ECDSA_SHA1: hashes.SHA1(),  # noqa: S303 -- to be refused
}
PLACEHOLDER_SERIAL = 0x1122334455667788


@dataclass
class Presented:
    """What a client presents: the leaf as sent on the wire, its key, and the certificates that are sent with it."""

    der: bytes
    key: Key
    chain: list[x509.Certificate] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return sha256(self.der).hexdigest()

    def save(self, folder: Path) -> tuple[Path, Path]:
        import ssl

        certificate, key = folder / "presented.pem", folder / "presented.key"
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)
        certificate.write_bytes(ssl.DER_cert_to_PEM_cert(self.der).encode() + chain)
        key.touch(0o600)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key


def present(pair: Pair, *chain: Pair) -> Presented:
    return Presented(pair.der, pair.key, [*pair.chain, *(one.certificate for one in chain)])


def encode(tag: int, content: bytes) -> bytes:
    """Encode one DER value."""
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def content_of(der: bytes) -> bytes:
    """Return the content of a DER value."""
    if der[1] < 0x80:
        return der[2:]
    return der[2 + (der[1] & 0x7F) :]


def sign_again(
    pair: Pair,
    issuer_key: Key,
    change: Callable[[bytes], bytes] = lambda content: content,
    algorithm: bytes = ECDSA_SHA256,
) -> Presented:
    """Change the content of a certificate's TBSCertificate, and sign it with the issuer's key."""
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = content_of(pair.certificate.tbs_certificate_bytes)
    tbs = encode(0x30, change(content.replace(ECDSA_SHA256, algorithm, 1)))
    signature = issuer_key.sign(tbs, ec.ECDSA(_HASHES[algorithm]))
    return Presented(encode(0x30, tbs + algorithm + encode(0x03, b"\0" + signature)), pair.key, pair.chain)


def with_serial(number: bytes) -> Callable[[bytes], bytes]:
    """Replace the placeholder with the content of a serial number."""
    old = encode(0x02, PLACEHOLDER_SERIAL.to_bytes(8, "big"))

    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, encode(0x02, number), 1)

    return change


def other_signature(certificate: x509.Certificate) -> bytes:
    """Return a certificate with the other of its two valid signatures (ECDSA, P-256); its content is the same."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(certificate.signature)
    signature = encode_dss_signature(r, order - s)
    return encode(0x30, certificate.tbs_certificate_bytes + ECDSA_SHA256 + encode(0x03, b"\0" + signature))
