"""What a user was given: a certificate with its key, as PKCS#12 or PEM, encrypted or not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from telnetsd.client.connecting import AskPassword
from telnetsd.errors import OperatorError

FILE_MAX_BYTES: Final = 2**20
_KEY_BAGS: Final = (
    b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01",
    b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02",
)
"""The object identifiers of keyBag and pkcs8ShroudedKeyBag (RFC 7292 section 4.2), in DER."""
_PEM: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class Given:
    """A certificate with its key.

    Attributes:
        certificate: The certificate.
        chain: It and the intermediates, in PEM.
        key: The private key in PEM, as encrypted as it came.
        authorities: The self-signed CA certificates that came with it: nothing vouches for them.
    """

    certificate: x509.Certificate
    chain: bytes
    key: bytes
    authorities: tuple[x509.Certificate, ...]


def read_given(certificate: Path, key: Path | None, ask: AskPassword) -> Given:
    """Read what a user was given.

    Args:
        certificate: PKCS#12, or PEM.
        key: The private key, if the certificate is PEM.
        ask: Returns the password, if the key is encrypted.
    Raises:
        OperatorError: A file cannot be read or decrypted, or the key does not belong to the certificate.
    """
    content = _read(certificate)
    if _PEM not in content:
        return _from_pkcs12(certificate, content, ask)
    key_content = content if key is None and b"PRIVATE KEY-----" in content else None
    if key_content is None:
        if key is None:
            raise OperatorError(f"{certificate} has no private key; name its file after it")
        key_content = _read(key)
    return _from_pem(certificate, content, key or certificate, key_content, ask)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; check its path and mode") from error
    if len(content) > FILE_MAX_BYTES:
        raise OperatorError(f"{path} is too large to be a certificate or a key")
    return content


def _from_pkcs12(path: Path, content: bytes, ask: AskPassword) -> Given:
    if sum(content.count(bag) for bag in _KEY_BAGS) > 1:
        raise OperatorError(
            f"{path} has more than one private key; export the one that you need into a file of its own"
        )
    password: bytes | None = None
    try:
        loaded = pkcs12.load_pkcs12(content, None)
    except ValueError:
        password = ask()
        try:
            loaded = pkcs12.load_pkcs12(content, password)
        except ValueError as error:
            raise OperatorError(f"cannot read {path}: wrong password, or not PKCS#12") from error
    if loaded.key is None or loaded.cert is None:
        raise OperatorError(f"{path} has no certificate with its private key")
    others = [one.certificate for one in loaded.additional_certs]
    lock = NoEncryption() if not password else BestAvailableEncryption(password)
    key = loaded.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    leaf = loaded.cert.certificate
    roots = tuple(one for one in others if _is_root(one))
    chain = [leaf, *(one for one in others if not _is_root(one))]
    return Given(leaf, b"".join(one.public_bytes(Encoding.PEM) for one in chain), key, roots)


def _from_pem(path: Path, content: bytes, key_path: Path, key_content: bytes, ask: AskPassword) -> Given:
    try:
        leaf, *others = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise OperatorError(f"{path} has no readable certificate: {error}") from error
    if b"PRIVATE KEY-----" not in key_content:
        raise OperatorError(f"{key_path} has no private key (PEM)")
    key = _load_key(key_path, key_content[_key_begin(key_content) :], ask)
    if _spki(key.public_key()) != _spki(leaf.public_key()):
        raise OperatorError(f"{key_path} is not the key of the certificate in {path}")
    roots = tuple(one for one in others if _is_root(one))
    chain = [leaf, *(one for one in others if not _is_root(one))]
    own_key = key_content[_key_begin(key_content) :]
    return Given(leaf, b"".join(one.public_bytes(Encoding.PEM) for one in chain), own_key, roots)


def _key_begin(content: bytes) -> int:
    """Return where the private key begins in a file that also has the certificate."""
    label = content.index(b"PRIVATE KEY-----")
    return content.rindex(_PEM, 0, label)


def _load_key(path: Path, content: bytes, ask: AskPassword) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        try:
            return load_pem_private_key(content, ask())
        except ValueError as error:
            raise OperatorError(f"cannot decrypt {path}: wrong password; try again") from error
    except ValueError as error:
        raise OperatorError(f"{path} has no readable private key (PEM)") from error


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
