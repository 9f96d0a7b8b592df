"""Making a backup, consistent while the server runs: no change is made while state and certificates are copied."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

from cryptography import x509

from telnetsd.administration.backup.archive import BackupWriter, writing
from telnetsd.administration.installation.audit_log import open_log
from telnetsd.administration.installation.change import at_rest
from telnetsd.administration.installation.operator import by_operator
from telnetsd.audit.chain import Head, read_link
from telnetsd.audit.file import open_regular, seal_path
from telnetsd.audit.key import load_audit_key
from telnetsd.audit.log import AuditLog
from telnetsd.audit.reading.archive import LogPart, Snapshot, open_part, take_snapshot
from telnetsd.audit.trail import make_event
from telnetsd.errors import OperatorError
from telnetsd.events.fields import timestamp
from telnetsd.events.of_changes import InstallationBackedUp
from telnetsd.events.reason import CheckpointReason
from telnetsd.files.home import Home, everything_below
from telnetsd.pki.certificate import without_warnings
from telnetsd.state.store import Store

_LABEL: Final = re.compile(rb"-----BEGIN ([^-]+)-----")
_PUBLIC_LABELS: Final = frozenset({b"CERTIFICATE", b"X509 CRL", b"PUBLIC KEY"})
_SNAPSHOTS_MAX: Final = 10
_README: Final = "README.md"
"""A file of a checkout, not of an installation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBackup:
    """A backup.

    Attributes:
        head: The line of the audit log up to which every change is included.
        files: How many files it has, without the keys.
        keys: The paths of the private keys, and of other private files.
        sha256: The SHA-256 of the backup.
        size: Its size in bytes.
    """

    head: Head
    files: int
    keys: tuple[str, ...]
    sha256: str
    size: int


def make_backup(home: Home, target: Path, passphrase: bytes | None, *, has_recordings: bool) -> MadeBackup:
    """Make a backup: configuration, state, certificates, audit log.

    Args:
        home: The installation; its server may be running.
        target: The file, which must be new. It appears when the backup is complete and recorded.
        passphrase: Encrypts the private keys; None: they are left out.
        has_recordings: Whether the recordings are included.
    Raises:
        OperatorError: The file exists, or something cannot be read or written.
        AuditUnavailableError: The log cannot be written: there is no backup.
    """
    if target.exists():
        raise OperatorError(f"{target} exists; choose another name")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        made = _write(home, unfinished, passphrase, has_recordings=has_recordings)
        _record(home, made, has_keys=passphrase is not None)
        # Unlike a rename, this never replaces a file that was created in the meantime.
        os.link(unfinished, target)
    except OSError as error:
        where = error.filename2 or error.filename or target
        raise OperatorError(f"cannot make the backup: {where}: {error.strerror}; no backup was made") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return made


def _write(home: Home, path: Path, passphrase: bytes | None, *, has_recordings: bool) -> MadeBackup:
    key, taken_at = load_audit_key(home), datetime.now(UTC)
    with ExitStack() as held, writing(path) as backup:
        with at_rest(home) as (state, log):
            head, snapshot, current = _sign_log(home, log)
            # Opened now, since a rotation or the compression after it would move or replace it.
            opened = held.enter_context(open_part(current))
            _add_state(backup, state, path.parent)
            _add_settled_files(backup, home)
            backup.add_bytes(f"audit/{seal_path(home.audit_file).name}", snapshot.seal)
        _add_log(backup, [part for part in snapshot.parts if part != current])
        _, file, size = opened
        backup.add(f"audit/{home.audit_file.name}", file, size)
        if has_recordings:
            for recording in _files_below(home.recordings_folder):
                _add_file(backup, home, recording)
        backup.finish(key, timestamp(taken_at), head, passphrase)
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return MadeBackup(
        head=head, files=backup.file_count, keys=backup.key_names, sha256=digest, size=path.stat().st_size
    )


def _add_state(backup: BackupWriter, state: Store, beside: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".telnetsd-backup-", dir=beside) as folder:
        copy = Path(folder, "state.db")
        state.copy_to(copy)
        with open_regular(copy) as file:
            backup.add("state.db", file, copy.stat().st_size)


def _add_settled_files(backup: BackupWriter, home: Home) -> None:
    """Add what changes only as a whole: the configuration, and everything below `certs`."""
    if home.config_file.exists():
        _add_file(backup, home, home.config_file)
    for path in (one for one in _files_below(home.certs_folder) if one.name != _README):
        content = path.read_bytes()
        if not _is_public(content):
            backup.add_key(str(path.relative_to(home.root)), content)
        else:
            _add_file(backup, home, path)


def _is_public(content: bytes) -> bool:
    """Tell whether a file below `certs` has certificates, CRLs or public keys; anything else is a secret."""
    labels = set(_LABEL.findall(content))
    if labels:
        return labels <= _PUBLIC_LABELS
    for load in (x509.load_der_x509_certificate, x509.load_der_x509_crl):
        # As with every certificate: the X.509 library may raise any exception.
        with suppress(Exception), without_warnings():
            load(content)
            return True
    return False


def _sign_log(home: Home, log: AuditLog) -> tuple[Head, Snapshot, LogPart]:
    """Sign the log; return that line, the log's files, and the one that is being written.

    Raises:
        OperatorError: Its file was moved away again and again.
    """
    for _ in range(_SNAPSHOTS_MAX):
        head = read_link(log.checkpoint(CheckpointReason.REQUESTED)).head
        snapshot = take_snapshot(home.audit_file)
        current = next((part for part in snapshot.parts if part.path == home.audit_file), None)
        if current is not None:
            return head, snapshot, current
    raise OperatorError(f"{home.audit_file} keeps being moved away; try again")


def _add_log(backup: BackupWriter, parts: list[LogPart]) -> None:
    for part in parts:
        with open_part(part) as (name, file, size):
            backup.add(f"audit/{name}", file, size)


def _add_file(backup: BackupWriter, home: Home, path: Path) -> None:
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        backup.add(str(path.relative_to(home.root)), file, status.st_size, stat.S_IMODE(status.st_mode))


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, in order, through links; not those whose names begin with a dot."""
    for path in everything_below(folder):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not is_hidden:
            yield path


def _record(home: Home, made: MadeBackup, *, has_keys: bool) -> None:
    keys = "with its private keys, encrypted" if has_keys else "without its private keys"
    event = InstallationBackedUp(
        message=f"a backup of the installation was made, {keys}, up to line {made.head.sequence} of the log",
        last_sequence=made.head.sequence,
        last_sha256=made.head.sha256,
        sha256=made.sha256,
        has_keys=has_keys,
    )
    with closing(open_log(home)) as log:
        log.append([make_event(event, by_operator())])
