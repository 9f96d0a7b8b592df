"""The files of a change: written completely in a folder of their own first, and put in place when the change counts.

The folder's name is the id of the change, and a manifest says where each file belongs. A change that was made on one
node of a fleet is decided by the stream of the fleet: its manifest says after which change it was to come.
"""

import shutil
import uuid
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from telnetsd.administration.replication.message import SharedFile
from telnetsd.administration.replication.shared_files import is_shared
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
from telnetsd.pki.authority import utc_now
from telnetsd.state.store import Store

_MANIFEST: Final = "manifest.json"


class _StagedFile(msgspec.Struct, frozen=True):
    """A file of a change: its name in the staging folder (None: delete the target), and its destination."""

    staged: str | None
    target: str


class Manifest(msgspec.Struct, frozen=True):
    """What a staging folder contains.

    Attributes:
        files: The files of the change.
        messages: What it does, one sentence an event.
        after: If the fleet decides: the position in its stream after which the change was to come; else None.
    """

    files: list[_StagedFile]
    messages: list[str]
    after: int | None = None


class Change:
    """Modifications that take effect together.

    Attributes:
        home: The installation.
        state: The store, inside a transaction.
        id: The id of the change.
        at: The time of the change (aware, UTC, whole seconds).
        who: The event fields that say who makes it.
        events: What it does.
        spread: If it takes access away on a node of a fleet: how far it has come, when it counts here.
        is_waiting: Whether it counts here, and is not in the stream of the fleet yet.
    """

    def __init__(self, home: Home, state: Store, who: Fields, change_id: str = "") -> None:
        self.home = home
        self.state = state
        self.id = change_id or uuid.uuid4().hex
        self.at: datetime = utc_now()
        self.who = who
        self.events: list[Fields] = []
        self.spread = ""
        self.is_waiting = False
        self._files: list[tuple[Path, bytes | None, int]] = []

    @property
    def folder(self) -> Path:
        """Where its files are staged."""
        return self.home.staging_folder / self.id

    @property
    def messages(self) -> list[str]:
        """What it does, one sentence an event."""
        return [str(event["message"]) for event in self.events]

    @property
    def shared_files(self) -> list[SharedFile]:
        """The files of it that all nodes of a fleet share."""
        public = ((self._target(path), content) for path, content, mode in self._files if not _is_secret(mode))
        return [SharedFile(path, content) for path, content in public if is_shared(path)]

    def record(self, event: Event) -> None:
        """Add an event, which is logged when the change is made."""
        self.events.append(make_event(event, self.who))

    def write_secret(self, path: Path, content: bytes) -> None:
        """Write a file that only its owner may read."""
        self._files.append((path, content, SECRET_FILE_MODE))

    def write_public(self, path: Path, content: bytes) -> None:
        """Write a file that all users may read."""
        self._files.append((path, content, PUBLIC_FILE_MODE))

    def delete(self, path: Path) -> None:
        """Delete a file, if it exists."""
        self._files.append((path, None, 0))

    def stage(self, after: int | None = None) -> None:
        """Write the files to the staging folder, with a manifest; `after`: see Manifest."""
        make_secret_folder(self.folder)
        entries = []
        for number, (path, content, mode) in enumerate(self._files):
            if path.is_dir():
                raise OperatorError(f"{self.home.shown(path)} is a folder, but must be a file; move it away")
            if content is None:
                entries.append(_StagedFile(None, self._target(path)))
                continue
            write = write_secret if _is_secret(mode) else write_public
            write(self.folder / str(number), content)
            entries.append(_StagedFile(str(number), self._target(path)))
        write_secret(self.folder / _MANIFEST, msgspec.json.encode(Manifest(entries, self.messages, after)))
        sync_folder(self.folder)
        sync_folder(self.folder.parent)

    def _target(self, path: Path) -> str:
        return str(path.relative_to(self.home.root))


def _is_secret(mode: int) -> bool:
    return mode == SECRET_FILE_MODE


def undo(folder: Path, log: AuditLog, *, is_told: bool) -> None:
    """Remove what was staged; if the log may say that the change was made, record that it was undone."""
    manifest = read_manifest(folder) if is_told else None
    # One of the stream of a fleet has no messages here: it is applied again.
    if manifest is not None and manifest.messages:
        message = f"an interrupted change was undone: {'; '.join(manifest.messages)}"
        log.append([make_event(ChangeUndone(message=message))])
    shutil.rmtree(folder, ignore_errors=True)


def put_in_place(home: Home, folder: Path, state: Store) -> None:
    """Put the staged files of a change where they belong, and forget the change.

    Raises:
        OperatorError: The manifest cannot be read, or names a file outside the home folder.
        OSError: A file cannot be moved.
    """
    manifest = read_manifest(folder)
    # No manifest: the change was interrupted while its folder was being removed, so the files are in place.
    for one in manifest.files if manifest is not None else []:
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


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a staging folder; None if it has none.

    Raises:
        OperatorError: It cannot be read.
    """
    path = folder / _MANIFEST
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise OperatorError(f"{path} cannot be read ({error}); restore a backup of the folder") from error
