"""Lines to a telnet server, on telnetlib3's client: we are a terminal that it may ask for its type and size.

The server is told nothing else: no environment, no speed, no location, no compression. What it sends is bounded
before it is interpreted, since equipment can be broken or hostile as well.
"""

import asyncio
import collections
import struct
from typing import Any, Final

from telnetlib3 import TelnetReader, TelnetWriter
from telnetlib3.telopt import BINARY, BRK, DONT, ECHO, IAC, NAWS, SB, SGA, TTYPE, WONT

from telnetsd.lines.streams import reason_of
from telnetsd.lines.target import TelnetTarget
from telnetsd.lines.upstream import CLOSE_TIMEOUT_S, READ_BYTES, Terminal, UpstreamError
from telnetsd.telnet.client_protocol import NvtClient, send_window

ANSWERED_DO: Final = frozenset({BINARY, NAWS, SGA, TTYPE})
"""What the server may ask us to do: its window size (RFC 1073) and terminal type (RFC 1091) are our user's."""
ANSWERED_WILL: Final = frozenset({BINARY, ECHO, SGA})
SUBNEGOTIATION_MAX_BYTES: Final = 64
READER_LIMIT_BYTES: Final = 65536
UNREAD_ANSWERS_MAX_BYTES: Final = 262_144
"""More than a server that reads ever leaves: what is written waits from 64 KiB on."""


class _Writer(TelnetWriter):
    """The interpreter of what a telnet server asks."""

    slc_simulated = False

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- telnetlib3's signature, passed on
        super().__init__(*args, **options)
        self.compression = False
        self._subnegotiation_bytes = 0

    def feed_byte(self, byte: bytes) -> bool:
        """Interpret one byte; of a subnegotiation that is too long, drop all but its end."""
        if self.cmd_received != SB:
            self._subnegotiation_bytes = 0
            return super().feed_byte(byte)
        self._subnegotiation_bytes += 1
        is_data = self.iac_received == (byte == IAC)
        if not is_data or self._subnegotiation_bytes <= SUBNEGOTIATION_MAX_BYTES:
            return super().feed_byte(byte)
        self.iac_received = False
        return False

    def send_iac(self, buf: bytes) -> None:
        """Send a command, or an answer; who asks and asks, and reads none of the answers, gets no more of them."""
        if not self.is_closing() and self._transport.get_write_buffer_size() <= UNREAD_ANSWERS_MAX_BYTES:
            super().send_iac(buf)

    def handle_subnegotiation(self, buf: collections.deque[bytes]) -> None:
        """Take the one question that we answer: of which type our terminal is.

        Raises:
            ValueError: It is refused; telnetlib3 ignores it then.
        """
        if self._subnegotiation_bytes > SUBNEGOTIATION_MAX_BYTES or buf[0] != TTYPE:
            raise ValueError("a subnegotiation that is not answered")
        try:
            super().handle_subnegotiation(buf)
        except (struct.error, IndexError, UnicodeError, AssertionError) as error:
            raise ValueError("malformed subnegotiation") from error

    def handle_do(self, opt: bytes) -> bool:
        """Agree to what is on the list; refuse the rest."""
        if opt in ANSWERED_DO:
            return super().handle_do(opt)
        if self.local_option.get(opt) is not False:
            self.iac(WONT, opt)
        return False

    def handle_will(self, opt: bytes) -> None:
        """Agree to what is on the list; refuse the rest."""
        if opt in ANSWERED_WILL:
            super().handle_will(opt)
        else:
            self.iac(DONT, opt)


class _Client(NvtClient):
    _writer_factory = _Writer


class TelnetUpstream:
    """A connection to a telnet server."""

    def __init__(self, transport: asyncio.Transport, client: _Client, terminal: Terminal) -> None:
        self._transport = transport
        self._client = client
        self._terminal = terminal
        assert isinstance(client.reader, TelnetReader)  # noqa: S101 -- without an encoding it gives bytes
        assert isinstance(client.writer, TelnetWriter)  # noqa: S101
        self._reader, self._writer = client.reader, client.writer
        self._writer.set_ext_send_callback(TTYPE, lambda: self._terminal.kind)
        self._writer.set_ext_send_callback(NAWS, lambda: (self._terminal.rows, self._terminal.columns))

    async def read(self) -> bytes:
        """See Upstream."""
        try:
            return await self._reader.read(READ_BYTES)
        except OSError as error:
            raise UpstreamError(reason_of(error)) from error

    def write(self, data: bytes) -> None:
        """See Upstream; outside of BINARY a lone CR is CR NUL (RFC 854)."""
        is_binary = self._writer.local_option.enabled(BINARY)
        self._writer.write(data if is_binary else _to_nvt(data))

    async def drain(self) -> None:
        """See Upstream."""
        try:
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise UpstreamError("the connection is gone") from error

    def resize(self, terminal: Terminal) -> None:
        """Tell the server of another size, where it has asked for it."""
        self._terminal = terminal
        send_window(self._writer, terminal.columns, terminal.rows)

    def send_break(self) -> bool:
        """Send BREAK (RFC 854)."""
        self._writer.send_iac(IAC + BRK)
        return True

    def com_port(self, question: bytes, *, may_change: bool) -> None:
        """There is no port to control."""

    async def close(self) -> None:
        """See Upstream."""
        self._transport.close()
        try:
            await asyncio.wait_for(self._client.waiter_closed, CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._transport.abort()
        self._writer.close()


async def open_telnet(target: TelnetTarget, terminal: Terminal) -> TelnetUpstream:
    """Connect.

    Raises:
        OSError: It cannot be reached.
    """
    transport, client = await asyncio.get_running_loop().create_connection(
        lambda: _Client(encoding=False, limit=READER_LIMIT_BYTES), target.host, target.port
    )
    return TelnetUpstream(transport, client, terminal)


def _to_nvt(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
