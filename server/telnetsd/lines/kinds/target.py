"""Where a line leads, parsed once from the configuration; what cannot be is refused there, with the line's name."""

import os
import pwd
import shlex
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from telnetsd.config.address import parse_address
from telnetsd.config.settings import LineSettings
from telnetsd.errors import OperatorError

BAUD_RATES: Final = frozenset(
    {300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1000000}
)
_PARITIES: Final = frozenset("NEOMS")
_STOP_BITS: Final = {"1": 1.0, "1.5": 1.5, "2": 2.0}
_DATA_BITS: Final = frozenset({"5", "6", "7", "8"})


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """Bytes over TCP."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TlsTarget:
    """Bytes over TLS; the files are PEM (None: the CAs of the system, no client certificate)."""

    host: str
    port: int
    ca: Path | None
    certificate: Path | None
    key: Path | None


@dataclass(frozen=True, slots=True)
class TelnetTarget:
    """A telnet server."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SerialTarget:
    """A serial port."""

    device: str
    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: float = 1.0


@dataclass(frozen=True, slots=True)
class ExecTarget:
    """A program on a pty: its words (no shell), and whom it runs as (None: the server's user)."""

    words: tuple[str, ...]
    run_as: str | None


Target = TcpTarget | TlsTarget | TelnetTarget | SerialTarget | ExecTarget


def parse_target(settings: LineSettings, root: Path) -> Target:
    """Parse where a line leads.

    Args:
        settings: The line.
        root: The home folder, to which the files of a TLS target are relative.
    Raises:
        OperatorError: It cannot be; the message names the line.
    """
    try:
        return _parse(settings, root)
    except ValueError as error:
        raise OperatorError(f"wrong [[line]] {settings.name!r} in telnetsd.toml: {error}") from error
    except OperatorError as error:
        raise OperatorError(f"wrong [[line]] {settings.name!r} in telnetsd.toml: {error}") from error


def kind_of(target: Target) -> str:
    """Return what kind of target it is, in a word."""
    return type(target).__name__.removesuffix("Target").lower()


def _parse(settings: LineSettings, root: Path) -> Target:
    scheme, colon, rest = settings.target.partition(":")
    has_files = settings.ca or settings.certificate or settings.key
    if has_files and scheme != "tls":
        raise ValueError("ca, certificate and key are for targets like tls://HOST:PORT")
    if settings.run_as and scheme != "exec":
        raise ValueError("run_as is for targets like exec:PROGRAM")
    match scheme, rest[:2]:
        case ("tcp", "//"):
            return TcpTarget(*_address(rest))
        case ("telnet", "//"):
            return TelnetTarget(*_address(rest))
        case ("tls", "//"):
            return _tls(settings, root, _address(rest))
        case ("serial", "//"):
            return _serial(rest[2:])
        case ("exec", _) if colon:
            return _exec(rest, settings.run_as)
    raise ValueError(
        f"no target: {settings.target!r}; write telnet://HOST:PORT, tcp://, tls://, serial:///dev/X or exec:PROGRAM"
    )


def _address(rest: str) -> tuple[str, int]:
    host, port = parse_address(rest[2:])
    if not port:
        raise ValueError(f"no port to connect to in {rest[2:]!r}")
    return host, port


def _tls(settings: LineSettings, root: Path, address: tuple[str, int]) -> TlsTarget:
    if bool(settings.certificate) != bool(settings.key):
        raise ValueError("certificate and key go together")
    files = [root / one if one else None for one in (settings.ca, settings.certificate, settings.key)]
    for file in files:
        if file is not None and not file.is_file():
            raise ValueError(f"no file at {file}")
    return TlsTarget(*address, *files)


def _serial(rest: str) -> SerialTarget:
    device, _, query = rest.partition("?")
    options = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    unknown = options.keys() - {"baud", "bits", "parity", "stop"}
    if unknown:
        raise ValueError(f"unknown option {min(unknown)!r}; known: baud, bits, parity, stop")
    baud, bits = options.get("baud", "9600"), options.get("bits", "8")
    parity, stop = options.get("parity", "N").upper(), options.get("stop", "1")
    if not baud.isdecimal() or int(baud) not in BAUD_RATES:
        raise ValueError(f"not a baud rate: {baud!r}")
    if parity not in _PARITIES or bits not in _DATA_BITS or stop not in _STOP_BITS:
        raise ValueError("bits is 5 to 8, parity one of N E O M S, stop 1, 1.5 or 2")
    _require_device(device)
    return SerialTarget(device, int(baud), int(bits), parity, _STOP_BITS[stop])


def _require_device(device: str) -> None:
    if not device.startswith("/"):
        raise ValueError("a serial port is a path, as in serial:///dev/ttyS0?baud=9600")
    try:
        is_device = stat.S_ISCHR(Path(device).stat().st_mode)
    except FileNotFoundError:
        return  # an adapter may be plugged in later; until then the line is down
    except OSError as error:
        raise ValueError(f"{device}: {error.strerror}") from error
    if not is_device:
        raise ValueError(f"{device} is no device")


def _exec(rest: str, run_as: str) -> ExecTarget:
    words = tuple(shlex.split(rest))
    if not words:
        raise ValueError("no program in exec:")
    program = shutil.which(words[0])
    if program is None:
        raise ValueError(f"no program {words[0]!r} that can be run")
    if run_as:
        try:
            pwd.getpwnam(run_as)
        except KeyError:
            raise ValueError(f"no user {run_as!r} on this machine") from None
        if os.geteuid() != 0:
            raise ValueError("run_as takes a server that runs as root")
    return ExecTarget((program, *words[1:]), run_as or None)
