"""Continuing a later log after a restore, so that what it records is neither lost nor undone."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import IO

from telnetsd.administration.backup.later import LaterLog, read_later
from telnetsd.audit.chain import Head
from telnetsd.audit.file import free_rotated_path, seal_path
from telnetsd.audit.key import load_public_keys
from telnetsd.audit.reading.archive import LogPart, Snapshot, open_part, read_lines, take_snapshot
from telnetsd.audit.reading.verification import Expectation, verify
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FILE_MODE, write_secret
from telnetsd.files.home import Home


def continue_log(staged: Home, folder: Path, head: Head, witnessed: Head) -> LaterLog:
    """Read the log that goes on after a backup, and continue with its files instead of the backup's.

    Args:
        staged: What was extracted from the backup.
        folder: Where the log is.
        head: The line with which the backup ends.
        witnessed: A line that the log had, as remembered elsewhere; EMPTY if none is remembered.
    Raises:
        OperatorError: It cannot be used.
    """
    try:
        snapshot = take_snapshot(folder / staged.audit_file.name)
        keys = load_public_keys(staged.audit_public_keys)
        later = read_later(snapshot, head, keys)
        found = verify(read_lines(snapshot), Expectation(keys, snapshot.seal, False, None, witnessed)).damage
        if found is not None and not later.damage:
            later = replace(later, damage=f"{found.file} line {found.line}: {found.message}")
        _take_files(staged, snapshot, head)
    except OperatorError as error:
        raise OperatorError(
            f"the log in {folder} cannot be used: {error}; to restore without it: --without-log"
        ) from error
    return later


def _take_files(staged: Home, snapshot: Snapshot, head: Head) -> None:
    """Replace the files of the backup's log by those of the log that goes on after it; keep what only the backup has.

    Raises:
        OperatorError: The log begins in the middle of a file of the backup.
    """
    begin, mine = _first_of(snapshot.parts[0]), take_snapshot(staged.audit_file).parts
    begins = [_first_of(part) for part in mine]
    if begins[0] < begin <= head.sequence and begin not in begins:
        raise OperatorError(
            f"it begins with line {begin}, in the middle of a file of the backup; add its earlier files"
        )
    for part in mine:
        if _first_of(part) >= begin:
            part.path.unlink()
    if staged.audit_file.exists():
        staged.audit_file.rename(free_rotated_path(staged.audit_file, begins[-1]))
    for part in snapshot.parts:
        with open_part(part) as (name, source, size):
            _copy(source, staged.audit_file.parent / name, size)
    if not staged.audit_file.exists():
        _write_on(staged, snapshot.parts[-1])
    seal = seal_path(staged.audit_file)
    seal.unlink()
    if snapshot.seal:
        write_secret(seal, snapshot.seal)


def _write_on(staged: Home, part: LogPart) -> None:
    """Make a rotated file the one that is written, since the log has none: its last line is where the log goes on."""
    lines = [line.content for line in read_lines(Snapshot((part,), b"")) if line.is_whole]
    write_secret(staged.audit_file, b"".join(line + b"\n" for line in lines))
    (staged.audit_file.parent / part.path.name).unlink()


def _first_of(part: LogPart) -> int:
    """Return the number of a file's first line; 0 if that line is damaged."""
    return part.first.head.sequence if part.first is not None else 0


def _copy(source: IO[bytes], target: Path, size: int) -> None:
    """Copy the first bytes of a file to a new one."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SECRET_FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(source, file)
        file.truncate(size)
        file.flush()
        os.fsync(file.fileno())
