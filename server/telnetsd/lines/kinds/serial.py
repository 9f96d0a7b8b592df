"""Lines to a serial port; the library for it is the extra `serial`."""

import importlib.util
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from telnetsd.errors import OperatorError
from telnetsd.lines.kinds.kind import LineKind, TargetText
from telnetsd.lines.kinds.port_settings import PortSettings
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.telnet.terminal import Terminal

BAUD_MIN: Final = 50
BAUD_MAX: Final = 4_000_000
BREAK_MAX_S: Final = 10.0
_PARITIES: Final = frozenset("NEOMS")
_STOP_BITS: Final = {"1": 1.0, "1.5": 1.5, "2": 2.0}
_DATA_BITS: Final = frozenset({"5", "6", "7", "8"})
_FLOWS: Final = ("none", "rtscts", "xonxoff", "dsrdtr")
_SIGNALS: Final = {"on": True, "off": False}
_OPTIONS: Final = ("baud", "bits", "parity", "stop", "flow", "dtr", "rts", "break_s")


@dataclass(frozen=True, slots=True)
class SerialTarget:
    """See Target."""

    settings: PortSettings

    async def open(self, _terminal: Terminal, _environment: Mapping[str, str]) -> Upstream:
        """See Target."""
        from telnetsd.lines.kinds.serial_port import open_serial

        return open_serial(self.settings)


def _parse(text: TargetText) -> SerialTarget:
    if not text.rest.startswith("//"):
        raise ValueError("a serial port is a path, as in serial:///dev/ttyS0?baud=9600")
    device, _, query = text.rest[2:].partition("?")
    settings = parse_settings(device, query)
    _require_device(device)
    return SerialTarget(settings)


def parse_settings(device: str, query: str) -> PortSettings:
    """Return the settings of a port from the options behind the question mark of a target.

    Raises:
        ValueError: An option is unknown, or its value invalid.
    """
    options = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    unknown = options.keys() - set(_OPTIONS)
    if unknown:
        raise ValueError(f"unknown option {min(unknown)!r}; known: {', '.join(_OPTIONS)}")
    return PortSettings(
        device=device,
        baud=_baud(options.get("baud", "9600")),
        data_bits=int(_one_of("bits", options.get("bits", "8"), sorted(_DATA_BITS))),
        parity=_one_of("parity", options.get("parity", "N").upper(), sorted(_PARITIES)),
        stop_bits=_STOP_BITS[_one_of("stop", options.get("stop", "1"), _STOP_BITS)],
        flow=_one_of("flow", options.get("flow", "none"), _FLOWS),
        dtr=_signal("dtr", options),
        rts=_signal("rts", options),
        break_s=_break_s(options.get("break_s", "0.25")),
    )


def _baud(text: str) -> int:
    if not text.isdecimal() or not BAUD_MIN <= int(text) <= BAUD_MAX:
        raise ValueError(f"not a baud rate: {text!r}; write a number from {BAUD_MIN} to {BAUD_MAX}")
    return int(text)


def _one_of(option: str, text: str, words: Iterable[str]) -> str:
    known = list(words)
    if text not in known:
        raise ValueError(f"{option} is {text!r}; write one of {', '.join(known)}")
    return text


def _signal(option: str, options: Mapping[str, str]) -> bool | None:
    text = options.get(option)
    return None if text is None else _SIGNALS[_one_of(option, text, _SIGNALS)]


def _break_s(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= BREAK_MAX_S:
        raise ValueError(f"break_s is {text!r}; write seconds, more than 0 and at most {BREAK_MAX_S:g}")
    return seconds


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
        raise ValueError(f"{device} is not a device")


def _require_library() -> None:
    if importlib.util.find_spec("serial") is None:
        raise OperatorError("serial lines need a library that is not installed; run: pip install 'telnetsd[serial]'")


KIND: Final = LineKind(
    name="serial",
    form="serial:///dev/NAME?baud=9600",
    summary="a serial port, which a client may control with RFC 2217",
    parse=_parse,
    has_com_port=True,
    loses_unread=True,
    require=_require_library,
)
