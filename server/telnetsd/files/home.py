"""Where everything of one installation is, and with which modes.

The home folder is `--home DIR`, else `$TELNETSD_HOME`, else the current folder. This module knows names and
permissions; it never reads what is inside the files.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FILE_MODE, make_secret_folder
from telnetsd.files.locking import take_lock

_PROCESS_ID_MAX_BYTES = 16
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one installation, all below `root` (an absolute path)."""

    root: Path

    @property
    def config_file(self) -> Path:
        """The configuration; every key in it is optional."""
        return self.root / "telnetsd.toml"

    @property
    def certs_folder(self) -> Path:
        """Everything that has to do with certificates."""
        return self.root / "certs"

    @property
    def ca_certificate(self) -> Path:
        """The built-in CA's root certificate, and behind it those of before a rotation that are still trusted."""
        return self.certs_folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The root's private key; with an intermediate it can be kept elsewhere."""
        return self.certs_folder / "ca.key"

    @property
    def server_ca_certificate(self) -> Path:
        """The CA of the server's own certificate, where not every client verifies the built-in CA's."""
        return self.certs_folder / "server-ca.pem"

    @property
    def server_ca_key(self) -> Path:
        """Its private key."""
        return self.certs_folder / "server-ca.key"

    @property
    def issuing_certificate(self) -> Path:
        """The intermediate that issues, if there is one: else the root does."""
        return self.certs_folder / "issuing.pem"

    @property
    def issuing_key(self) -> Path:
        """The intermediate's private key."""
        return self.certs_folder / "issuing.key"

    @property
    def previous_folder(self) -> Path:
        """Issuing CAs of before a rotation, FINGERPRINT.pem and .key: their keys still sign their CRLs."""
        return self.certs_folder / "previous"

    @property
    def intermediates_folder(self) -> Path:
        """Intermediates of other CAs that clients need not send; they vouch for nothing by themselves."""
        return self.certs_folder / "intermediates"

    @property
    def crl_folder(self) -> Path:
        """CRLs: those of other CAs, which are watched, and ours, which are written here."""
        return self.certs_folder / "crl"

    @property
    def staging_folder(self) -> Path:
        """Files of a change that has not been finished."""
        return self.certs_folder / ".staged"

    @property
    def change_lock(self) -> Path:
        """Locked by whoever changes the installation."""
        return self.certs_folder / ".lock"

    @property
    def trust_folder(self) -> Path:
        """Further trust anchors, one or more PEM certificates a file."""
        return self.certs_folder / "trust"

    @property
    def server_certificate(self) -> Path:
        """The server's certificate, leaf first, then its chain."""
        return self.certs_folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's private key."""
        return self.certs_folder / "server.key"

    @property
    def users_folder(self) -> Path:
        """What an operator hands to users: NAME.pem, NAME.key, NAME.p12."""
        return self.certs_folder / "users"

    @property
    def state_file(self) -> Path:
        """The SQLite database of users and issued certificates."""
        return self.root / "state.db"

    @property
    def audit_file(self) -> Path:
        """The audit log that is being written."""
        return self.root / "audit" / "audit.jsonl"

    @property
    def recordings_folder(self) -> Path:
        """What lines have shown, where they are recorded."""
        return self.audit_file.parent / "recordings"

    @property
    def audit_key(self) -> Path:
        """The private key that signs the audit log."""
        return self.certs_folder / "audit.key"

    @property
    def audit_public_keys(self) -> Path:
        """The public keys of the audit log, the current one first: what an auditor is given."""
        return self.certs_folder / "audit.pem"

    @property
    def shipping_folder(self) -> Path:
        """How far each collector has got the audit log."""
        return self.audit_file.parent / "shipping"

    @property
    def server_lock(self) -> Path:
        """Locked by the server that runs on this home folder; holds its process id."""
        return self.root / "run" / "server.lock"

    @property
    def control_socket(self) -> Path:
        """The operator's socket of a running server."""
        return self.root / "run" / "control.sock"

    @property
    def workers_socket(self) -> Path:
        """Where the workers of a running server connect to its first process."""
        return self.root / "run" / "workers.sock"

    def shown(self, path: Path) -> str:
        """Return `path` as a person would write it: relative to the home folder where it is below it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def find_home(chosen: Path | None) -> Home:
    """Return the home folder that `--home`, the environment or the current folder names.

    Args:
        chosen: The value of `--home`, or None when it was not given.
    """
    root = chosen or Path(os.environ.get("TELNETSD_HOME") or Path.cwd())
    return Home(root.expanduser().absolute())


def require_secret(home: Home, path: Path, remedy: str = "put it back, or run this where it is") -> None:
    """Refuse a private key that anybody but its owner may touch.

    Args:
        home: The installation.
        path: The key.
        remedy: What to do where it is missing.
    Raises:
        OperatorError: The file is missing, or its mode lets group or others in.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise OperatorError(f"no private key at {home.shown(path)}; {remedy}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        shown = home.shown(path)
        raise OperatorError(f"private key open to others (mode {mode:04o}): {shown}; run: chmod 600 {shown}")


def require_only_ours(home: Home) -> None:
    """Refuse an installation that another user could change; the group counts as others, as with sshd's StrictModes.

    What decides who comes in belongs to the server's user or to root, and nobody else may write to it: the home
    folder, the configuration, the state, and everything below `certs`.

    Raises:
        OperatorError: Something is open to others, or is somebody else's; the message has what to run.
    """
    state = [home.state_file.with_name(home.state_file.name + end) for end in ("", "-wal", "-shm")]
    for path in (home.root, home.config_file, *state, *_everything_below(home.certs_folder)):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        mode, shown = stat.S_IMODE(status.st_mode), home.shown(path) if path != home.root else str(path)
        if status.st_uid not in {0, os.geteuid()}:
            owner = f"belongs to uid {status.st_uid}, and not to uid {os.geteuid()}, which serves, or to root"
            raise OperatorError(f"{shown} {owner}; run: chown {os.geteuid()} {shlex.quote(str(path))}")
        if mode & _OTHERS_WRITE:
            others = f"can be written by others (mode {mode:04o}), who could let themselves in"
            raise OperatorError(f"{shown} {others}; run: chmod go-w {shlex.quote(str(path))}")


def _everything_below(folder: Path) -> Iterator[Path]:
    """Yield a folder and all that is in it, also by way of links, each once."""
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield Path(place)
        yield from (Path(place, name) for name in sorted(files))


def close_to_others(path: Path) -> None:
    """Let nobody but the owner write to a file or folder that there is."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS_WRITE)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Be the only server of a home folder.

    Raises:
        OperatorError: There is one already, or one that was stopped by a signal.
    """
    make_secret_folder(home.server_lock.parent)
    descriptor = os.open(home.server_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET_FILE_MODE)
    try:
        if not take_lock(descriptor, 0):
            holder = os.pread(descriptor, _PROCESS_ID_MAX_BYTES, 0).decode("ascii", "replace").strip()
            raise OperatorError(f"a server is running on this home folder already: process {holder}; stop it first")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
