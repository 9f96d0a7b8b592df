"""An open serial port: pyserial (the extra `serial`) sets it up, and its bytes are read and written here."""

import asyncio
import contextlib
import fcntl
import struct
import termios
from typing import Final

import serial

from telnetsd.lines.kinds.com_port import answer
from telnetsd.lines.kinds.descriptor import DescriptorStream
from telnetsd.lines.kinds.port_settings import PortSettings
from telnetsd.lines.kinds.upstream import CLOSE_TIMEOUT_S, UpstreamError
from telnetsd.telnet.terminal import Terminal

SENT_INTERVAL_S: Final = 0.02
GONE: Final = "the device is gone"
TIOCGICOUNT: Final = 0x545D
_COUNTERS: Final = struct.Struct("20i")
_OVERRUN: Final = 7
_BUFFER_OVERRUN: Final = 10
"""The counters of struct serial_icounter_struct in linux/serial.h, and the two of bytes that were lost."""
_REFUSALS: Final = (OSError, ValueError, termios.error)


class SerialUpstream:
    """An open serial port."""

    def __init__(self, port: serial.Serial, settings: PortSettings) -> None:
        self._port = port
        self._settings = settings
        self._stream = DescriptorStream(port.fileno(), waits_first=True)
        self._is_closed = False

    async def read(self) -> bytes:
        """See Upstream."""
        data = await self._stream.read()
        if not data and not self._is_closed:
            raise UpstreamError(GONE)
        return data

    def write(self, data: bytes) -> None:
        """See Upstream."""
        self._stream.write(data)

    async def drain(self) -> None:
        """See Upstream."""
        await self._stream.drain()

    def local_echo(self, keys: bytes) -> bytes:  # noqa: ARG002 -- see Upstream
        """Return nothing: what is at the other end echoes, or is not meant to."""
        return b""

    def end_input(self) -> None:
        """Do nothing: a serial port has no end."""

    def resize(self, terminal: Terminal) -> None:
        """Do nothing: a serial port has no screen size."""

    def send_break(self) -> bool:
        """Send BREAK, for as long as the line's settings say."""
        try:
            self._port.break_condition = True
        except _REFUSALS:
            return False
        asyncio.get_running_loop().call_later(self._settings.break_s, self._end_break)
        return True

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:
        """See Upstream."""
        return None if self._is_closed else answer(self._port, question, may_change=may_change)

    def overruns(self) -> int:
        """See Upstream; a port without counters, such as a pty, has none."""
        try:
            counters = fcntl.ioctl(self._port.fileno(), TIOCGICOUNT, bytes(_COUNTERS.size))
        except _REFUSALS:
            return 0
        numbers = _COUNTERS.unpack(counters)
        return int(numbers[_OVERRUN]) + int(numbers[_BUFFER_OVERRUN])

    async def close(self) -> None:
        """Give written bytes a moment to be sent, and close the port."""
        with contextlib.suppress(TimeoutError, *_REFUSALS):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while self._stream.unsent_bytes or self._port.out_waiting:  # noqa: ASYNC110 -- the kernel tells no more
                    await asyncio.sleep(SENT_INTERVAL_S)
        with contextlib.suppress(*_REFUSALS):
            # Otherwise the kernel would wait for a device that takes nothing.
            self._port.reset_output_buffer()
        self._is_closed = True
        self._stream.let_go()
        self._port.close()

    def _end_break(self) -> None:
        if not self._is_closed:
            with contextlib.suppress(*_REFUSALS):
                self._port.break_condition = False


def open_serial(settings: PortSettings) -> SerialUpstream:
    """Open the port.

    Raises:
        OSError: The port cannot be opened.
    """
    port = serial.Serial(
        baudrate=settings.baud,
        bytesize=settings.data_bits,
        parity=settings.parity,
        stopbits=settings.stop_bits,
        rtscts=settings.flow == "rtscts",
        dsrdtr=settings.flow == "dsrdtr",
        xonxoff=settings.flow == "xonxoff",
        exclusive=True,
    )
    port.port = settings.device
    # Set before the port is opened: some adapters reset a board when these signals change.
    if settings.dtr is not None:
        port.dtr = settings.dtr
    if settings.rts is not None:
        port.rts = settings.rts
    try:
        port.open()
    except (ValueError, termios.error) as error:
        raise OSError(*error.args) from error
    return SerialUpstream(port, settings)
