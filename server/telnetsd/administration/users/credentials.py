"""A user's credentials: keys that are generated here or supplied, and the files that the user receives."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from telnetsd.administration.authority.authorities import encode_chain
from telnetsd.administration.authority.issuing import Grant, certify
from telnetsd.administration.installation.staging import Change
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import give_to_owner, make_secret_folder
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.authority import Authority
from telnetsd.pki.certification_request import CSR_MAX_BYTES, CsrError, parse_csr
from telnetsd.pki.keys import (
    KeyType,
    MlDsaPrivateKey,
    PrivateKey,
    generate_key,
    key_from_pem,
    key_to_pem,
    make_pkcs12,
)
from telnetsd.state.records import IssuedCertificate


@dataclass(frozen=True, slots=True)
class UserFiles:
    """The files that an operator hands to a user."""

    certificate: Path
    key: Path
    pkcs12: Path


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """The key is generated here; `pkcs12_password` locks NAME.p12 (None: it is as secret as NAME.key)."""

    key_type: KeyType
    pkcs12_password: bytes | None = None


@dataclass(frozen=True, slots=True)
class RequestFile:
    """The user generated the key and a certification request for it: the private key stays with the user."""

    path: Path


@dataclass(frozen=True, slots=True)
class KeptKey:
    """The key stays the same: NAME.key if it is here, else the public key of the current certificate."""

    pkcs12_password: bytes | None = None


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """No certificate: a public key is accepted, from a certificate in a file, or by its SHA256 fingerprint."""

    text: str


Credential = GeneratedKey | RequestFile | PinnedKey | None
"""What a user is added with; None: nothing, since other CAs vouch for the user."""


@dataclass(frozen=True, slots=True)
class Issuance:
    """What was issued: the certificate (None for a pin, or if nothing was issued), and the files written."""

    user: User
    certificate: x509.Certificate | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class KeyToCertify:
    """A public key to certify, and the private key if it is here."""

    public: CertificatePublicKeyTypes
    private: PrivateKey | None
    pkcs12_password: bytes | None = None


def devices_folder(home: Home, name: str) -> Path:
    """Return the folder of a user's further devices; see `is_like_a_file`."""
    return home.users_folder / name


def user_files(home: Home, name: str, label: str = "") -> UserFiles:
    """Return the paths of a user's files for one device: NAME.pem, or NAME/LABEL.pem; they need not exist."""
    folder, stem = (devices_folder(home, name), label) if label else (home.users_folder, name)
    return UserFiles(folder / f"{stem}.pem", folder / f"{stem}.key", folder / f"{stem}.p12")


def all_user_files(home: Home, name: str) -> list[Path]:
    """Return the files of a user that exist, for all devices.

    Raises:
        OSError: They cannot be listed: then they must not be taken for gone.
    """
    first = user_files(home, name)
    others: list[Path] = []
    with contextlib.suppress(FileNotFoundError):
        others = sorted(devices_folder(home, name).iterdir())
    return [path for path in (first.certificate, first.key, first.pkcs12, *others) if path.is_file()]


def moved_user_files(home: Home, name: str, new: str) -> Iterator[tuple[Path, Path]]:
    """Yield each file of a user, and where it belongs when the user has another name."""
    for path in all_user_files(home, name):
        is_first = path.parent == home.users_folder
        yield path, path.with_name(f"{new}{path.suffix}") if is_first else devices_folder(home, new) / path.name


def write_chain(
    change: Change, name: str, certificate: x509.Certificate, authority: Authority, label: str = ""
) -> Path:
    """Write a user's certificate for a key that is not here; delete older key files, which would not match it."""
    files = user_files(change.home, name, label)
    _make_folders(change.home, files)
    change.write_public(files.certificate, encode_chain(certificate, authority))
    change.delete(files.key)
    change.delete(files.pkcs12)
    return files.certificate


def issue(
    change: Change,
    authority: Authority,
    settings: Settings,
    user: User,
    key: KeyToCertify,
    grant: Grant,
    *,
    is_renewal: bool = False,
) -> Issuance:
    """Issue a certificate to a user for a key, and write the files for the user.

    Raises:
        OperatorError: The key belongs to another user or is compromised.
    """
    certificate = certify(change, authority, settings, user.name, key.public, grant, is_renewal=is_renewal)
    if key.private is None:
        return Issuance(user, certificate, (write_chain(change, user.name, certificate, authority, grant.label),))
    files = user_files(change.home, user.name, grant.label)
    _make_folders(change.home, files)
    change.write_public(files.certificate, encode_chain(certificate, authority))
    change.write_secret(files.key, key_to_pem(key.private))
    if isinstance(key.private, MlDsaPrivateKey):
        # The X.509 library writes no PKCS #12 file for such keys; an older file would not match the new key.
        change.delete(files.pkcs12)
        return Issuance(user, certificate, (files.certificate, files.key))
    bundle = make_pkcs12(user.name, key.private, certificate, authority.chain_of(certificate), key.pkcs12_password)
    change.write_secret(files.pkcs12, bundle)
    return Issuance(user, certificate, (files.certificate, files.key, files.pkcs12))


def _make_folders(home: Home, files: UserFiles) -> None:
    make_secret_folder(home.users_folder)
    folder = files.certificate.parent
    make_secret_folder(folder)
    give_to_owner(folder, folder.parent)


def key_for(name: str, credential: GeneratedKey | RequestFile) -> KeyToCertify:
    """Generate a key, or use the key of a certification request.

    Raises:
        OperatorError: The request cannot be read, or is refused.
    """
    if isinstance(credential, GeneratedKey):
        return generate(credential)
    return KeyToCertify(_read_request(credential.path, name), None)


def generate(credential: GeneratedKey) -> KeyToCertify:
    """Generate a key."""
    private = generate_key(credential.key_type)
    return KeyToCertify(private.public_key(), private, credential.pkcs12_password)


def _read_request(path: Path, name: str) -> CertificatePublicKeyTypes:
    try:
        with path.open("rb") as file:
            return parse_csr(file.read(CSR_MAX_BYTES + 1), name).public_key
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; check its path and mode") from error
    except CsrError as error:
        raise OperatorError(f"{path}: {error}") from error


def kept_key(change: Change, last: IssuedCertificate, credential: KeptKey) -> KeyToCertify:
    """Return the key of a certificate of a user.

    Raises:
        OperatorError: It is not known here.
    """
    path = user_files(change.home, last.user_name, last.label).key
    if path.exists():
        try:
            private = key_from_pem(path.read_bytes())
        except ValueError as error:
            raise OperatorError(f"cannot read {change.home.shown(path)}: {error}; use --new-key") from error
        return KeyToCertify(private.public_key(), private, credential.pkcs12_password)
    der = change.state.certificates.der_of(last.sha256)
    if der is None:
        raise OperatorError(f"the key of {last.user_name} was not found; use --new-key or --csr FILE")
    return KeyToCertify(x509.load_der_x509_certificate(der).public_key(), None)
