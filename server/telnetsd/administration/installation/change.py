"""One change of an installation: state, log and files, all of it or nothing, whenever the machine stops.

A process that changes anything holds one lock. The files are first written completely, in a staging folder. Then the
events are written to disk, then the database commits, and then the files are renamed into place. A change that was
interrupted before the commit is undone by the next change (and the log records this). A change that was interrupted
after the commit is completed.
"""

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from telnetsd.administration.installation.audit_log import open_log
from telnetsd.audit.log import AuditLog
from telnetsd.audit.trail import make_event
from telnetsd.errors import OperatorError
from telnetsd.events.event import Event
from telnetsd.events.of_changes import ChangeUndone
from telnetsd.events.part import Fields
from telnetsd.files.atomic import (
    PUBLIC_FILE_MODE,
    SECRET_FILE_MODE,
    make_secret_folder,
    sync_folder,
    write_public,
    write_secret,
)
from telnetsd.files.home import Home
from telnetsd.files.locking import take_lock
from telnetsd.pki.authority import utc_now
from telnetsd.state.opening import open_store, require_store
from telnetsd.state.store import Store

LOCK_TIMEOUT_S: Final = 10.0
_MANIFEST: Final = "manifest.json"
is_ending: Final = threading.Event()
"""Set when this process ends: its threads no longer wait for the lock."""


class _StagedFile(msgspec.Struct, frozen=True):
    """A file of a change: its name in the staging folder (None: delete the target), and its destination."""

    staged: str | None
    target: str


class _Manifest(msgspec.Struct, frozen=True):
    files: list[_StagedFile]
    messages: list[str]


class Change:
    """Modifications that take effect together.

    Attributes:
        home: The installation.
        state: The store, inside a transaction.
        at: The time of the change (aware, UTC, whole seconds).
    """

    def __init__(self, home: Home, state: Store, who: Fields) -> None:
        self.home = home
        self.state = state
        self.at: datetime = utc_now()
        self.events: list[Fields] = []
        self._who = who
        self._files: list[tuple[Path, bytes | None, int]] = []

    def record(self, event: Event) -> None:
        """Add an event, which is logged when the change is made."""
        self.events.append(make_event(event, self._who))

    def write_secret(self, path: Path, content: bytes) -> None:
        """Write a file that only its owner may read."""
        self._files.append((path, content, SECRET_FILE_MODE))

    def write_public(self, path: Path, content: bytes) -> None:
        """Write a file that all users may read."""
        self._files.append((path, content, PUBLIC_FILE_MODE))

    def delete(self, path: Path) -> None:
        """Delete a file, if it exists."""
        self._files.append((path, None, 0))

    def stage(self, folder: Path) -> None:
        """Write the files to the staging folder, with a manifest that says where each one belongs."""
        make_secret_folder(folder)
        entries = []
        for number, (path, content, mode) in enumerate(self._files):
            if path.is_dir():
                raise OperatorError(f"{self.home.shown(path)} is a folder, but must be a file; move it away")
            target = str(path.relative_to(self.home.root))
            if content is None:
                entries.append(_StagedFile(None, target))
                continue
            write = write_secret if mode == SECRET_FILE_MODE else write_public
            write(folder / str(number), content)
            entries.append(_StagedFile(str(number), target))
        messages = [str(event["message"]) for event in self.events]
        write_secret(folder / _MANIFEST, msgspec.json.encode(_Manifest(entries, messages)))
        sync_folder(folder)
        sync_folder(folder.parent)


@contextmanager
def changing(home: Home, who: Fields) -> Iterator[Change]:
    """Make a change: what happens inside the block takes effect when it ends, or not at all if it raises.

    Args:
        home: The installation.
        who: The event fields that say who makes the change.
    Raises:
        OperatorError: There is no home folder, or it cannot be written.
        AuditUnavailableError: The log cannot be written: nothing was changed.
    """
    with locked(home), closing(open_store(home)) as state, closing(open_log(home)) as log:
        _recover(home, state, log)
        folder = home.staging_folder / uuid.uuid4().hex
        is_told = False
        try:
            with state.transaction():
                change = Change(home, state, who)
                yield change
                change.stage(folder)
                state.note_change(folder.name)
                log.append(change.events)
                is_told = True
        except BaseException:
            _undo(folder, log, is_told=is_told)
            raise
        try:
            _put_in_place(home, folder, state)
        except OSError as error:
            raise OperatorError(
                f"the change was made, but {error.filename2 or error.filename} could not be put in place:"
                f" {error.strerror}; fix that, and run: telnetsd check"
            ) from error


def recover(home: Home) -> None:
    """Complete or undo a change that was interrupted.

    Raises:
        OperatorError: It cannot be done.
    """
    if any(home.staging_folder.glob("*")):
        with at_rest(home):
            pass


@contextmanager
def at_rest(home: Home) -> Iterator[tuple[Store, AuditLog]]:
    """Let no process change the installation until the block ends; one that was interrupted is dealt with first.

    Raises:
        OperatorError: There is no home folder, or another change takes too long.
    """
    with locked(home), closing(open_store(home)) as state, closing(open_log(home)) as log:
        _recover(home, state, log)
        yield state, log


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Let no other process change the installation until the block ends.

    Raises:
        OperatorError: There is no home folder, or another change takes too long.
    """
    require_store(home)
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(home.change_lock, flags, SECRET_FILE_MODE)
        try:
            _wait_for_lock(home, descriptor)
            # A restore has put another file in its place while this process waited.
            if not _is_at(home.change_lock, descriptor):
                continue
            yield
            return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _wait_for_lock(home: Home, descriptor: int) -> None:
    if not take_lock(descriptor, LOCK_TIMEOUT_S, is_given_up=is_ending.is_set):
        raise OperatorError(
            f"another change has been in progress for too long (it holds {home.shown(home.change_lock)});"
            " stop it, and try again"
        )


def _recover(home: Home, state: Store, log: AuditLog) -> None:
    for folder in sorted(home.staging_folder.glob("*")):
        if state.has_change(folder.name):
            _put_in_place(home, folder, state)
        else:
            _undo(folder, log, is_told=True)


def _undo(folder: Path, log: AuditLog, *, is_told: bool) -> None:
    """Remove what was staged; if the log may say that the change was made, record that it was undone."""
    if is_told and (folder / _MANIFEST).exists():
        manifest = _read_manifest(folder)
        message = f"an interrupted change was undone: {'; '.join(manifest.messages)}"
        log.append([make_event(ChangeUndone(message=message))])
    shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(home: Home, folder: Path, state: Store) -> None:
    # No manifest: the change was interrupted while its folder was being removed, so the files are in place.
    files = _read_manifest(folder).files if (folder / _MANIFEST).exists() else []
    for one in files:
        target = home.root / one.target
        if ".." in Path(one.target).parts or not target.is_relative_to(home.root):
            raise OperatorError(
                f"{folder / _MANIFEST} names a file outside the home folder: {one.target!a}; remove it"
            )
        if one.staged is None:
            target.unlink(missing_ok=True)
        elif (folder / one.staged).exists():
            target.parent.mkdir(exist_ok=True)
            (folder / one.staged).replace(target)
        if target.parent.exists():
            sync_folder(target.parent)
    shutil.rmtree(folder)
    state.forget_change(folder.name)


def _read_manifest(folder: Path) -> _Manifest:
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
    except msgspec.MsgspecError as error:
        raise OperatorError(
            f"{folder / _MANIFEST} cannot be read ({error}); restore a backup of the folder"
        ) from error
