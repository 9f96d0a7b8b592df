"""Home folders that earlier versions made, with their keys: see tests/homes/README.md."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telnetsd.files.home import Home

FOLDER: Final = Path(__file__).resolve().parents[1] / "homes"
MADE_AT: Final = "2026-11-30 05:30:00"
"""A time, in UTC, at which everything in the home of 0.1.0 is valid."""
_EC_KEYS: Final = {
    "certs/ca.key": 0,
    "certs/server.key": 1,
    "certs/users/alice.key": 3,
    "certs/users/bob.key": 4,
    "certs/users/carol.key": 5,
}
_AUDIT_KEYS: Final = {"certs/audit.key": 2}


def make_home_of_0_1_0(root: Path) -> Home:
    """Copy the home folder that 0.1.0 made, and put its keys back."""
    shutil.copytree(FOLDER / "0.1.0", root)
    for folder in (root, *root.rglob("*")):
        folder.chmod(0o700 if folder.is_dir() else 0o600)
    for name, number in _EC_KEYS.items():
        _write(root / name, ec.derive_private_key(int.from_bytes(_secret(number), "big"), ec.SECP256R1()))
    for name, number in _AUDIT_KEYS.items():
        _write(root / name, ed25519.Ed25519PrivateKey.from_private_bytes(_secret(number)))
    return Home(root)


def _secret(number: int) -> bytes:
    return hashlib.sha256(b"telnetsd 0.1.0 home, key %d" % number).digest()


def _write(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
