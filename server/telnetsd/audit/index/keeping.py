"""Keeping the index of the log: every rotated file has one, and no index is left of a file that is gone."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from telnetsd.audit.compression import ZSTD_SUFFIX
from telnetsd.audit.index.blocks import Tracked, blocks_of
from telnetsd.audit.index.index_file import SUFFIX, LogIndex, origin_of, write_index
from telnetsd.audit.reading.archive import LogPart, Snapshot, read_lines
from telnetsd.files.atomic import SECRET_FILE_MODE, give_to_owner, make_secret_folder
from telnetsd.files.locking import take_lock

LOCK: Final = "lock"
_LOCK_WAIT_S: Final = 600.0


def index_path(folder: Path, part: LogPart) -> Path:
    """Return where the index of a file is; compressing the file does not change that."""
    return folder / f"{part.path.name.removesuffix(ZSTD_SUFFIX)}{SUFFIX}"


def open_index(folder: Path, part: LogPart) -> LogIndex | None:
    """Open the index of a file; return None if there is none that is of this file as it is now."""
    try:
        index = LogIndex(index_path(folder, part))
    except (sqlite3.Error, OSError, TypeError):
        return None
    with suppress(OSError):
        if index.origin == origin_of(part):
            return index
    index.close()
    return None


def is_rotated(part: LogPart, log: Path) -> bool:
    """Tell whether nothing is written to a file of the log any more, so that it can have an index."""
    return part.path != log and part.first is not None


def index_log(
    snapshot: Snapshot, log: Path, folder: Path, on_progress: Callable[[int], None], *, is_rebuilt: bool = False
) -> int:
    """Index each rotated file that has no index yet; remove what is left of other files.

    Args:
        snapshot: The log.
        log: Its current file.
        folder: Where the index is.
        on_progress: Called with how many bytes of the files are done.
        is_rebuilt: Whether every file is indexed again.

    Returns:
        How many files were indexed.

    Raises:
        OSError: The index cannot be written.
        OperatorError: A file of the log cannot be read.
    """
    parts, done, count = [part for part in snapshot.parts if is_rotated(part, log)], 0, 0
    with _alone(folder):
        wanted = set() if is_rebuilt else {index_path(folder, part) for part in parts}
        for other in (*folder.glob(f"*{SUFFIX}"), *folder.glob(".*.part")):
            if other not in wanted:
                other.unlink(missing_ok=True)
        for part in parts:
            if (index := open_index(folder, part)) is not None:
                index.close()
            else:
                _index(part, index_path(folder, part), _after(done, on_progress))
                count += 1
            done += part.size
            on_progress(done)
    return count


def _after(before: int, on_progress: Callable[[int], None]) -> Callable[[int], None]:
    return lambda size: on_progress(before + size)


def _index(part: LogPart, path: Path, on_progress: Callable[[int], None]) -> None:
    with suppress(FileNotFoundError):  # it was removed, or compressed, in the meantime: the next time shows
        origin = origin_of(part)
        if origin is None:
            return
        tracked = Tracked()
        lines = (line.content for line in read_lines(Snapshot((part,), b""), on_progress))
        try:
            write_index(path, origin, blocks_of(lines, tracked), tracked)
        except sqlite3.Error as error:
            raise OSError(None, f"the index cannot be written: {error}", str(path)) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    for one in (folder.parent, folder):
        if one.is_symlink():
            # Root would change, and remove from, a folder that the server's user has chosen.
            raise OSError(None, "it is a symbolic link; remove it", str(one))
        make_secret_folder(one)
        give_to_owner(one, one.parent)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET_FILE_MODE)
    give_to_owner(folder / LOCK, folder)
    with closing(os.fdopen(descriptor, "rb")):
        if not take_lock(descriptor, _LOCK_WAIT_S):
            raise OSError(None, "another process is making the index of the audit log; try again later", str(folder))
        yield
