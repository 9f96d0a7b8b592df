"""What the audit key signs: checkpoints inside the log, the seal beside it, and the manifest of a backup.

A *checkpoint* is an event whose whole line is signed. Since it carries the hash of the previous line, its signature
covers every line of the log up to it. A checkpoint begins each file and ends each rotated one.

The *seal* is a small signed file beside the log that says where the log ends. It is written twice for every write to
the log: beforehand with where the log is going to end, and afterwards with where it ends. If a log ends before its
seal, it was cut off. If lines after the seal were not announced, they did not come from a writer of this log. An
attacker who removes or adds lines cannot make a seal that fits. A checkpoint of the log does not serve as a seal,
since each signature says what it is for.

This module does not access files: see `audit.key` and `audit.file`.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from telnetsd.audit.chain import EMPTY, SEAL_BYTES, ChainError, Head, Link, read_link, take_signature

ALGORITHM: Final = "Ed25519"
_CHECKPOINT_PURPOSE: Final = b"telnetsd audit checkpoint v1\n"
_SEAL_PURPOSE: Final = b"telnetsd audit seal v1\n"
_BACKUP_PURPOSE: Final = b"telnetsd backup v1\n"


class _Seal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    sequence: int
    sha256: str
    next_sequence: int
    next_sha256: str
    key_id: str
    signature: str


_seal_decoder: Final = msgspec.json.Decoder(_Seal)


@dataclass(frozen=True, slots=True)
class Seal:
    """Where a log ends, and where a writer is about to make it end; both are the same when no process is writing."""

    head: Head
    next: Head


NO_SEAL: Final = Seal(EMPTY, EMPTY)


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the id of a key in events: the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The keys whose signatures an auditor accepts, by key id."""

    by_id: Mapping[str, Ed25519PublicKey]

    def holds(self, key_id: str, signature: str, content: bytes) -> bool:
        """Tell whether one of the keys has signed that content; `signature` is base64."""
        key = self.by_id.get(key_id)
        if key is None:
            return False
        try:
            key.verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


class AuditKey:
    """The private key that signs, and every public key of this log, including the previous ones."""

    def __init__(self, private: Ed25519PrivateKey, public: PublicKeys) -> None:
        self._private = private
        self.id = key_id_of(private.public_key())
        self.public = public

    def sign_checkpoint(self, line: bytes) -> str:
        """Sign a checkpoint's line; returns base64."""
        return self._sign(_CHECKPOINT_PURPOSE + line)

    def make_seal(self, seal: Seal) -> bytes:
        """Return the content of a seal: SEAL_BYTES long."""
        head, following = seal.head, seal.next
        written = _Seal(
            sequence=head.sequence,
            sha256=head.sha256,
            next_sequence=following.sequence,
            next_sha256=following.sha256,
            key_id=self.id,
            signature=self._sign(_seal_statement(seal)),
        )
        return msgspec.json.encode(written).ljust(SEAL_BYTES - 1) + b"\n"

    def sign_backup(self, manifest: bytes) -> str:
        """Sign the manifest of a backup; returns base64."""
        return self._sign(_BACKUP_PURPOSE + manifest)

    def _sign(self, content: bytes) -> str:
        return base64.b64encode(self._private.sign(content)).decode()


def is_signed(line: bytes, link: Link, keys: PublicKeys) -> bool:
    """Tell whether a checkpoint's line was signed by one of the keys."""
    signed = take_signature(line)
    return signed is not None and keys.holds(link.key_id, signed.signature, _CHECKPOINT_PURPOSE + signed.content)


def is_signed_backup(manifest: bytes, signature: bytes, key_id: str, keys: PublicKeys) -> bool:
    """Tell whether one of the keys has signed the manifest of a backup; `signature` is base64."""
    return keys.holds(key_id, signature.decode("ascii", "replace"), _BACKUP_PURPOSE + manifest)


def read_checkpoint(line: bytes, keys: PublicKeys) -> Link:
    """Check the signature of an exported checkpoint, and return what the checkpoint says.

    Raises:
        ChainError: It is not a checkpoint, or none of our keys has signed it.
    """
    link = read_link(line)
    if not is_signed(line, link, keys):
        raise ChainError("it was not signed by the audit key")
    return link


def read_seal(content: bytes, keys: PublicKeys) -> Seal:
    """Return what a seal says.

    Raises:
        ChainError: The seal cannot be read, or none of our keys has signed it.
    """
    try:
        read = _seal_decoder.decode(content[:SEAL_BYTES])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChainError("the seal cannot be read") from error
    seal = Seal(Head(read.sequence, read.sha256), Head(read.next_sequence, read.next_sha256))
    if not keys.holds(read.key_id, read.signature, _seal_statement(seal)):
        raise ChainError("the seal was not signed by the audit key")
    return seal


def _seal_statement(seal: Seal) -> bytes:
    heads = "".join(f"{head.sequence}\n{head.sha256}\n" for head in (seal.head, seal.next))
    return _SEAL_PURPOSE + heads.encode()
