"""The private keys of a backup, encrypted with a passphrase: scrypt (RFC 7914), then AES-256-GCM (RFC 5116)."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from telnetsd.errors import OperatorError

_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_COST: Final = 2**17
"""scrypt's N: with r = 8, one guess needs 128 MiB."""
_PURPOSE: Final = b"telnetsd backup keys v1\n"


def lock(content: bytes, passphrase: bytes) -> bytes:
    """Encrypt; returns the salt, the nonce and the ciphertext."""
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    return salt + nonce + AESGCM(_derive(passphrase, salt)).encrypt(nonce, content, _PURPOSE)


def unlock(box: bytes, passphrase: bytes) -> bytes:
    """Decrypt what `lock` returned.

    Raises:
        OperatorError: The passphrase is wrong, or the content was changed.
    """
    salt, nonce = box[:_SALT_BYTES], box[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
    try:
        return AESGCM(_derive(passphrase, salt)).decrypt(nonce, box[_SALT_BYTES + _NONCE_BYTES :], _PURPOSE)
    except (InvalidTag, ValueError) as error:
        raise OperatorError("the passphrase does not open the keys of this backup; try another one") from error


def _derive(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=_COST, r=8, p=1).derive(passphrase)
