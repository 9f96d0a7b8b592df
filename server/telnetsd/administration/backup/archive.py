"""The file of a backup: tar (POSIX.1-2001), compressed with Zstandard (RFC 8878), so that any tar lists it.

Its members are the files of the installation, by their paths below the home folder. After them come the private keys,
if they are included (`keys.box`, see `key_box`), then a manifest, and the manifest's signature by the audit key. The
manifest is last, so that a backup that was cut off has none.

Nothing in a backup is trusted: only regular files with the paths of an installation are taken, and each must have the
SHA-256 that the manifest states.
"""

import io
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Final, Self, cast

import msgspec
import zstandard

from telnetsd import __version__
from telnetsd.administration.backup.key_box import lock, unlock
from telnetsd.audit.chain import Head
from telnetsd.audit.checkpoint import AuditKey, is_signed_backup
from telnetsd.audit.file import open_regular
from telnetsd.audit.key import load_public_keys
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.fields import CAUSE_MAX_CHARS, parse_timestamp
from telnetsd.files.atomic import PUBLIC_FILE_MODE, SECRET_FILE_MODE, make_secret_folder

FORMAT: Final = 1
TOP: Final = ("telnetsd.toml", "state.db", "certs", "audit")
"""What an installation consists of, besides what a running server needs."""
_FOLDERS: Final = ("certs", "audit")
_DEPTH_MAX: Final = 8
_NAME_HEADER_MAX_BYTES: Final = 2**16
_PUBLIC_KEYS: Final = "certs/audit.pem"
KEY_BOX: Final = "keys.box"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
SMALL_MAX_BYTES: Final = 64 * 2**20
"""The maximum size of a member that is kept in memory: the keys, the manifest."""
_CHUNK_BYTES: Final = 2**20
_BROKEN: Final = (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError, OverflowError)


class BackedUpFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup."""

    size: int
    sha256: str


class _MadeBy(msgspec.Struct, frozen=True):
    """What every format of the manifest has."""

    format: int
    telnetsd: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup has.

    Attributes:
        format: The version of this format.
        telnetsd: The version that made the backup.
        taken_at: When, as an RFC 3339 timestamp.
        last_sequence, last_sha256: The line of the audit log, a signed one, up to which every change is included.
        files: The files, by path.
        keys: The SHA-256 of each private key of the installation, and of other private files, by path.
        has_keys: Whether those are included.
        key_id: The audit key that signed the manifest.
    """

    format: int
    telnetsd: str
    taken_at: str
    last_sequence: int
    last_sha256: str
    files: dict[str, BackedUpFile]
    keys: dict[str, str]
    has_keys: bool
    key_id: str

    @property
    def head(self) -> Head:
        """The line of the audit log up to which every change is included."""
        return Head(self.last_sequence, self.last_sha256)


class BackupWriter:
    """Writes a backup; see `writing`."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._files: dict[str, BackedUpFile] = {}
        self._keys: dict[str, bytes] = {}

    @property
    def file_count(self) -> int:
        """How many files were added, besides keys."""
        return len(self._files)

    @property
    def key_names(self) -> tuple[str, ...]:
        """The paths of the keys that were added."""
        return tuple(self._keys)

    def add(self, name: str, source: IO[bytes], size: int, mode: int = SECRET_FILE_MODE) -> None:
        """Add the first `size` bytes of a file.

        Raises:
            OSError: It has fewer, or cannot be read.
        """
        digest = _HashedFile(source)
        self._tar.addfile(_member(name, size, mode), cast("IO[bytes]", digest))
        self._files[name] = BackedUpFile(size, digest.hexdigest())

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a file with this content."""
        self.add(name, io.BytesIO(content), len(content))

    def add_key(self, name: str, content: bytes) -> None:
        """Add a private key, which is written at the end, encrypted, or not at all."""
        self._keys[name] = content

    def finish(self, key: AuditKey, taken_at: str, head: Head, passphrase: bytes | None) -> None:
        """Write the keys, if there is a passphrase for them, and then the manifest with its signature."""
        if passphrase is not None:
            box = lock(msgspec.msgpack.encode(self._keys), passphrase)
            self.add_bytes(KEY_BOX, box)
        manifest = Manifest(
            format=FORMAT,
            telnetsd=__version__,
            taken_at=taken_at,
            last_sequence=head.sequence,
            last_sha256=head.sha256,
            files=self._files,
            keys={name: sha256(content).hexdigest() for name, content in self._keys.items()},
            has_keys=passphrase is not None,
            key_id=key.id,
        )
        content = msgspec.json.format(msgspec.json.encode(manifest))
        self._tar.addfile(_member(MANIFEST, len(content)), io.BytesIO(content))
        signature = key.sign_backup(content).encode()
        self._tar.addfile(_member(SIGNATURE, len(signature)), io.BytesIO(signature))


@contextmanager
def writing(path: Path) -> Iterator[BackupWriter]:
    """Write a backup to a new file, which only its owner may read; when the block ends, it is on disk.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SECRET_FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        compressor = zstandard.ZstdCompressor(write_checksum=True)
        with (
            compressor.stream_writer(file, closefd=False) as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            yield BackupWriter(tar)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Extracted:
    """A backup whose files were extracted and compared with its manifest.

    Attributes:
        manifest: The manifest.
        sha256: The SHA-256 of the backup.
        key_box: The encrypted private keys; empty if the backup does not have them.
    """

    manifest: Manifest
    sha256: str
    key_box: bytes

    def keys(self, passphrase: bytes) -> dict[str, bytes]:
        """Return the content of each private key, by path.

        Raises:
            OperatorError: The passphrase is wrong, or they are not the keys of the manifest.
        """
        try:
            found = msgspec.msgpack.decode(unlock(self.key_box, passphrase), type=dict[str, bytes])
        except msgspec.DecodeError as error:
            raise OperatorError(f"the keys of this backup cannot be read: {error}; use another copy") from error
        if {name: sha256(content).hexdigest() for name, content in found.items()} != self.manifest.keys:
            raise OperatorError("the keys of this backup are not those that it lists; use another copy")
        return found


def extract(path: Path, folder: Path, public_keys: Path | None) -> Extracted:
    """Extract a backup into an empty folder, without its keys, and check it against its manifest.

    Args:
        path: The backup.
        folder: Where its files go.
        public_keys: The audit log's public keys, one of which must have signed it; None: those in the backup.
    Raises:
        OperatorError: It is not a whole backup of a known format, it was changed, or it was signed by another key.
        OSError: A file cannot be read or written.
    """
    small: dict[str, bytes] = {}
    with open_regular(path) as file:
        digest = file_digest(cast("io.BufferedReader", file), "sha256").hexdigest()
        file.seek(0)
        try:
            found = dict(_extract_members(file, folder, small))
        except _BROKEN as error:
            reason = escape(str(error), CAUSE_MAX_CHARS) or "it ends too early"
            raise OperatorError(f"{path} is not a whole backup of telnetsd: {reason}; use another copy") from error
    if not {MANIFEST, SIGNATURE} <= small.keys():
        raise OperatorError(f"{path} was cut off: it has no manifest; use another copy")
    content = small[MANIFEST]
    manifest = _read_manifest(path, content)
    if manifest.files != found or manifest.has_keys != (KEY_BOX in small) or not _is_usable(manifest):
        raise OperatorError(f"{path} was changed: its files are not those of its manifest; use another copy")
    keys = load_public_keys(public_keys or folder / _PUBLIC_KEYS)
    if not is_signed_backup(content, small[SIGNATURE], manifest.key_id, keys):
        where = public_keys or "the installation in it"
        raise OperatorError(f"{path} was not signed by the audit key of {where}; use another copy, or another folder")
    return Extracted(manifest, digest, small.get(KEY_BOX, b""))


def _read_manifest(path: Path, content: bytes) -> Manifest:
    try:
        made_by = msgspec.json.decode(content, type=_MadeBy)
        if made_by.format > FORMAT:
            raise OperatorError(f"{path} was made by telnetsd {escape(made_by.telnetsd, 40)}; install that version")
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise OperatorError(f"the manifest of {path} cannot be read: {error}; use another copy") from error


def _is_usable(manifest: Manifest) -> bool:
    """Tell whether the manifest names what an installation needs, a time, and keys by allowed paths only."""
    is_complete = (
        parse_timestamp(manifest.taken_at) is not None
        and {"state.db", "certs/ca.pem", _PUBLIC_KEYS} <= manifest.files.keys()
    )
    return is_complete and all(_is_allowed(name) and name not in manifest.files for name in manifest.keys)


def _extract_members(file: IO[bytes], folder: Path, small: dict[str, bytes]) -> Iterator[tuple[str, BackedUpFile]]:
    """Extract the members of a backup; yields each file that its manifest lists, with its path."""
    stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=False, closefd=False)
    # A reader of streams: a member cannot refer to another one.
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", tarinfo=_Header) as tar:
        for member in tar:
            source = None if member.issparse() else tar.extractfile(member)
            if source is None:
                raise ValueError(f"{member.name!r} is not a regular file")
            if member.name in {KEY_BOX, MANIFEST, SIGNATURE}:
                content = small[member.name] = _read_small(source, member)
                if member.name == KEY_BOX:
                    yield member.name, BackedUpFile(member.size, sha256(content).hexdigest())
            else:
                yield member.name, BackedUpFile(member.size, _extract_one(source, member, folder))


class _Header(tarfile.TarInfo):
    """A header of a regular file, or one with a long name for the next; others are refused before they are read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            ValueError: It is of another kind, or too long.
        """
        header = super().frombuf(buf, encoding, errors)
        is_name = header.type == tarfile.XHDTYPE and header.size <= _NAME_HEADER_MAX_BYTES
        if not is_name and header.type not in tarfile.REGULAR_TYPES:
            raise ValueError(f"{header.name!r} is not a regular file")
        return header


def _read_small(source: IO[bytes], member: tarfile.TarInfo) -> bytes:
    if member.size > SMALL_MAX_BYTES:
        raise ValueError(f"{member.name!r} is too long")
    content = source.read()
    if len(content) != member.size:
        raise EOFError
    return content


def _extract_one(source: IO[bytes], member: tarfile.TarInfo, folder: Path) -> str:
    """Write one file, which must be new; return its SHA-256."""
    if not _is_allowed(member.name):
        raise ValueError(f"{member.name!r} is not the path of a file of an installation")
    target = folder / member.name
    make_secret_folder(target.parent)
    mode = PUBLIC_FILE_MODE if member.mode & 0o044 else SECRET_FILE_MODE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    digest, left = sha256(), member.size
    with os.fdopen(os.open(target, flags, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if left:
        raise EOFError
    return digest.hexdigest()


def _is_allowed(name: str) -> bool:
    """Tell whether a path is one of an installation: relative, without `..`, and below one of its parts."""
    parts = name.split("/")
    # No file of an installation begins with a dot; what does is of an unfinished change.
    is_plain = all(part.isprintable() and part[:1] not in {"", "."} for part in parts)
    return is_plain and parts[0] in TOP and (len(parts) > 1) == (parts[0] in _FOLDERS) and len(parts) <= _DEPTH_MAX


def _member(name: str, size: int, mode: int = SECRET_FILE_MODE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, mode, int(time.time())
    return member


class _HashedFile:
    """Reads a file, and hashes what was read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = sha256()

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        content = self._source.read(size)
        self._digest.update(content)
        return content

    def hexdigest(self) -> str:
        """Return the SHA-256 of everything that was read."""
        return self._digest.hexdigest()
