"""The audit key on the disk: a separate Ed25519 key that signs nothing but the audit log.

`certs/audit.key` is the private key. `certs/audit.pem` has the current public key first, and then the previous ones.
An auditor is given `certs/audit.pem` once, over a channel that they trust.
"""

import re
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from telnetsd.audit.checkpoint import AuditKey, PublicKeys, key_id_of
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import write_public, write_secret
from telnetsd.files.home import Home, require_secret

_MAKE_ONE: Final = "put it back, or create a new one: telnetsd audit key --new"
_PUBLIC_KEY: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


def make_audit_key(home: Home) -> None:
    """Make an audit key."""
    keep_audit_key(home, Ed25519PrivateKey.generate())


def keep_audit_key(home: Home, key: Ed25519PrivateKey) -> None:
    """Make a key the audit key, and put its public key before the previous ones."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    before = home.audit_public_keys.read_bytes() if home.audit_public_keys.exists() else b""
    # Write the public key first: a signature by an unknown key counts for nothing.
    write_public(home.audit_public_keys, public + before)
    write_secret(home.audit_key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load_audit_key(home: Home) -> AuditKey:
    """Load the private key and the public ones.

    Raises:
        OperatorError: One is missing, cannot be read, is accessible to other users, or they do not belong together.
    """
    require_secret(home, home.audit_key, _MAKE_ONE)
    try:
        private = load_pem_private_key(home.audit_key.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"cannot read {home.shown(home.audit_key)}: {error}; {_MAKE_ONE}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise OperatorError(f"{home.shown(home.audit_key)} is not an Ed25519 key; {_MAKE_ONE}")
    key = AuditKey(private, load_public_keys(home.audit_public_keys))
    if key.id not in key.public.by_id:
        shown = home.shown(home.audit_public_keys)
        raise OperatorError(f"{shown} lacks the public key of {home.shown(home.audit_key)}; {_MAKE_ONE}")
    return key


def load_public_keys(path: Path) -> PublicKeys:
    """Load the public keys of a PEM file.

    Raises:
        OperatorError: The file cannot be read, or has no Ed25519 public key.
    """
    try:
        blocks = _PUBLIC_KEY.findall(path.read_bytes())
        keys = [load_pem_public_key(block) for block in blocks]
    except OSError as error:
        raise OperatorError(
            f"cannot read the audit log's public key: {path}: {error.strerror}; check its path"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"cannot read the audit log's public key: {path}: {error}; put it back") from error
    found = {key_id_of(key): key for key in keys if isinstance(key, Ed25519PublicKey)}
    if not found:
        raise OperatorError(f"no Ed25519 public key in {path}; use that of the audit log: certs/audit.pem")
    return PublicKeys(found)
