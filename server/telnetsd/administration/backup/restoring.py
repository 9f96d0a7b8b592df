"""Restoring an installation from a backup: checked and complete in a folder beside it, and then put in place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telnetsd.administration.authority.authorities import AskPassphrase, built_in_authorities, tell_others
from telnetsd.administration.backup.applying import Applied, apply_later
from telnetsd.administration.backup.archive import TOP, Extracted, Manifest, extract
from telnetsd.administration.backup.continuing import continue_log
from telnetsd.administration.backup.former import (
    has_other_configuration,
    keep_crls,
    keep_evidence,
    keep_newer_audit_key,
    same_keys,
)
from telnetsd.administration.backup.later import LaterLog
from telnetsd.administration.backup.placing import put_in_place, undo_interrupted
from telnetsd.administration.installation.audit_log import is_log_gone, open_log, remembered_end
from telnetsd.administration.installation.change import locked
from telnetsd.administration.installation.operator import by_operator
from telnetsd.audit.chain import EMPTY
from telnetsd.audit.checkpoint import key_id_of
from telnetsd.audit.key import keep_audit_key
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.reading.archive import NAME_MAX_CHARS
from telnetsd.audit.trail import make_event
from telnetsd.errors import OperatorError
from telnetsd.events.event import Event
from telnetsd.events.of_changes import InstallationRestored
from telnetsd.events.of_the_server import AuditKeyChanged
from telnetsd.files.atomic import SECRET_FOLDER_MODE, make_secret_folder, write_secret
from telnetsd.files.home import Home, alone
from telnetsd.identity.outcome import is_user_name
from telnetsd.pki.authority import utc_now
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.state.opening import open_store
from telnetsd.state.store import Store

_NOT_CONTENT: Final = frozenset({"run", "lost+found", ".restoring"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """How to restore.

    Attributes:
        log_folder: The folder of a log that goes on after the backup; None: that of the former installation, if any.
        is_without_log: Whether no log is used.
        public_keys: The audit log's public keys, one of which must have signed the backup; None: those of the former
            installation, else those in the backup.
        is_forced: Whether an existing installation is moved aside.
        ask_backup: Returns the passphrase of the backup's keys.
        ask_ca: Returns the passphrase of the CA's key.
    """

    log_folder: Path | None
    is_without_log: bool
    public_keys: Path | None
    is_forced: bool
    ask_backup: AskPassphrase
    ask_ca: AskPassphrase


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: What the backup has.
        later: What the log has after it; None if no log was used.
        applied: What of that was applied.
        moved_aside: Where the former installation is; None if there was none.
        missing_keys: The private keys that neither the backup nor the former installation has.
        has_new_audit_key: Whether the audit log is signed with a new key from now on.
        has_other_configuration: Whether the former installation's configuration was another one.
        old_crls: The CRLs of other CAs, which are as old as the backup.
        warning: Why new CRLs could not be signed; empty if they were.
    """

    manifest: Manifest
    later: LaterLog | None
    applied: Applied
    moved_aside: Path | None
    missing_keys: tuple[str, ...]
    has_new_audit_key: bool
    has_other_configuration: bool
    old_crls: tuple[str, ...]
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
        with alone(home), ExitStack() as held:
            undo_interrupted(home)
            if home.state_file.exists() and home.certs_folder.is_dir():
                held.enter_context(locked(home))
            with _staging(home) as staged:
                restored = _restore(home, staged, backup, options)
    except OSError as error:
        where = error.filename2 or error.filename or home.root
        is_undone = not home.restore_journal.exists()
        outcome = "nothing was changed" if is_undone else "run it again: the next restore moves everything back"
        raise OperatorError(f"cannot restore: {where}: {error.strerror}; {outcome}") from error
    return replace(restored, warning=_sign_crls(home, options.ask_ca))


def _restore(home: Home, staged: Home, backup: Path, options: RestoreOptions) -> Restored:
    former_keys = home.audit_public_keys if home.audit_public_keys.exists() else None
    extracted = extract(backup, staged.root, options.public_keys or former_keys)
    missing = _put_keys(home, staged, extracted, options.ask_backup)
    keep_newer_audit_key(home, staged)
    folder, later, applied = _log_folder(home, options), None, Applied()
    if folder is not None:
        witnessed = remembered_end(home) if options.log_folder is None else EMPTY
        later = continue_log(staged, folder, extracted.manifest.head, witnessed)
    with closing(open_store(staged)) as state, state.transaction():
        _require_sound(state)
        if later is not None:
            applied = apply_later(staged, state, later)
        for certificate, _ in built_in_authorities(staged):
            # The number of an installation that has signed less than one CRL a second is lower than this.
            state.certificates.raise_crl_number(certificate_sha256(certificate), int(utc_now().timestamp()))
    old_crls = keep_crls(home, staged)
    is_reconfigured = has_other_configuration(home, staged)
    has_new_key = _make_key_if_missing(staged)
    _record(staged, extracted, later, is_set_aside=not is_log_gone(home))
    keep_evidence(home, staged, is_log_continued=later is not None and options.log_folder is None)
    return Restored(
        manifest=extracted.manifest,
        later=later,
        applied=applied,
        moved_aside=put_in_place(home, staged),
        missing_keys=missing,
        has_new_audit_key=has_new_key,
        has_other_configuration=is_reconfigured,
        old_crls=old_crls,
        warning="",
    )


def _log_folder(home: Home, options: RestoreOptions) -> Path | None:
    """Return where the log is that goes on after the backup: named, or that of the former installation; or None.

    Raises:
        OperatorError: The former installation had a log, which is gone.
    """
    if options.is_without_log:
        return None
    if options.log_folder is None and is_log_gone(home):
        if remembered_end(home) == EMPTY:
            return None
        raise OperatorError(
            f"the audit log in {home.audit_file.parent} is gone; name a copy with --log DIR, or restore without it:"
            " --without-log"
        )
    return options.log_folder or home.audit_file.parent


def _require_room(home: Home, *, is_forced: bool) -> None:
    if not home.root.exists():
        return
    owner = home.root.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise OperatorError(
            f"{home.root} belongs to uid {owner}; run this as that user, as in: telnetsd-admin restore"
        )
    content = sorted(one.name for one in home.root.iterdir() if one.name not in _NOT_CONTENT)
    if content and not is_forced:
        raise OperatorError(
            f"{home.root} is not empty: it has {content[0]}; restore into another folder with --home, or move what is"
            " there aside with --force"
        )
    for name in TOP:
        if (home.root / name).is_symlink():
            raise OperatorError(
                f"{home.root / name} is a link, which would be replaced; remove it, and make it again later"
            )


@contextmanager
def _staging(home: Home) -> Iterator[Home]:
    """Give an empty folder inside the home folder, on the same file system; it is removed again.

    It stays if it has a journal: what could not be moved back is still in it.

    Raises:
        OSError: What an earlier restore has left there cannot be removed, or is a link.
    """
    folder = home.restoring_folder
    if folder.exists() or folder.is_symlink():
        shutil.rmtree(folder)
    folder.mkdir(SECRET_FOLDER_MODE)
    try:
        yield Home(folder)
    finally:
        if not home.restore_journal.exists():
            shutil.rmtree(folder, ignore_errors=True)


def _sign_crls(home: Home, ask: AskPassphrase) -> str:
    """Sign new CRLs; return why that failed, or an empty string."""
    try:
        return tell_others(home, by_operator(), ask)
    except OSError as error:
        return f"{error.filename or home.root}: {error.strerror}"


def _require_sound(state: Store) -> None:
    """Refuse a state whose user names would not be names of files, and forget changes that were not completed."""
    for name in state.users.names():
        if not is_user_name(name):
            raise OperatorError(f"the backup has a user {name[:NAME_MAX_CHARS]!a}, which cannot be a user name")
    state.forget_changes()


def _put_keys(home: Home, staged: Home, extracted: Extracted, ask: AskPassphrase) -> tuple[str, ...]:
    """Put the private keys in place: those of the backup, else the same ones of the former installation.

    Returns: The keys that are missing.
    """
    manifest = extracted.manifest
    found = extracted.keys(ask()) if manifest.has_keys else same_keys(home, manifest)
    for name, content in found.items():
        path = staged.root / name
        make_secret_folder(path.parent)
        write_secret(path, content)
    return tuple(sorted(manifest.keys.keys() - found.keys()))


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


def _record(staged: Home, extracted: Extracted, later: LaterLog | None, *, is_set_aside: bool) -> None:
    manifest = extracted.manifest
    head = manifest.last_sequence
    message = f"the installation was restored from a backup of {manifest.taken_at}, which ends with line {head}"
    if later is not None:
        message = f"{message}; the log's changes after that were applied, up to line {later.last_sequence}"
        message += f"; that log was damaged: {later.damage}" if later.damage else ""
    elif is_set_aside:
        message = f"{message}; the log that was there was set aside"
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
    try:
        with closing(open_log(staged)) as log:
            log.append([make_event(event, by_operator())])
    except AuditUnavailableError as error:
        message = str(error).split(": ", 2)[-1].split(";")[0]
        raise OperatorError(
            f"the log cannot be continued: {message}; mend it, or restore with --without-log"
        ) from error
