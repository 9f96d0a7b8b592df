"""Lines to a serial port, on pyserial-asyncio-fast (the extra `serial`)."""

import asyncio
import contextlib
import termios

from telnetsd.errors import OperatorError
from telnetsd.lines.com_port import answer
from telnetsd.lines.streams import StreamUpstream
from telnetsd.lines.target import SerialTarget
from telnetsd.lines.upstream import READ_BYTES

try:
    import serial
    from serial_asyncio_fast import open_serial_connection
except ImportError:  # pragma: no cover -- the tests install the extra
    HAS_SERIAL = False
else:
    HAS_SERIAL = True

BREAK_S = 0.25


class SerialUpstream(StreamUpstream):
    """An open serial port."""

    def send_break(self) -> bool:
        """Send BREAK, for a quarter of a second."""
        port = self._port()
        if port is None:
            return False
        try:
            port.break_condition = True
        except OSError:
            return False
        asyncio.get_running_loop().call_later(BREAK_S, _end_break, port)
        return True

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:
        """See Upstream."""
        port = self._port()
        return None if port is None else answer(port, question, may_change=may_change)

    def abandon(self) -> None:
        """Forget what the port will not send, which is what its end waits for."""
        port = self._port()
        if port is not None:
            with contextlib.suppress(OSError, termios.error):
                port.reset_output_buffer()
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()

    def _port(self) -> "serial.Serial | None":
        """The port; None as soon as it is closed, as one is that was unplugged."""
        port: serial.Serial | None = self._writer.transport.get_extra_info("serial")
        return port


async def open_serial(target: SerialTarget) -> SerialUpstream:
    """Open the port.

    Raises:
        OSError: It cannot be opened.
    """
    try:
        reader, writer = await open_serial_connection(
            limit=READ_BYTES,
            url=target.device,
            baudrate=target.baud,
            bytesize=target.data_bits,
            parity=target.parity,
            stopbits=target.stop_bits,
            exclusive=True,
        )
    except termios.error as error:
        raise OSError(*error.args) from error
    return SerialUpstream(reader, writer)


def require_serial() -> None:
    """Refuse serial lines where the library for them is not installed.

    Raises:
        OperatorError: It is not.
    """
    if not HAS_SERIAL:
        raise OperatorError("serial lines need a library that is not installed; run: pip install 'telnetsd[serial]'")


def _end_break(port: "serial.Serial") -> None:
    with contextlib.suppress(OSError, serial.SerialException):
        port.break_condition = False
