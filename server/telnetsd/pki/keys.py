"""Private keys: generation, reading and writing. The output is a secret, or is encrypted with one."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
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
"""A longer exponent makes each verification cost as much as a signature."""
CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

MlDsaPrivateKey = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
MlDsaPublicKey = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
ClassicalPrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PrivateKey = ClassicalPrivateKey | MlDsaPrivateKey
SUPPORTED_KINDS: Final = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | MlDsaPublicKey
SUPPORTED_KEYS: Final = "P-256, P-384, P-521, RSA from 2048 bits, Ed25519 and ML-DSA"


class KeyType(StrEnum):
    """The kinds of key that the server generates for users."""

    EC = "ec"
    RSA = "rsa"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"

    @property
    def is_post_quantum(self) -> bool:
        """Whether the key is ML-DSA (FIPS 204), which a client's TLS library may not support."""
        return self in {KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87}


class KeyLockedError(ValueError):
    """A private key is encrypted, and the passphrase is missing or wrong."""


def generate_key(key_type: KeyType) -> PrivateKey:
    """Generate a private key: P-256, RSA with 3072 bits, Ed25519, or ML-DSA (FIPS 204)."""
    match key_type:
        case KeyType.EC:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=USER_RSA_BITS)
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.ML_DSA_44:
            return mldsa.MLDSA44PrivateKey.generate()
        case KeyType.ML_DSA_65:
            return mldsa.MLDSA65PrivateKey.generate()
        case KeyType.ML_DSA_87:  # pragma: no branch -- every type is named
            return mldsa.MLDSA87PrivateKey.generate()


def key_type_of(key: PrivateKey | PublicKeyTypes) -> KeyType:
    """Return the type of a private or public key, so that another key of the same type can be generated.

    Raises:
        ValueError: The server generates no keys of this type.
    """
    for kinds, key_type in _KEY_TYPES.items():
        if isinstance(key, kinds):
            return key_type
    raise ValueError(f"unsupported key type: {type(key).__name__}")


def is_supported_key(key: PublicKeyTypes) -> bool:
    """Tell whether keys of this kind are accepted at all: RSA, elliptic curves, Ed25519, ML-DSA-44, -65 and -87."""
    return isinstance(key, SUPPORTED_KINDS)


def is_strong_key(key: PublicKeyTypes) -> bool:
    """Tell whether a certificate may have this key: one of SUPPORTED_KEYS; RSA has at most 8192 bits."""
    match key:
        case rsa.RSAPublicKey():
            return key.key_size >= RSA_MIN_BITS and not is_costly_key(key)
        case ec.EllipticCurvePublicKey():
            return isinstance(key.curve, CURVES)
    return is_supported_key(key)


def is_costly_key(key: PublicKeyTypes) -> bool:
    """Tell whether a peer could keep the server busy by making it verify with this key."""
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    return key.key_size > RSA_MAX_BITS or key.public_numbers().e.bit_length() > RSA_EXPONENT_MAX_BITS


def key_to_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Encode a private key as PEM (PKCS #8), encrypted if there is a passphrase; otherwise the result is a secret."""
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def key_from_pem(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key.

    Raises:
        KeyLockedError: The key is encrypted, and the passphrase is missing or wrong.
        ValueError: The input is not a PEM key, or the key is of a kind that is not accepted.
    """
    is_locked = is_locked_pem(pem)
    try:
        key = load_pem_private_key(pem, passphrase if is_locked else None)
    except (TypeError, ValueError) as error:
        if is_locked:
            raise KeyLockedError("wrong passphrase" if passphrase else "a passphrase is needed") from error
        raise ValueError(str(error)) from error
    if not isinstance(key, PrivateKey):
        raise ValueError("its type is not accepted; use EC, RSA, Ed25519 or ML-DSA")  # noqa: TRY004 -- the content
    return key


def is_locked_pem(pem: bytes) -> bool:
    """Tell whether a PEM key is encrypted."""
    return b"BEGIN ENCRYPTED PRIVATE KEY" in pem or b"Proc-Type: 4,ENCRYPTED" in pem


def make_pkcs12(
    name: str,
    key: ClassicalPrivateKey,
    certificate: x509.Certificate,
    chain: Iterable[x509.Certificate],
    password: bytes | None,
) -> bytes:
    """Bundle key, certificate and chain (RFC 7292). Without a password the file is as secret as the key."""
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, list(chain), lock)


_KEY_TYPES: Final[dict[tuple[type, type], KeyType]] = {
    (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey): KeyType.EC,
    (rsa.RSAPrivateKey, rsa.RSAPublicKey): KeyType.RSA,
    (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey): KeyType.ED25519,
    (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey): KeyType.ML_DSA_44,
    (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey): KeyType.ML_DSA_65,
    (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey): KeyType.ML_DSA_87,
}
