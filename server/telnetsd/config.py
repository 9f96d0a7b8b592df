"""The settings in `telnetsd.toml`: one struct a stage, every key optional, an unknown key refused.

A default here is the documented default; the README and the file that `telnetsd init` writes say the same. Units are
in the names: `_s` seconds, `_bytes` bytes.
"""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from telnetsd.errors import OperatorError

Seconds = Annotated[float, msgspec.Meta(gt=0, le=10 * 365 * 86400)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
PORT_MAX: Final = 65535
RoleName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections share: immutable, and strict about their keys."""


class ListenerSettings(_Section, frozen=True):
    """Where connections come in, and how many."""

    listen: str = "127.0.0.1:9992"
    max_connections: Count = 4000


class TlsSettings(_Section, frozen=True):
    """The handshake."""

    handshake_timeout_s: Seconds = 10.0


class IdentitySettings(_Section, frozen=True):
    """Who may come in."""

    require_certificate: bool = False


class SessionSettings(_Section, frozen=True):
    """One session's clocks and limits."""

    idle_timeout_s: Seconds = 1800.0
    idle_warning_s: Seconds = 60.0
    max_time_s: Seconds = 7 * 86400.0
    line_max_bytes: Annotated[int, msgspec.Meta(ge=80, le=65536)] = 4096
    motd: Annotated[str, msgspec.Meta(max_length=4096)] = "no message today"


class RoleSettings(_Section, frozen=True):
    """A named set of commands: its own, and those of the roles that it includes."""

    includes: tuple[RoleName, ...] = ()
    commands: tuple[str, ...] = ()


class Settings(_Section, frozen=True):
    """The whole file."""

    listener: ListenerSettings = ListenerSettings()
    tls: TlsSettings = TlsSettings()
    identity: IdentitySettings = IdentitySettings()
    session: SessionSettings = SessionSettings()
    roles: dict[RoleName, RoleSettings] = {}


def load_settings(path: Path) -> Settings:
    """Read the configuration; a missing file means every default.

    Raises:
        OperatorError: The file cannot be read, is not TOML, or holds an unknown key or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {path.name}: {error}; check its mode and that it is UTF-8") from error
    return parse_settings(text, path.name)


def parse_settings(text: str, file_name: str) -> Settings:
    """Parse the configuration's text; `file_name` is what errors call it.

    Raises:
        OperatorError: Not TOML, an unknown key, or a value outside its range.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"not valid TOML: {file_name}: {error}") from error
    _refuse_unknown_keys(tree, Settings, text, file_name)
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise OperatorError(f"wrong value in {file_name}: {error}") from error
    if settings.session.idle_warning_s >= settings.session.idle_timeout_s:
        raise OperatorError(f"wrong value in {file_name}: idle_warning_s must be less than idle_timeout_s")
    return settings


def _refuse_unknown_keys(tree: dict[str, Any], section: type[_Section], text: str, file_name: str) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(section)}
    for key, value in tree.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise OperatorError(f"unknown key {key!r} in {file_name} line {_line_of(key, text)}; {meant}")
        if not isinstance(value, dict):
            continue
        if isinstance(known[key], type) and issubclass(known[key], _Section):
            _refuse_unknown_keys(value, known[key], text, file_name)
        elif key == "roles":
            for role in value.values():
                if isinstance(role, dict):
                    _refuse_unknown_keys(role, RoleSettings, text, file_name)


def _line_of(key: str, text: str) -> int:
    written = re.compile(rf"^\s*(\[+\s*)?[\"']?{re.escape(key)}\b")
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if written.match(line)), 1)


def parse_address(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPV6]:PORT`.

    Returns: The host without brackets and the port (0 to 65535; 0 lets the system choose).
    Raises:
        OperatorError: No port, or a port that is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > PORT_MAX:
        raise OperatorError(f"not an address: {text!r}; write HOST:PORT, as in 127.0.0.1:9992")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise OperatorError(f"no host in {text!r}; write 0.0.0.0:{port} to listen on every IPv4 address")
    return host, int(port)
