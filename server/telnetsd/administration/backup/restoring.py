"""Restoring an installation from a backup: checked and complete in a folder beside it, and then put in place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telnetsd.administration.authority.authorities import (
    OWN_CRL_PREFIX,
    AskPassphrase,
    built_in_authorities,
    tell_others,
)
from telnetsd.administration.backup.applying import Applied, apply_later
from telnetsd.administration.backup.archive import TOP, Extracted, Manifest, extract
from telnetsd.administration.backup.later import LaterLog, read_later
from telnetsd.administration.backup.placing import put_in_place, undo_interrupted
from telnetsd.administration.installation.audit_log import is_log_gone, open_log
from telnetsd.administration.installation.change import locked
from telnetsd.administration.installation.operator import by_operator
from telnetsd.audit.chain import Head
from telnetsd.audit.checkpoint import key_id_of
from telnetsd.audit.file import free_rotated_path, seal_path
from telnetsd.audit.key import keep_audit_key, load_public_keys
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.reading.archive import (
    NAME_MAX_CHARS,
    LogPart,
    Snapshot,
    open_part,
    read_lines,
    take_snapshot,
)
from telnetsd.audit.trail import make_event
from telnetsd.errors import OperatorError
from telnetsd.events.event import Event
from telnetsd.events.of_changes import InstallationRestored
from telnetsd.events.of_the_server import AuditKeyChanged
from telnetsd.files.atomic import (
    SECRET_FILE_MODE,
    SECRET_FOLDER_MODE,
    make_secret_folder,
    write_public,
    write_secret,
)
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
            if home.state_file.exists():
                held.enter_context(locked(home))
            with _staging(home) as staged:
                restored = _restore(home, staged, backup, options)
    except OSError as error:
        where = error.filename2 or error.filename or home.root
        raise OperatorError(f"cannot restore: {where}: {error.strerror}; nothing was changed") from error
    return replace(restored, warning=_sign_crls(home, options.ask_ca))


def _restore(home: Home, staged: Home, backup: Path, options: RestoreOptions) -> Restored:
    former_keys = home.audit_public_keys if home.audit_public_keys.exists() else None
    extracted = extract(backup, staged.root, options.public_keys or former_keys)
    missing = _put_keys(home, staged, extracted, options.ask_backup)
    _keep_audit_key(home, staged)
    later, applied = _take_later(home, staged, extracted.manifest, options), Applied()
    with closing(open_store(staged)) as state, state.transaction():
        _require_sound(state)
        if later is not None:
            applied = apply_later(staged, state, later)
        for certificate, _ in built_in_authorities(staged):
            # The number of an installation that has signed less than one CRL a second is lower than this.
            state.certificates.raise_crl_number(certificate_sha256(certificate), int(utc_now().timestamp()))
    old_crls = _keep_crls(home, staged)
    has_other_configuration = _differs(home.config_file, staged.config_file)
    has_new_key = _make_key_if_missing(staged)
    _record(staged, extracted, later)
    if later is not None and options.log_folder is None:
        _keep_evidence(home, staged)
    return Restored(
        manifest=extracted.manifest,
        later=later,
        applied=applied,
        moved_aside=put_in_place(home, staged),
        missing_keys=missing,
        has_new_audit_key=has_new_key,
        has_other_configuration=has_other_configuration,
        old_crls=old_crls,
        warning="",
    )


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


def _keep_audit_key(home: Home, staged: Home) -> None:
    """Keep the former installation's audit key, if it followed that of the backup."""
    try:
        former, kept = (
            load_public_keys(home.audit_public_keys).by_id,
            load_public_keys(staged.audit_public_keys).by_id,
        )
    except OperatorError:
        return
    if kept.keys() <= former.keys() and home.audit_key.is_file():
        write_public(staged.audit_public_keys, home.audit_public_keys.read_bytes())
        write_secret(staged.audit_key, home.audit_key.read_bytes())


def _keep_crls(home: Home, staged: Home) -> tuple[str, ...]:
    """Keep the former installation's CRLs of other CAs, which are newer; return the names of those that are not."""
    make_secret_folder(staged.crl_folder)
    for path in home.crl_folder.glob("*"):
        if path.is_file() and not path.name.startswith((".", OWN_CRL_PREFIX)):
            write_public(staged.crl_folder / path.name, path.read_bytes())
    others = {path.name for path in staged.crl_folder.glob("*") if not path.name.startswith(OWN_CRL_PREFIX)}
    return tuple(sorted(name for name in others if not (home.crl_folder / name).exists()))


def _differs(former: Path, restored: Path) -> bool:
    return former.exists() and (not restored.exists() or former.read_bytes() != restored.read_bytes())


def _keep_evidence(home: Home, staged: Home) -> None:
    """Keep the former installation's recordings, for which its log vouches, and how far the log has been shipped."""
    for folder in (home.recordings_folder, home.shipping_folder):
        restored = staged.root / folder.relative_to(home.root)
        if folder.is_symlink():
            shutil.rmtree(restored, ignore_errors=True)
            restored.symlink_to(folder.readlink())
        elif folder.is_dir():
            # Links, not copies: nothing changes a recording that is closed.
            shutil.copytree(folder, restored, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def _take_later(home: Home, staged: Home, manifest: Manifest, options: RestoreOptions) -> LaterLog | None:
    """Read the log that goes on after the backup, and continue with its files instead of the backup's.

    Raises:
        OperatorError: It cannot be used.
    """
    folder = options.log_folder or home.audit_file.parent
    if options.is_without_log or (options.log_folder is None and is_log_gone(home)):
        return None
    try:
        snapshot = take_snapshot(folder / home.audit_file.name)
        later = read_later(snapshot, manifest.head, load_public_keys(staged.audit_public_keys))
        _continue_log(staged, snapshot, manifest.head)
    except OperatorError as error:
        raise OperatorError(
            f"the log in {folder} cannot be used: {error}; to restore without it: --without-log"
        ) from error
    return later


def _continue_log(staged: Home, snapshot: Snapshot, head: Head) -> None:
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
    try:
        with closing(open_log(staged)) as log:
            log.append([make_event(event, by_operator())])
    except AuditUnavailableError as error:
        message = str(error).split(": ", 2)[-1].split(";")[0]
        raise OperatorError(
            f"the log cannot be continued: {message}; mend it, or restore with --without-log"
        ) from error
