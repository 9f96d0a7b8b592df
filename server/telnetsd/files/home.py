"""The paths of one installation, and their modes.

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


class _Path:
    """A path below the home folder: an attribute of `Home`."""

    def __init__(self, below: str) -> None:
        self._below = below

    def __get__(self, home: "Home", _: type) -> Path:
        return home.root / self._below


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one installation, all below `root` (an absolute path)."""

    root: Path

    config_file = _Path("telnetsd.toml")
    """The configuration; every key in it is optional."""
    certs_folder = _Path("certs")
    """Everything related to certificates."""
    ca_certificate = _Path("certs/ca.pem")
    """The built-in CA's root certificate, followed by those from before a rotation that are still trusted."""
    ca_key = _Path("certs/ca.key")
    """The root's private key; with an intermediate it can be kept elsewhere."""
    server_ca_certificate = _Path("certs/server-ca.pem")
    """The CA of the server's own certificate, if not every client can verify the built-in CA's signature."""
    server_ca_key = _Path("certs/server-ca.key")
    """The private key of that CA."""
    issuing_certificate = _Path("certs/issuing.pem")
    """The intermediate that issues, if there is one; otherwise the root issues."""
    issuing_key = _Path("certs/issuing.key")
    """The intermediate's private key."""
    previous_folder = _Path("certs/previous")
    """Previous issuing CAs, from before a rotation, FINGERPRINT.pem and .key: their keys still sign their CRLs."""
    intermediates_folder = _Path("certs/intermediates")
    """Intermediates of other CAs that clients need not send; they vouch for nothing by themselves."""
    crl_folder = _Path("certs/crl")
    """CRLs: those of other CAs, which are watched for changes, and ours, which are written here."""
    staging_folder = _Path("certs/.staged")
    """Files of an unfinished change."""
    change_lock = _Path("certs/.lock")
    """Locked by a process that changes the installation."""
    trust_folder = _Path("certs/trust")
    """Additional trust anchors, one or more PEM certificates per file."""
    server_certificate = _Path("certs/server.pem")
    """The server's certificate, leaf first, then its chain."""
    server_key = _Path("certs/server.key")
    """The server's private key."""
    users_folder = _Path("certs/users")
    """What an operator hands to users: NAME.pem, NAME.key, NAME.p12."""
    state_file = _Path("state.db")
    """The SQLite database of users and issued certificates."""
    audit_file = _Path("audit/audit.jsonl")
    """The audit log file that is currently written."""
    recordings_folder = _Path("audit/recordings")
    """Recordings of what lines have shown."""
    index_folder = _Path("audit/index")
    """An index of the text of the recordings, which can be rebuilt."""
    log_index_folder = _Path("audit/index/log")
    """An index of the rotated files of the audit log, which can be rebuilt."""
    audit_key = _Path("certs/audit.key")
    """The private key that signs the audit log."""
    audit_public_keys = _Path("certs/audit.pem")
    """The public keys of the audit log, the current one first: the file that an auditor receives."""
    fleet_folder = _Path("certs/fleet")
    """What makes this home folder a node of a fleet; only a node has it."""
    fleet_ca_certificate = _Path("certs/fleet/ca.pem")
    """The CA of the fleet, which issues to nodes and to the engine."""
    fleet_ca_key = _Path("certs/fleet/ca.key")
    """Its private key, on the node that founded the fleet."""
    fleet_authority_keys = _Path("certs/fleet/authority.keys")
    """The keys that decide who may use the engine, on the node that founded the fleet."""
    fleet_engine_file = _Path("certs/fleet/engine.json")
    """What a server of the engine needs, on the machines that run one: it has the password of the cluster."""
    fleet_node_certificate = _Path("certs/fleet/node.pem")
    """The certificate of this node."""
    fleet_node_key = _Path("certs/fleet/node.key")
    """Its private key, which also signs the changes that are made here."""
    fleet_engine_token = _Path("certs/fleet/engine.token")
    """What this node shows to the engine besides its certificate."""
    fleet_socket = _Path("run/fleet.sock")
    """Where the agent of a running server takes changes for the fleet."""
    fleet_freshness = _Path("run/fleet.current")
    """Its time is when this node last had every change of the fleet."""
    shipping_folder = _Path("audit/shipping")
    """How far the audit log has been sent to each collector."""
    restoring_folder = _Path(".restoring")
    """What an unfinished restore has extracted."""
    restore_journal = _Path(".restoring/moves.json")
    """What a restore moves, while it does."""
    server_lock = _Path("run/server.lock")
    """Locked by the server that runs on this home folder; holds its process id."""
    control_socket = _Path("run/control.sock")
    """A running server's socket for the operator."""
    workers_socket = _Path("run/workers.sock")
    """Where the workers of a running server connect to its supervisor."""

    def shown(self, path: Path) -> str:
        """Return `path` for display: relative to the home folder if it is below it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def find_home(chosen: Path | None) -> Home:
    """Return the home folder that `--home`, the environment or the current folder names.

    Args:
        chosen: The value of `--home`, or None when it was not given.
    """
    root = chosen or Path(os.environ.get("TELNETSD_HOME") or Path.cwd())
    return Home(root.expanduser().absolute())


def require_whole(home: Home) -> None:
    """Refuse a home folder of which a restore has moved a part, and was interrupted.

    Raises:
        OperatorError: It was interrupted.
    """
    if home.restore_journal.exists():
        raise OperatorError(f"a restore of {home.root} was interrupted; run it again: telnetsd restore --force FILE")


def require_secret(
    home: Home, path: Path, remedy: str = "put it back, or run this on the machine that has it"
) -> None:
    """Refuse a private key that any user except its owner can access.

    Args:
        home: The installation.
        path: The key.
        remedy: What to do if the key is missing.
    Raises:
        OperatorError: The file is missing, or its mode gives the group or others access.
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

    The files that decide which clients are admitted must belong to the server's user or to root, and no other user
    may write to them: the home folder, the configuration, the state, and everything below `certs`.

    Raises:
        OperatorError: A path is open to others, or belongs to another user; the message says what to run.
    """
    state = [home.state_file.with_name(home.state_file.name + end) for end in ("", "-wal", "-shm")]
    for path in (home.root, home.config_file, *state, *everything_below(home.certs_folder)):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        mode, shown = stat.S_IMODE(status.st_mode), home.shown(path) if path != home.root else str(path)
        if status.st_uid not in {0, os.geteuid()}:
            owner = f"belongs to uid {status.st_uid}, not to uid {os.geteuid()}, which runs the server, or to root"
            raise OperatorError(f"{shown} {owner}; run: chown {os.geteuid()} {shlex.quote(str(path))}")
        if mode & _OTHERS_WRITE:
            others = f"is writable by others (mode {mode:04o}), who could grant themselves access"
            raise OperatorError(f"{shown} {others}; run: chmod go-w {shlex.quote(str(path))}")


def everything_below(folder: Path) -> Iterator[Path]:
    """Yield a folder and everything in it, including through links, each once."""
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
    """Remove write access to an existing file or folder for every user except its owner."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS_WRITE)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Be the only server of a home folder, until the block ends.

    Raises:
        OperatorError: There is a server already, which may be one that was suspended by a signal.
    """
    make_secret_folder(home.server_lock.parent)
    descriptor = os.open(home.server_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET_FILE_MODE)
    try:
        if not take_lock(descriptor, 0):
            holder = os.pread(descriptor, _PROCESS_ID_MAX_BYTES, 0).decode("ascii", "replace").strip()
            raise OperatorError(f"a server is already running on this home folder: process {holder}; stop it first")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
