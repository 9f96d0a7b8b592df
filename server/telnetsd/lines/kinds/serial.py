"""Lines to a serial port; the library for it is the extra `serial`."""

import importlib.util
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from telnetsd.errors import OperatorError
from telnetsd.lines.kinds.kind import LineKind, TargetText
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.telnet.terminal import Terminal

BAUD_RATES: Final = frozenset(
    {300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1000000}
)
_PARITIES: Final = frozenset("NEOMS")
_STOP_BITS: Final = {"1": 1.0, "1.5": 1.5, "2": 2.0}
_DATA_BITS: Final = frozenset({"5", "6", "7", "8"})


@dataclass(frozen=True, slots=True)
class SerialTarget:
    """See Target."""

    device: str
    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: float = 1.0

    async def open(self, _terminal: Terminal, _environment: Mapping[str, str]) -> Upstream:
        """See Target."""
        from telnetsd.lines.kinds.serial_port import open_serial

        return open_serial(
            self.device,
            baud=self.baud,
            data_bits=self.data_bits,
            parity=self.parity,
            stop_bits=self.stop_bits,
        )


def _parse(text: TargetText) -> SerialTarget:
    if not text.rest.startswith("//"):
        raise ValueError("a serial port is a path, as in serial:///dev/ttyS0?baud=9600")
    device, _, query = text.rest[2:].partition("?")
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
        raise ValueError(f"{device} is not a device")


def _require_library() -> None:
    if importlib.util.find_spec("serial_asyncio_fast") is None:
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
