"""Private keys: making, reading and writing them. What is written here is a secret, or is locked by one."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

USER_RSA_BITS: Final = 3072
RSA_MIN_BITS: Final = 2048
RSA_MAX_BITS: Final = 8192
RSA_EXPONENT_MAX_BITS: Final = 32
"""A longer one makes each verification cost as much as a signature."""
CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class KeyType(StrEnum):
    """The kinds of key that are made for users."""

    EC = "ec"
    RSA = "rsa"
    ED25519 = "ed25519"


class KeyLockedError(ValueError):
    """A private key is encrypted, and the passphrase is missing or wrong."""


def generate_key(key_type: KeyType) -> PrivateKey:
    """Make a private key: P-256, RSA of 3072 bits, or Ed25519."""
    match key_type:
        case KeyType.EC:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=USER_RSA_BITS)
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()


def is_strong_key(key: PublicKeyTypes) -> bool:
    """Tell whether a client may prove itself by this key: RSA of 2048 to 8192 bits, P-256, P-384, P-521, Ed25519."""
    match key:
        case rsa.RSAPublicKey():
            return key.key_size >= RSA_MIN_BITS and not is_costly_key(key)
        case ec.EllipticCurvePublicKey():
            return isinstance(key.curve, CURVES)
        case ed25519.Ed25519PublicKey():
            return True
    return False


def is_costly_key(key: PublicKeyTypes) -> bool:
    """Tell whether a peer could keep the server busy by having it verify with this key."""
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    return key.key_size > RSA_MAX_BITS or key.public_numbers().e.bit_length() > RSA_EXPONENT_MAX_BITS


def key_to_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Write a private key in PEM (PKCS #8), encrypted when there is a passphrase, else a secret."""
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def key_from_pem(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key.

    Raises:
        KeyLockedError: It is encrypted, and the passphrase is missing or wrong.
        ValueError: It is no PEM key, or of a kind that is not taken.
    """
    is_locked = is_locked_pem(pem)
    try:
        key = load_pem_private_key(pem, passphrase if is_locked else None)
    except (TypeError, ValueError) as error:
        if is_locked:
            raise KeyLockedError("wrong passphrase" if passphrase else "a passphrase is needed") from error
        raise ValueError(str(error)) from error
    if not isinstance(key, PrivateKey):
        raise ValueError("it is of a kind that is not taken; use EC, RSA or Ed25519")  # noqa: TRY004 -- the content
    return key


def is_locked_pem(pem: bytes) -> bool:
    """Tell whether a PEM key is encrypted."""
    return b"BEGIN ENCRYPTED PRIVATE KEY" in pem or b"Proc-Type: 4,ENCRYPTED" in pem


def make_pkcs12(
    name: str,
    key: PrivateKey,
    certificate: x509.Certificate,
    chain: Iterable[x509.Certificate],
    password: bytes | None,
) -> bytes:
    """Bundle key, certificate and chain (RFC 7292). Without a password the file is a secret as the key is."""
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, list(chain), lock)
