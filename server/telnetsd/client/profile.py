"""Profiles: for each server its address, its CA, and what to log in with, below $XDG_CONFIG_HOME/telnetsd."""

import json
import os
import re
import stat
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from telnetsd.client.connecting import Address, Credentials
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import make_secret_folder, write_secret

DEFAULT_PORT: Final = 992
WAITING_FILE: Final = "waiting.json"
_NAME: Final = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:_\]-]{0,252}")
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that the operator has not decided yet: its id, and the one-time code."""

    request_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What is stored for one server.

    Attributes:
        name: What is typed for it: the host, or HOST:PORT for another server on that host.
        folder: Where it is.
        address: The server.
    """

    name: str
    folder: Path
    address: Address

    @property
    def ca(self) -> Path:
        """The CA of the server, in PEM."""
        return self.folder / "ca.pem"

    @property
    def credentials(self) -> Credentials:
        """The certificate with its chain, and its key: in one file, so that they always belong together."""
        return Credentials(self.folder / "identity.pem", self.folder / "identity.pem")


def profiles_folder() -> Path:
    """Return the folder of the profiles of this user."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(config) if config.startswith("/") else Path.home() / ".config") / "telnetsd"


def list_profiles() -> list[str]:
    """Return the names of the profiles."""
    return sorted(path.parent.name for path in profiles_folder().glob("*/profile.toml"))


def find_profile(host: str, port: int | None = None) -> Profile | None:
    """Return the profile of a server; None if there is none.

    Args:
        host: The host.
        port: The port that was named, if any. Without a profile for it, the host's first one counts: a server may
            listen on several ports.
    Raises:
        OperatorError: It cannot be used: other users can read it, or it is not readable.
    """
    exact = _read_profile(_name_of(host, port)) if port is not None else None
    return exact or _read_profile(host)


def _read_profile(name: str) -> Profile | None:
    folder = _folder_of(name)
    if folder is None or not (folder / "profile.toml").is_file():
        return None
    _require_private(folder)
    try:
        content = tomllib.loads((folder / "profile.toml").read_text(encoding="utf-8"))
        address = Address(str(content["host"]), int(content["port"]))
    except (OSError, ValueError, KeyError) as error:
        raise OperatorError(f"cannot read {folder}/profile.toml: {error}; run: telnetsd login {name}") from error
    return Profile(name, folder, address)


def save_profile(address: Address, ca: bytes, certificate: bytes, key: bytes) -> tuple[Profile, Path | None]:
    """Store a profile; one of the same server is replaced, but what it logged in with is kept.

    Args:
        address: The server.
        ca: The CA of the server, in PEM.
        certificate: The certificate with its chain, in PEM.
        key: The private key, in PEM.
    Returns: The profile, and the file in which another certificate and key are kept; None if there were none.
    Raises:
        OperatorError: The host cannot be the name of a profile.
        OSError: It cannot be written.
    """
    name = _profile_name(address)
    folder = _require_folder(name)
    profile = Profile(name, folder, address)
    write_secret(profile.ca, ca)
    kept = _keep_former(profile.credentials.key, certificate + key)
    write_secret(profile.credentials.key, certificate + key)
    # JSON strings and numbers are TOML as well. This file is last: it makes the profile.
    content = f"host = {json.dumps(address.host)}\nport = {address.port}\n"
    write_secret(folder / "profile.toml", content.encode())
    return profile, kept


def _keep_former(path: Path, identity: bytes) -> Path | None:
    """Copy a file that is about to be replaced by something else; its key may exist nowhere else."""
    try:
        former = path.read_bytes()
    except FileNotFoundError:
        return None
    if former == identity:
        return None
    kept = path.with_name(f"former-{sha256(former).hexdigest()[:16]}.pem")
    write_secret(kept, former)
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An enrolment or a renewal that is not decided yet; it survives this program.

    Attributes:
        address: The server.
        name: The user name that is asked for; empty for a renewal.
        pending: The request; both parts are empty as long as the server has not answered.
        key: The new private key, in PEM.
        ca: The CA of the server, in PEM.
    """

    address: Address
    name: str
    pending: Pending
    key: bytes
    ca: bytes

    @property
    def path(self) -> Path:
        """Where it is stored."""
        return _require_folder(_profile_name(self.address)) / WAITING_FILE

    def save(self) -> None:
        """Store it.

        Raises:
            OperatorError: The host cannot be the name of a profile.
            OSError: It cannot be written.
        """
        content = {
            "port": self.address.port,
            "name": self.name,
            "request": self.pending.request_id,
            "code": self.pending.code,
            "key": self.key.decode(),
            "ca": self.ca.decode(),
        }
        write_secret(self.path, json.dumps(content).encode())

    def forget(self) -> None:
        """Remove it: the certificate was collected, or never will be."""
        self.path.unlink(missing_ok=True)


def find_waiting(address: Address, name: str) -> Waiting | None:
    """Return what was requested from a server and not collected yet; None if there is nothing.

    Args:
        address: The server.
        name: The user name that is asked for now; empty for a renewal.
    Raises:
        OperatorError: Other users can read it, it cannot be read, or something else was asked for.
    """
    folder = _folder_of(_profile_name(address))
    path = folder / WAITING_FILE if folder is not None else None
    if folder is None or path is None or not path.is_file():
        return None
    _require_private(folder)
    try:
        content = json.loads(path.read_bytes())
        found = Waiting(
            address=Address(address.host, int(content["port"])),
            name=str(content["name"]),
            pending=Pending(str(content["request"]), str(content["code"])),
            key=content["key"].encode(),
            ca=content["ca"].encode(),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise OperatorError(f"cannot read {path}: {error}; remove it, and try again") from error
    if (found.address, found.name) != (address, name):
        what = f"the name {found.name}" if found.name else "a renewal"
        raise OperatorError(f"{what} at {found.address} is still waiting; go on with that, or remove {path}")
    return found


def _profile_name(address: Address) -> str:
    """Return the name of the profile of a server: the host, if no other server on it has that name already."""
    first = _read_profile(address.host)
    is_first = first is None or first.address.port == address.port
    return address.host if is_first else _name_of(address.host, address.port)


def _name_of(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _require_folder(name: str) -> Path:
    folder = _folder_of(name)
    if folder is None:
        raise OperatorError(f"not a host: {name!r}")
    make_secret_folder(folder.parent)
    make_secret_folder(folder)
    return folder


def _folder_of(name: str) -> Path | None:
    return profiles_folder() / name if _NAME.fullmatch(name) else None


def _require_private(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        status = path.stat()
        if status.st_mode & _OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise OperatorError(f"other users can open {path} (mode {mode:04o}); run: chmod -R go= {folder}")
        if status.st_uid != os.geteuid():
            raise OperatorError(f"{path} belongs to another user; run this as its owner")
