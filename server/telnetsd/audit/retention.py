"""What happens to rotated files: they are compressed, and removed when they are old or too large together.

Only files that telnetsd rotated are touched, the oldest first, so that the remaining files are one unbroken log. A
process that removes a file first writes an event that says where the file ended. If the beginning of a log is missing
without such an event, the log is damaged.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from telnetsd.audit.chain import Link, link_of
from telnetsd.audit.compression import ZSTD_SUFFIX, compress
from telnetsd.audit.reading.archive import LogPart, Snapshot, read_lines, take_snapshot
from telnetsd.config.settings import AuditSettings
from telnetsd.errors import OperatorError
from telnetsd.events.fields import parse_timestamp
from telnetsd.events.reason import RetentionReason

_ROTATED: Final = re.compile(r"-[0-9]{12}(-[0-9]+)?\.jsonl(\.zst)?")
_DAY_S: Final = 86400


@dataclass(frozen=True, slots=True)
class Expired:
    """A rotated file that is to be removed: the reason, and its first and last line."""

    path: Path
    reason: RetentionReason
    first: Link
    last: Link


def compress_rotated(path: Path) -> list[Path]:
    """Compress the rotated files of the log at `path`, and return the compressed files.

    Raises:
        OSError: A file cannot be read or written; it stays as it is.
    """
    for unfinished in path.parent.glob(f".{path.stem}-*{ZSTD_SUFFIX}.*.part"):
        unfinished.unlink()
    return [compress(part.path) for part in take_snapshot(path).parts if part.is_plain and _is_ours(part.path, path)]


def list_rotated(path: Path) -> list[Path]:
    """Return the rotated files of the log at `path`, whose names sort in its order; the disk alone is asked.

    Raises:
        OSError: The folder cannot be read.
    """
    return sorted(one for one in path.parent.glob(f"{path.stem}-*") if _is_ours(one, path))


def find_expired(path: Path, settings: AuditSettings, at: datetime) -> Expired | None:
    """Return the oldest file of the log if it is to be removed, and None otherwise.

    Args:
        path: The log.
        settings: How long the log is kept, and how much of it.
        at: The current time (aware, UTC).
    Raises:
        OperatorError: A file cannot be read, or the oldest is damaged: it stays, and so do the others.
    """
    files = [part for part in take_snapshot(path).parts if part.first is not None]
    if not files or not _is_ours(files[0].path, path):
        return None
    status = files[0].path.stat()
    # A user who can set a file's time or length must not be able to have it removed. So the times in the log itself
    # count, and the space that is used on the disk.
    is_old = 0 < settings.retention_days * _DAY_S < at.timestamp() - status.st_mtime
    total = sum(min(part.size, part.path.stat().st_blocks * 512) for part in files)
    is_too_much = 0 < settings.retention_bytes < total
    if not is_old and not is_too_much:
        return None
    oldest = _ends_of(files[0])
    last_at = parse_timestamp(oldest.last.at)
    if is_too_much:
        return oldest
    is_really_old = last_at is not None and (at - last_at).total_seconds() > settings.retention_days * _DAY_S
    return replace(oldest, reason=RetentionReason.AGE) if is_really_old else None


def _is_ours(one: Path, path: Path) -> bool:
    """Tell from its name whether telnetsd has rotated a file."""
    return _ROTATED.fullmatch(one.name.removeprefix(path.stem)) is not None


def _ends_of(part: LogPart) -> Expired:
    last = _last_link(Snapshot((part,), b""))
    if part.first is None or last is None:
        raise OperatorError(f"{part.path} is due for removal but damaged, so it is kept; run: telnetsd audit verify")
    return Expired(part.path, RetentionReason.SIZE, part.first, last)


def _last_link(snapshot: Snapshot) -> Link | None:
    content = b""
    for line in read_lines(snapshot):
        content = line.content
    return link_of(content)
