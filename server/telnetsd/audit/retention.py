"""What becomes of rotated files: they are compressed, and removed when they are old or too many.

Only files that we rotated are touched, the oldest first, so that what is left is one unbroken log. Whoever removes a
file writes an event first that says where it ended: a log whose beginning is missing without one is damaged.
"""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import zstandard

from telnetsd.audit.archive import Snapshot, read_lines, take_files
from telnetsd.audit.chain import ChainError, Link, read_link
from telnetsd.audit.reason import RetentionReason
from telnetsd.config import AuditSettings
from telnetsd.errors import OperatorError
from telnetsd.home import SECRET_FILE_MODE, sync_folder

ZSTD_SUFFIX: Final = ".zst"
_ROTATED: Final = re.compile(r"-[0-9]{12}\.jsonl(\.zst)?")
_CHUNK_BYTES: Final = 2**20
_DAY_S: Final = 86400


@dataclass(frozen=True, slots=True)
class Expired:
    """A rotated file that is to go: why, and its first and last line."""

    path: Path
    reason: RetentionReason
    first: Link
    last: Link


def compress_rotated(path: Path) -> list[Path]:
    """Compress the rotated files of the log at `path`, and return what was made.

    Raises:
        OSError: One cannot be read or written; it stays as it is.
    """
    plain = [one for one in _rotated(path) if one.suffix == path.suffix]
    return [_compress(one) for one in plain]


def find_expired(path: Path, settings: AuditSettings, at: datetime) -> Expired | None:
    """Return the oldest rotated file when it is to go, and nothing otherwise.

    Args:
        path: The log.
        settings: How long, and how much of it is kept.
        at: Now (aware, UTC).
    Raises:
        OperatorError: That file cannot be read, or is damaged: it stays, and so do the others.
    """
    files = _rotated(path)
    if not files:
        return None
    oldest, total = files[0], sum(one.stat().st_size for one in files)
    age_days = (at - datetime.fromtimestamp(oldest.stat().st_mtime, UTC)).total_seconds() / _DAY_S
    if 0 < settings.retention_days < age_days:
        return _expired(oldest, RetentionReason.AGE)
    if 0 < settings.retention_bytes < total:
        return _expired(oldest, RetentionReason.SIZE)
    return None


def _rotated(path: Path) -> list[Path]:
    """Return the files that we rotated, the oldest first."""
    found = path.parent.glob(f"{path.stem}-*")
    return sorted(one for one in found if _ROTATED.fullmatch(one.name.removeprefix(path.stem)))


def _expired(path: Path, reason: RetentionReason) -> Expired:
    snapshot = take_files([path])
    first, last = snapshot.parts[0].first, _last_link(snapshot)
    if first is None or last is None:
        raise OperatorError(f"{path} is to be removed and is damaged, so it stays; run: telnetsd audit verify")
    return Expired(path, reason, first, last)


def _last_link(snapshot: Snapshot) -> Link | None:
    content = b""
    for line in read_lines(snapshot):
        content = line.content
    try:
        return read_link(content)
    except ChainError:
        return None


def _compress(path: Path) -> Path:
    """Compress a file beside it, and remove it once the copy has been read back and is the same."""
    target = path.with_name(path.name + ZSTD_SUFFIX)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with path.open("rb") as source, os.fdopen(os.open(unfinished, flags, SECRET_FILE_MODE), "w+b") as copy:
        zstandard.ZstdCompressor().copy_stream(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
        source.seek(0)
        copy.seek(0)
        reader = zstandard.ZstdDecompressor().stream_reader(copy, closefd=False)
        if _digest(reader) != _digest(source):
            raise OSError(None, "the compressed copy is not the same", str(unfinished))
        times = os.fstat(source.fileno())
    os.utime(unfinished, ns=(times.st_atime_ns, times.st_mtime_ns))
    unfinished.replace(target)
    sync_folder(path.parent)
    path.unlink()
    return target


def _digest(file: IO[bytes] | zstandard.ZstdDecompressionReader) -> bytes:
    digest = sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.digest()
