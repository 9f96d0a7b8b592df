"""Putting a restored installation in the place of the former one; an interruption is undone.

What is to be moved is written down before the first file is moved. As long as that journal is there, no verb but
`restore` works, and the next restore first moves everything back.
"""

import os
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from telnetsd.administration.backup.archive import TOP
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FOLDER_MODE, sync_folder, write_secret
from telnetsd.files.home import Home

_FORMER: Final = "before-restore-"
_LAST: Final = "state.db"
"""What no server starts without: the first to be moved aside, and the last to be put in place."""
_OF_STATE: Final = (_LAST, f"{_LAST}-wal", f"{_LAST}-shm")


class _Move(msgspec.Struct, frozen=True):
    """A rename; both paths are below the home folder."""

    source: str
    target: str


def put_in_place(home: Home, staged: Home) -> Path | None:
    """Move the former installation aside, and what was staged into its place; returns where the former one is.

    Raises:
        OSError: Something cannot be moved; everything is where it was.
    """
    present = [name for name in dict.fromkeys((*_OF_STATE, *TOP)) if os.path.lexists(home.root / name)]
    staged_names = sorted((name for name in TOP if (staged.root / name).exists()), key=_LAST.__eq__)
    aside = _make_aside(home) if present else None
    moves = [_Move(name, f"{aside.name}/{name}") for name in present] if aside is not None else []
    moves += [_Move(f"{staged.root.name}/{name}", name) for name in staged_names]
    write_secret(home.restore_journal, msgspec.json.encode(moves))
    sync_folder(home.restoring_folder)
    try:
        for move in moves:
            (home.root / move.source).rename(home.root / move.target)
        sync_folder(home.root)
    except BaseException:
        _move_back(home, moves, aside)
        raise
    home.restore_journal.unlink()
    sync_folder(home.restoring_folder)
    return aside


def undo_interrupted(home: Home) -> None:
    """Move everything back where it was before a restore that was interrupted.

    Raises:
        OperatorError: The journal cannot be read.
        OSError: Something cannot be moved.
    """
    if not home.restore_journal.exists():
        return
    try:
        moves = msgspec.json.decode(home.restore_journal.read_bytes(), type=list[_Move])
    except msgspec.DecodeError as error:
        raise OperatorError(
            f"{home.restore_journal} cannot be read ({error}); move the files back yourself"
        ) from error
    _move_back(home, moves, None)


def _move_back(home: Home, moves: list[_Move], aside: Path | None) -> None:
    for move in reversed(moves):
        source, target = home.root / move.source, home.root / move.target
        if os.path.lexists(target) and not os.path.lexists(source):
            target.rename(source)
    sync_folder(home.root)
    home.restore_journal.unlink()
    if aside is not None:
        aside.rmdir()


def _make_aside(home: Home) -> Path:
    """Make a new folder for the former installation."""
    name = f"{_FORMER}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for number in count(1):
        folder = home.root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(SECRET_FOLDER_MODE)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("a name is always free")
