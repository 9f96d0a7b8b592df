"""One change of an installation: state, log and files, all of it or nothing, whenever the machine stops.

A process that changes anything holds one lock. The files are first written completely, in a staging folder. Then the
events are written to disk, then the database commits, and then the files are renamed into place. A change that was
interrupted before the commit is undone by the next change (and the log records this). A change that was interrupted
after the commit is completed.

On a node of a fleet, a change comes into the stream of the fleet before the database commits: see `turn`.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from telnetsd.administration.installation.audit_log import open_log
from telnetsd.administration.installation.staging import Change, put_in_place, read_manifest, undo
from telnetsd.administration.installation.turn import Turn, turn_for
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.audit.log import AuditLog
from telnetsd.errors import OperatorError
from telnetsd.events.part import Fields
from telnetsd.files.atomic import SECRET_FILE_MODE
from telnetsd.files.home import Home
from telnetsd.files.locking import take_lock
from telnetsd.state.opening import open_store, require_store
from telnetsd.state.store import Store

LOCK_TIMEOUT_S: Final = 10.0
is_ending: Final = threading.Event()
"""Set when this process ends: its threads no longer wait for the lock."""


@contextmanager
def changing(home: Home, who: Fields, kind: ChangeKind = ChangeKind.GIVE) -> Iterator[Change]:
    """Make a change: what happens inside the block takes effect when it ends, or not at all if it raises.

    On a node of a fleet it takes effect on all of them. One that only takes away takes effect here at once, whether
    or not the fleet can be reached; any other one waits for the fleet.

    Args:
        home: The installation.
        who: The event fields that say who makes the change.
        kind: What it does.
    Raises:
        OperatorError: There is no home folder, or it cannot be written; or the fleet cannot be reached, or refuses.
        AuditUnavailableError: The log cannot be written: nothing was changed.
        OutcomeUnknownError: The fleet did not say in time whether the change counts: it will become known.
    """
    with turn_for(home, kind) as turn:
        with locked(home), closing(open_store(home)) as state, closing(open_log(home)) as log:
            _recover(home, state, log)
            turn.require_place(state)
            with _committing(Change(home, state, who), turn, log) as change:
                yield change
        turn.spread(change)


@contextmanager
def _committing(change: Change, turn: Turn, log: AuditLog) -> Iterator[Change]:
    state, is_told = change.state, False
    try:
        with state.transaction():
            with turn.capturing(state) as captured:
                yield change
            change.stage(turn.place_of(change, captured))
            state.note_change(change.id)
            head = log.append(change.events)
            is_told = True
            turn.commit(change, captured, head)
    except BaseException:
        if not turn.is_undecided:
            undo(change.folder, log, is_told=is_told)
        raise
    try:
        put_in_place(change.home, change.folder, state)
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
            put_in_place(home, folder, state)
        elif not _is_undecided(folder, state):
            undo(folder, log, is_told=True)


def _is_undecided(folder: Path, state: Store) -> bool:
    """Tell whether the stream of the fleet may still turn out to have a change: nothing else is in its place yet."""
    membership, manifest = state.fleet.membership(), read_manifest(folder)
    if membership is None or manifest is None or manifest.after is None:
        return False
    return membership.sequence <= manifest.after
