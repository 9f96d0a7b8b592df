"""The Telnet Com Port Control Option (RFC 2217), without I/O: answers to a client's questions about a serial port.

Each question is a command and a value. The answer is the command plus 100, and the value that is then in effect. A
client that asks for a value that the port does not accept gets the existing value.
"""

import contextlib
import termios
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from telnetsd.lines.kinds.port_settings import PortSettings

SIGNATURE: Final = 0
SET_BAUDRATE: Final = 1
SET_DATASIZE: Final = 2
SET_PARITY: Final = 3
SET_STOPSIZE: Final = 4
SET_CONTROL: Final = 5
NOTIFY_MODEMSTATE: Final = 7
SET_LINESTATE_MASK: Final = 10
SET_MODEMSTATE_MASK: Final = 11
PURGE_DATA: Final = 12
ANSWER: Final = 100
NAME: Final = b"telnetsd"
BAUD_MAX: Final = 4_000_000
_PARITIES: Final = "NOEMS"
"""The parities in the order of their numbers, from 1 (RFC 2217 section 3)."""
_REFUSALS: Final = (OSError, ValueError, termios.error)
_STOP_SIZES: Final = (1.0, 2.0, 1.5)
_BAUD_BYTES: Final = 4


class SerialPort(Protocol):
    """The interface of a serial port; a setting that it rejects raises OSError, ValueError or termios.error."""

    baudrate: int
    bytesize: int
    parity: str
    stopbits: float
    xonxoff: bool
    rtscts: bool
    break_condition: bool
    dtr: bool
    rts: bool

    @property
    def cts(self) -> bool:
        """Clear To Send."""

    @property
    def dsr(self) -> bool:
        """Data Set Ready."""

    @property
    def ri(self) -> bool:
        """Ring Indicator."""

    @property
    def cd(self) -> bool:
        """Carrier Detect."""

    def reset_input_buffer(self) -> None:
        """Discard received bytes that were not read."""

    def reset_output_buffer(self) -> None:
        """Discard written bytes that were not sent."""


def answer(port: SerialPort, question: bytes, *, may_change: bool) -> bytes:
    """Do what a client asks, and return the answer; empty if there is none.

    Args:
        port: The serial port.
        question: The subnegotiation's content, after the option's number.
        may_change: Whether the client writes to the line; a watcher gets answers, and changes nothing.
    """
    respond = _ANSWERS.get(question[0]) if question else None
    if respond is None:
        return b""
    # A missing value asks for the current setting, as 0 does.
    said = respond(port, question[1:] or b"\x00", may_change)
    return bytes([question[0] + ANSWER]) + said if said else b""


def requests_for(settings: PortSettings) -> Iterator[tuple[str, bytes]]:
    """Yield the requests that set up a port as these settings say, each with a word for it."""
    yield f"baud={settings.baud}", bytes([SET_BAUDRATE]) + settings.baud.to_bytes(_BAUD_BYTES, "big")
    yield f"bits={settings.data_bits}", bytes([SET_DATASIZE, settings.data_bits])
    yield f"parity={settings.parity}", bytes([SET_PARITY, _PARITIES.index(settings.parity) + 1])
    yield f"stop={settings.stop_bits:g}", bytes([SET_STOPSIZE, _STOP_SIZES.index(settings.stop_bits) + 1])
    yield f"flow={settings.flow}", bytes([SET_CONTROL, _FLOWS[settings.flow]])
    for name, wanted, on in (("dtr", settings.dtr, _DTR_ON), ("rts", settings.rts, _RTS_ON)):
        if wanted is not None:
            yield f"{name}={'on' if wanted else 'off'}", bytes([SET_CONTROL, on if wanted else on + 1])


def modem_notification(before: int, now: int) -> int:
    """Return the modem state with the bits that say what has changed (RFC 2217 section 3, NOTIFY-MODEMSTATE).

    Args:
        before: The state before: CTS 0x10, DSR 0x20, RI 0x40, CD 0x80.
        now: The state now.
    """
    changed = before ^ now
    ring_ended = before & ~now & _RING
    return now | ((changed & ~_RING) >> _CHANGE_SHIFT) | (ring_ended >> _CHANGE_SHIFT)


def _signature(_port: SerialPort, _value: bytes, _may_change: bool) -> bytes:
    return NAME


def _baudrate(port: SerialPort, value: bytes, may_change: bool) -> bytes:
    wanted = int.from_bytes(value[:_BAUD_BYTES], "big")
    if may_change and 0 < wanted <= BAUD_MAX:
        _try(port, "baudrate", wanted)
    return port.baudrate.to_bytes(_BAUD_BYTES, "big")


def _datasize(port: SerialPort, value: bytes, may_change: bool) -> bytes:
    if may_change and value[:1] in {b"\x05", b"\x06", b"\x07", b"\x08"}:
        _try(port, "bytesize", value[0])
    return bytes([port.bytesize])


def _parity(port: SerialPort, value: bytes, may_change: bool) -> bytes:
    if may_change and 0 < value[0] <= len(_PARITIES):
        _try(port, "parity", _PARITIES[value[0] - 1])
    return bytes([_PARITIES.index(port.parity) + 1])


def _stopsize(port: SerialPort, value: bytes, may_change: bool) -> bytes:
    if may_change and 0 < value[0] <= len(_STOP_SIZES):
        _try(port, "stopbits", _STOP_SIZES[value[0] - 1])
    return bytes([_STOP_SIZES.index(float(port.stopbits)) + 1])


def _control(port: SerialPort, value: bytes, may_change: bool) -> bytes:
    """Query or set flow control, BREAK, DTR or RTS, depending on the number (RFC 2217 section 3)."""
    wanted = value[0]
    if may_change and wanted in _CONTROLS:
        for attribute, setting in _CONTROLS[wanted]:
            _try(port, attribute, setting)
    if wanted <= _FLOW_LAST:
        return bytes([3 if port.rtscts else 2 if port.xonxoff else 1])
    for first, attribute in ((4, "break_condition"), (7, "dtr"), (10, "rts")):
        if first <= wanted <= first + 2:
            return bytes([first + (1 if getattr(port, attribute) else 2)])
    return value[:1]


def _mask(_port: SerialPort, _value: bytes, _may_change: bool) -> bytes:
    """Return an empty mask: changes of the line state are not reported."""
    return b"\x00"


def _modem_state(port: SerialPort, _value: bytes, _may_change: bool) -> bytes:
    """Return the modem state, without bits for changes; nothing for a port without modem signals."""
    try:
        return bytes([sum(bit for name, bit in _SIGNALS if getattr(port, name))])
    except _REFUSALS:
        return b""


def _purge(port: SerialPort, value: bytes, may_change: bool) -> bytes:
    with contextlib.suppress(*_REFUSALS):
        if may_change and value[0] in {1, 3}:
            port.reset_input_buffer()
        if may_change and value[0] in {2, 3}:
            port.reset_output_buffer()
    return value[:1]


def _try(port: SerialPort, attribute: str, setting: object) -> None:
    before = getattr(port, attribute)
    try:
        setattr(port, attribute, setting)
    except _REFUSALS:
        # The library stores a setting before the port refuses it; a port without DTR refuses the old one as well.
        with contextlib.suppress(*_REFUSALS):
            setattr(port, attribute, before)


_FLOW_LAST: Final = 3
_FLOWS: Final = {"none": 1, "xonxoff": 2, "rtscts": 3, "dsrdtr": 19}
BREAK_ON: Final = 5
BREAK_OFF: Final = 6
_DTR_ON: Final = 8
_RTS_ON: Final = 11
_SIGNALS: Final = (("cts", 0x10), ("dsr", 0x20), ("ri", 0x40), ("cd", 0x80))
_RING: Final = 0x40
_CHANGE_SHIFT: Final = 4
_CONTROLS: Final[dict[int, tuple[tuple[str, bool], ...]]] = {
    1: (("xonxoff", False), ("rtscts", False)),
    2: (("xonxoff", True), ("rtscts", False)),
    3: (("xonxoff", False), ("rtscts", True)),
    5: (("break_condition", True),),
    6: (("break_condition", False),),
    8: (("dtr", True),),
    9: (("dtr", False),),
    11: (("rts", True),),
    12: (("rts", False),),
}
_ANSWERS: Final[dict[int, Callable[[SerialPort, bytes, bool], bytes]]] = {
    SIGNATURE: _signature,
    SET_BAUDRATE: _baudrate,
    SET_DATASIZE: _datasize,
    SET_PARITY: _parity,
    SET_STOPSIZE: _stopsize,
    SET_CONTROL: _control,
    SET_LINESTATE_MASK: _mask,
    NOTIFY_MODEMSTATE: _modem_state,
    PURGE_DATA: _purge,
}
