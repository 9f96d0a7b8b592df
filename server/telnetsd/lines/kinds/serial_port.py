"""An open serial port, on pyserial-asyncio-fast (the extra `serial`)."""

import asyncio
import contextlib
import termios
from typing import cast

import serial
from serial_asyncio_fast import SerialTransport

from telnetsd.lines.kinds.com_port import answer
from telnetsd.lines.kinds.streams import StreamUpstream
from telnetsd.lines.kinds.upstream import READ_BYTES

BREAK_S = 0.25


class _Transport(SerialTransport):
    """The library's transport; a lost port is reported to the participants, and is not an error of the server."""

    def _fatal_error(self, exc: BaseException, message: str = "") -> None:  # noqa: ARG002 -- the library's signature
        self._abort(exc)


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
        """Discard output that the port will not send, because closing would wait for it."""
        port = self._port()
        if port is not None:
            with contextlib.suppress(OSError, termios.error):
                port.reset_output_buffer()
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()

    def _port(self) -> serial.Serial | None:
        """Return the port; None once it is closed, as an unplugged port is."""
        port: serial.Serial | None = self._writer.transport.get_extra_info("serial")
        return port


def open_serial(device: str, *, baud: int, data_bits: int, parity: str, stop_bits: float) -> SerialUpstream:
    """Open the port.

    Raises:
        OSError: The port cannot be opened.
    """
    try:
        port = serial.Serial(
            device,
            baudrate=baud,
            bytesize=data_bits,
            parity=parity,
            stopbits=stop_bits,
            exclusive=True,
        )
    except termios.error as error:
        raise OSError(*error.args) from error
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = cast("asyncio.WriteTransport", _Transport(loop, protocol, port))
    return SerialUpstream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def _end_break(port: serial.Serial) -> None:
    with contextlib.suppress(OSError):
        port.break_condition = False
