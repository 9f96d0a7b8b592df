"""Making the index: every recording that is complete and not in it yet is added, each in one transaction."""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FILE_MODE, give_to_owner, make_secret_folder
from telnetsd.files.locking import take_lock
from telnetsd.lines.recordings.name import RecordingName, parse_name, plain_name
from telnetsd.lines.recordings.playback import list_recordings
from telnetsd.lines.recordings.recording import is_growing
from telnetsd.lines.search.blocks import blocks_of
from telnetsd.lines.search.index_file import SUFFIX, IndexFile
from telnetsd.lines.search.reading import read_readable_text

LOCK: Final = "lock"
LOCK_WAIT_S: Final = 600.0
_PRIMARY_CODE: Final = 0xFF
_SIDE_FILES: Final = ("", "-wal", "-shm")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the index is: recordings and bytes that were added in this run, and that were to be added."""

    recordings: int
    recordings_due: int
    size: int
    size_due: int


def index_recordings(
    recordings: Path, index: Path, *, is_checked: bool, is_rebuilt: bool, report: Callable[[Progress], None]
) -> Progress:
    """Bring the index up to date.

    Args:
        recordings: The folder of recordings.
        index: The folder of the index.
        is_checked: Whether damage is looked for, which reads the whole index.
        is_rebuilt: Whether everything is rebuilt.
        report: Called as the work goes on.
    Raises:
        OperatorError: Another process makes the index, and does not finish.
        OSError: The index cannot be written.
    """
    with _alone(index, recordings):
        if is_rebuilt:
            for path in index.glob(f"*{SUFFIX}"):
                _remove(path)
        existing = list_recordings(recordings)
        names = {plain_name(path.name) for path in existing}
        known = _bring_up_to_date(index, names, is_checked=is_checked)
        due = [path for path in existing if plain_name(path.name) not in known and not _is_growing(path)]
        return _add_all(index, due, report)


def list_index_files(index: Path) -> list[Path]:
    """Return the files of the index, the newest first."""
    return sorted(index.glob(f"*{SUFFIX}"), reverse=True)


def _add_all(index: Path, due: list[Path], report: Callable[[Progress], None]) -> Progress:
    sizes = [_size_of(path) for path in due]
    progress = Progress(0, len(due), 0, sum(sizes))
    for number, (path, size) in enumerate(zip(due, sizes, strict=True), 1):
        report(progress)
        name = parse_name(path.name)
        if name is not None:
            _add(index, path, name)
        progress = Progress(number, len(due), progress.size + size, progress.size_due)
    report(progress)
    return progress


def _add(index: Path, path: Path, name: RecordingName) -> None:
    """Add a recording to the file of its day; rebuild the file if it turns out to be damaged."""
    target = index / f"{name.begun_at:%Y%m%d}{SUFFIX}"
    try:
        _add_to(target, path, name)
    except sqlite3.DatabaseError as error:
        _require_damage(error, target)
        logger.warning("%s was damaged, and is rebuilt", target.name)
        _remove(target)
        _add_to(target, path, name)


def _add_to(target: Path, path: Path, name: RecordingName) -> None:
    digest, begun_ms = sha256(), round(name.begun_at.timestamp() * 1000)
    with closing(IndexFile(target, is_read_only=False)) as file:
        file.begin()
        try:
            number = file.add_recording(plain_name(path.name), name.line, begun_ms)
            for block in blocks_of(read_readable_text(path, digest.update)):
                file.add_block(number, begun_ms, block)
            if not path.exists():
                # It may have been compressed before it was read: the next run finds it.
                file.rollback()
                return
            file.commit(number, digest.hexdigest())
        except BaseException:
            file.rollback()
            raise


def _bring_up_to_date(index: Path, existing: set[str], *, is_checked: bool) -> set[str]:
    """Return the recordings that the index covers; remove damaged files, and the text of recordings that are gone."""
    covered: set[str] = set()
    for path in list_index_files(index):
        try:
            with closing(IndexFile(path, is_read_only=False)) as file:
                if is_checked:
                    file.require_intact()
                files = file.files()
                for name in files - existing if files & existing else ():
                    file.remove(name)
        except sqlite3.DatabaseError as error:
            _require_damage(error, path)
            logger.warning("%s was damaged, and is rebuilt", path.name)
            files = set()
        if not files & existing:
            _remove(path)
        covered |= files & existing
    return covered


def _require_damage(error: sqlite3.DatabaseError, path: Path) -> None:
    """Accept that a file of the index is damaged, and has to be rebuilt.

    Raises:
        OSError: It is not: it cannot be read or written now.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY_CODE not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        raise OSError(None, f"the index cannot be used: {error}", str(path)) from error


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # it was compressed or removed in the meantime


def _remove(path: Path) -> None:
    for end in _SIDE_FILES:
        path.with_name(path.name + end).unlink(missing_ok=True)


def _is_growing(path: Path) -> bool:
    try:
        return is_growing(path)
    except OSError:
        return True  # it was compressed or removed in the meantime


@contextmanager
def _alone(index: Path, recordings: Path) -> Iterator[None]:
    make_secret_folder(index)
    give_to_owner(index, recordings if recordings.exists() else index.parent)
    descriptor = os.open(index / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET_FILE_MODE)
    give_to_owner(index / LOCK, index)
    try:
        if not take_lock(descriptor, LOCK_WAIT_S):
            raise OperatorError("another process is making the index of the recordings; try again later")
        yield
    finally:
        os.close(descriptor)
