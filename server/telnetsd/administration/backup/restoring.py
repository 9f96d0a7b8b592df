"""Restoring an installation from a backup: checked and complete in a folder beside it, and then put in place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telnetsd.administration.authority.authorities import AskPassphrase, built_in_authorities, tell_others
from telnetsd.administration.backup.applying import Applied, apply_later
from telnetsd.administration.backup.archive import TOP, Extracted, Manifest, extract
from telnetsd.administration.backup.later import LaterLog, read_later
from telnetsd.administration.installation.audit_log import open_log
from telnetsd.administration.installation.operator import by_operator
from telnetsd.audit.checkpoint import key_id_of
from telnetsd.audit.file import free_rotated_path, seal_path
from telnetsd.audit.key import keep_audit_key, load_public_keys
from telnetsd.audit.reading.archive import LogPart, Snapshot, open_part, take_snapshot
from telnetsd.audit.trail import make_event
from telnetsd.errors import OperatorError
from telnetsd.events.event import Event
from telnetsd.events.of_changes import InstallationRestored
from telnetsd.events.of_the_server import AuditKeyChanged
from telnetsd.files.atomic import SECRET_FILE_MODE, give_to_owner, make_secret_folder, sync_folder, write_secret
from telnetsd.files.home import Home, alone, everything_below
from telnetsd.pki.authority import utc_now
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.state.opening import open_store

_STAGING: Final = ".restoring"
_FORMER: Final = "before-restore-"
_NOT_CONTENT: Final = frozenset({"run", "lost+found", _STAGING})
_LAST: Final = "state.db"
"""What no server starts without: the first to be moved aside, and the last to be put in place."""
_OF_STATE: Final = (_LAST, f"{_LAST}-wal", f"{_LAST}-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """How to restore.

    Attributes:
        log_folder: The folder of a log that goes on after the backup; None if there is none.
        public_keys: The audit log's public keys, one of which must have signed the backup; None: those in it.
        is_forced: Whether an existing installation is moved aside.
        ask_backup: Returns the passphrase of the backup's keys.
        ask_ca: Returns the passphrase of the CA's key.
    """

    log_folder: Path | None
    public_keys: Path | None
    is_forced: bool
    ask_backup: AskPassphrase
    ask_ca: AskPassphrase


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: What the backup has.
        later: What the log has after it; None if no log was there.
        applied: What of that was applied.
        moved_aside: Where the former installation is; None if there was none.
        missing_keys: The private keys that neither the backup nor the former installation has.
        has_new_audit_key: Whether the audit log is signed with a new key from now on.
        warning: Why new CRLs could not be signed; empty if they were.
    """

    manifest: Manifest
    later: LaterLog | None
    applied: Applied
    moved_aside: Path | None
    missing_keys: tuple[str, ...]
    has_new_audit_key: bool
    warning: str


def restore_backup(home: Home, backup: Path, options: RestoreOptions) -> Restored:
    """Restore an installation from a backup.

    Args:
        home: Where it goes. A folder with content is refused, or what is in it is moved aside.
        backup: The backup.
        options: How.
    Raises:
        OperatorError: A server is running, the folder has content, or the backup or the log cannot be used. Nothing
            was changed.
    """
    try:
        _require_room(home, is_forced=options.is_forced)
        if not home.root.exists():
            make_secret_folder(home.root)
        with alone(home), _staging(home) as staged:
            return _restore(home, staged, backup, options)
    except OSError as error:
        where = error.filename2 or error.filename or home.root
        raise OperatorError(f"cannot restore: {where}: {error.strerror}; nothing was changed") from error


def _restore(home: Home, staged: Home, backup: Path, options: RestoreOptions) -> Restored:
    extracted = extract(backup, staged.root, options.public_keys)
    missing = _put_keys(home, staged, extracted, options.ask_backup)
    later, applied = _take_later(home, staged, extracted.manifest, options), Applied()
    with closing(open_store(staged)) as state, state.transaction():
        if later is not None:
            applied = apply_later(staged, state, later)
        for certificate, _ in built_in_authorities(staged):
            # The number of an installation that has signed less than one CRL a second is lower than this.
            state.certificates.raise_crl_number(certificate_sha256(certificate), int(utc_now().timestamp()))
    has_new_key = _make_key_if_missing(staged)
    _record(staged, extracted, later)
    moved_aside = _put_in_place(home, staged)
    return Restored(
        manifest=extracted.manifest,
        later=later,
        applied=applied,
        moved_aside=moved_aside,
        missing_keys=missing,
        has_new_audit_key=has_new_key,
        warning=tell_others(home, by_operator(), options.ask_ca),
    )


def _require_room(home: Home, *, is_forced: bool) -> None:
    if not home.root.exists() or is_forced:
        return
    content = sorted(one.name for one in home.root.iterdir() if one.name not in _NOT_CONTENT)
    if content:
        raise OperatorError(
            f"{home.root} is not empty: it has {content[0]}; restore into another folder with --home, or move what is"
            " there aside with --force"
        )


@contextmanager
def _staging(home: Home) -> Iterator[Home]:
    """Give an empty folder inside the home folder, on the same file system; it is removed again."""
    folder = home.root / _STAGING
    shutil.rmtree(folder, ignore_errors=True)
    make_secret_folder(folder)
    try:
        yield Home(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_keys(home: Home, staged: Home, extracted: Extracted, ask: AskPassphrase) -> tuple[str, ...]:
    """Put the private keys in place: those of the backup, else the same ones of the former installation.

    Returns: The keys that are missing.
    """
    manifest = extracted.manifest
    found = extracted.keys(ask()) if manifest.has_keys else _same_keys(home, manifest)
    for name, content in found.items():
        path = staged.root / name
        make_secret_folder(path.parent)
        write_secret(path, content)
    return tuple(sorted(manifest.keys.keys() - found.keys()))


def _same_keys(home: Home, manifest: Manifest) -> dict[str, bytes]:
    there = {name: home.root / name for name in manifest.keys}
    contents = {name: path.read_bytes() for name, path in there.items() if path.is_file()}
    return {name: one for name, one in contents.items() if sha256(one).hexdigest() == manifest.keys[name]}


def _take_later(home: Home, staged: Home, manifest: Manifest, options: RestoreOptions) -> LaterLog | None:
    """Read the log that goes on after the backup, and continue with its files instead of the backup's.

    The log of an installation that is moved aside is used if it goes on after the backup.
    """
    keys = load_public_keys(staged.audit_public_keys)
    folder = options.log_folder or home.audit_file.parent
    if options.log_folder is None and not home.audit_file.exists():
        return None
    try:
        snapshot = take_snapshot(folder / home.audit_file.name)
        later = read_later(snapshot, manifest.head, keys)
    except OperatorError as error:
        if options.log_folder is None:
            return None
        raise OperatorError(f"the log in {folder} cannot be used: {error}") from error
    _continue_log(staged, snapshot)
    return later


def _continue_log(staged: Home, snapshot: Snapshot) -> None:
    """Replace the files of the backup's log by those of the log that goes on after it; keep what only the backup has.

    Raises:
        OperatorError: The log begins in the middle of a file of the backup.
    """
    begin, mine = _first_of(snapshot.parts[0]), take_snapshot(staged.audit_file).parts
    begins = [_first_of(part) for part in mine]
    if begin > begins[0] and begin not in begins:
        raise OperatorError(
            f"the log begins with line {begin}, in the middle of a file of the backup; add its earlier files"
        )
    for part in mine:
        if _first_of(part) >= begin:
            part.path.unlink()
    if staged.audit_file.exists():
        staged.audit_file.rename(free_rotated_path(staged.audit_file, begins[-1]))
    for part in snapshot.parts:
        with open_part(part) as (name, source, size):
            _copy(source, staged.audit_file.parent / name, size)
    write_secret(seal_path(staged.audit_file), snapshot.seal)


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


def _make_key_if_missing(staged: Home) -> bool:
    """Make a new audit key if the old one is not here, and record it; returns whether one was made."""
    if staged.audit_key.exists():
        return False
    key = Ed25519PrivateKey.generate()
    keep_audit_key(staged, key)
    key_id = key_id_of(key.public_key())
    message = f"the audit log is signed with a new key from now on: {key_id}; the previous one was not in the backup"
    _append(staged, AuditKeyChanged(message=message, key_id=key_id))
    return True


def _record(staged: Home, extracted: Extracted, later: LaterLog | None) -> None:
    manifest = extracted.manifest
    head = manifest.last_sequence
    message = f"the installation was restored from a backup of {manifest.taken_at}, which ends with line {head}"
    if later is not None:
        message = f"{message}; the log's changes after that were applied, up to line {later.last_sequence}"
    _append(
        staged,
        InstallationRestored(
            message=message,
            taken_at=manifest.taken_at,
            last_sequence=head,
            last_sha256=manifest.last_sha256,
            sha256=extracted.sha256,
        ),
    )


def _append(staged: Home, event: Event) -> None:
    with closing(open_log(staged)) as log:
        log.append([make_event(event, by_operator())])


def _put_in_place(home: Home, staged: Home) -> Path | None:
    """Move the former installation aside, and what was staged into its place; returns where the former one is."""
    for path in everything_below(staged.root):
        give_to_owner(path, home.root)
    present = [name for name in dict.fromkeys((*_OF_STATE, *TOP)) if os.path.lexists(home.root / name)]
    aside = home.root / f"{_FORMER}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if present:
        make_secret_folder(aside)
        give_to_owner(aside, home.root)
    staged_names = sorted((name for name in TOP if (staged.root / name).exists()), key=_LAST.__eq__)
    moves = [(home.root / name, aside / name) for name in present]
    moves += [(staged.root / name, home.root / name) for name in staged_names]
    _move_all(moves)
    sync_folder(home.root)
    return aside if present else None


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Rename files and folders, in order; if one cannot be renamed, the others get their names back."""
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            source.rename(target)
            done.append((source, target))
    except OSError:
        for source, target in reversed(done):
            target.rename(source)
        raise
