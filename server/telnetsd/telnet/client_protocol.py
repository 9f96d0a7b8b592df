"""The client's end of a telnet connection, on telnetlib3: for `telnetsd connect`, and for lines to telnet servers.

The client starts no negotiation: the server asks. The server learns the terminal's type and size, and nothing else:
no environment, no speed, no location, no compression. Data from the server is bounded before it is interpreted, since
equipment can also be broken or hostile.
"""

import asyncio
import collections
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from telnetlib3 import TelnetReader
from telnetlib3.client_base import BaseClient
from telnetlib3.telopt import BINARY, BRK, COM_PORT_OPTION, ECHO, EOF, IAC, IP, NAWS, SB, SE, SGA, TTYPE

from telnetsd.own_client import MESSAGE_MAX_BYTES, OPTION
from telnetsd.telnet.bounded_writer import BoundedWriter
from telnetsd.telnet.gate import ReadingGate
from telnetsd.telnet.turns import turns_of_pumps

ANSWERED_DO: Final = frozenset({BINARY, NAWS, SGA, TTYPE})
"""What the server may ask us to do: the window size (RFC 1073) and terminal type (RFC 1091) are our user's."""
ANSWERED_WILL: Final = frozenset({BINARY, ECHO, SGA})
UNREAD_ANSWERS_MAX_BYTES: Final = 262_144
"""More than a server that reads ever leaves unread: writes wait from 64 KiB on."""
READER_LIMIT_BYTES: Final = 65_536
COSTLY_BYTES: Final = 256
"""How many bytes are interpreted per turn if there is a command every few bytes."""
PLAIN_BYTES: Final = 16_384
PLAIN_BYTES_A_COMMAND: Final = 64


class _Writer(BoundedWriter):
    """The interpreter of a telnet server's commands; it reports when the server starts and stops to echo."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- telnetlib3's signature, passed on
        super().__init__(*args, **options)
        self.on_echo: Callable[[bool], None] = lambda _: None
        self.on_com_port: Callable[[bytes], None] | None = None
        """Takes what the server says about its serial port (RFC 2217); None if we do not control it."""
        self.on_com_port_agreed: Callable[[], None] = lambda: None
        self.on_message: Callable[[bytes], None] | None = None
        """Takes what a server that is telnetsd says beyond telnet; None if the server is another one."""

    subnegotiation_max_bytes = MESSAGE_MAX_BYTES

    def agrees_to_do(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        return opt in ANSWERED_DO or (opt == COM_PORT_OPTION and self.on_com_port is not None)

    def agrees_to_will(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        return opt in ANSWERED_WILL

    def is_subnegotiated(self, opt: bytes) -> bool:
        """See BoundedWriter; the only question that we answer is the type of our terminal."""
        if opt == OPTION:
            return self.on_message is not None
        return opt == TTYPE or (opt == COM_PORT_OPTION and self.ours.is_on(opt))

    def handle_subnegotiation(self, buf: collections.deque[bytes]) -> None:
        """Pass on what the server says about its serial port, and the messages of telnetsd; see BoundedWriter."""
        if buf[0] == COM_PORT_OPTION and self.on_com_port is not None and self._is_whole:
            self.on_com_port(b"".join(list(buf)[1:]))
        elif buf[0] == OPTION and self.on_message is not None and self._is_whole:
            self.on_message(b"".join(list(buf)[1:]))
        else:
            super().handle_subnegotiation(buf)

    def send_iac(self, buf: bytes) -> None:
        """Send a command or an answer; a server that asks but does not read answers gets no more of them."""
        if not self.is_closing() and self._transport.get_write_buffer_size() <= UNREAD_ANSWERS_MAX_BYTES:
            super().send_iac(buf)

    def on_ours(self, opt: bytes, *, is_on: bool) -> None:
        """Report the window's size, once the server wants to know it (RFC 1073)."""
        if opt == NAWS and is_on:
            self._send_naws()
        if opt == COM_PORT_OPTION and is_on:
            self.on_com_port_agreed()

    def on_peers(self, opt: bytes, *, is_on: bool) -> None:
        """Note whether the server echoes."""
        if opt == ECHO:
            self.on_echo(is_on)


class _Client(BaseClient):
    """A client that starts no negotiation and reads to the end; telnetlib3's drops its queue with the connection."""

    _writer_factory = _Writer

    def begin_negotiation(self) -> None:
        """Wait for the server's requests; telnetlib3 would otherwise run a timer for its negotiation."""
        if not self._waiter_connected.done():  # telnetlib3 has set it if the server closed the connection at once
            self._waiter_connected.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the reader and the uninterpreted backlog pause the server, independently of each other."""
        super().connection_made(transport)
        self._gate = ReadingGate(cast("asyncio.Transport", transport))
        if self.reader is not None:
            self.reader.set_transport(self._gate)

    def data_received(self, data: bytes) -> None:
        """Queue the data, and read nothing more before it is interpreted."""
        self._rx_queue.append(data)
        self._rx_bytes += len(data)
        self._gate.hold("backlog")
        if self._rx_task is None:
            self._rx_task = asyncio.get_running_loop().create_task(self._process_rx())

    async def _process_rx(self) -> None:
        """Interpret received data, a little per turn: telnetlib3 takes 128 KiB at a time, at microseconds a byte.

        telnetlib3 also maintains its negotiation timer at this point, which is not needed here.
        """
        turns = turns_of_pumps()
        try:
            while self._rx_queue and not self._closing:
                await turns.wait()
                self._process_piece()
        finally:
            self._rx_task = None
            if not self._closing:
                self._gate.release("backlog")

    def _process_piece(self) -> None:
        if not self._rx_queue:
            return  # the connection was closed while this waited for its turn
        chunk = self._rx_queue.popleft()
        is_amidst_command = self.writer is not None and self.writer.is_oob
        is_costly = is_amidst_command or chunk.count(IAC) > len(chunk) // PLAIN_BYTES_A_COMMAND
        size = COSTLY_BYTES if is_costly else PLAIN_BYTES
        if len(chunk) > size:
            self._rx_queue.appendleft(chunk[size:])
        self._rx_bytes -= min(size, len(chunk))
        self._process_chunk(chunk[:size])

    def _detect_syncterm_font(self, data: bytes) -> None:
        """Treat what looks like the name of another font as plain bytes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End once all received data is interpreted."""
        pending = self._rx_task
        if pending is not None and not pending.done():
            pending.add_done_callback(lambda _: self.connection_lost(exc))
        else:
            super().connection_lost(exc)


class NvtConnection:
    """A connection to a telnet server: plain bytes each way, and the options that are agreed on."""

    def __init__(self, transport: asyncio.Transport, client: _Client) -> None:
        self.transport = transport
        self._client = client
        # Without an encoding, telnetlib3's reader returns bytes; both are set by connection_made.
        self._reader, self._writer = cast("TelnetReader", client.reader), cast("_Writer", client.writer)

    @property
    def is_binary(self) -> bool:
        """Whether the server accepts bytes unchanged (RFC 856)."""
        return self._writer.ours.is_on(BINARY)

    @property
    def receives_binary(self) -> bool:
        """Whether the server sends bytes unchanged (RFC 856)."""
        return self._writer.peers.is_on(BINARY)

    @property
    def is_echoing(self) -> bool:
        """Whether the server echoes what is typed (RFC 857)."""
        return self._writer.peers.is_on(ECHO)

    @property
    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._writer.is_closing()

    def offer_terminal(self, kind: Callable[[], str], size: Callable[[], tuple[int, int]]) -> None:
        """Answer the server's questions about the terminal: its type, and its size in columns and rows."""
        self._writer.set_ext_send_callback(TTYPE, kind)
        self._writer.set_ext_send_callback(NAWS, lambda: size()[::-1])

    def on_echo(self, told: Callable[[bool], None]) -> None:
        """Set the callback for when the server starts to echo (true) and when it stops (false)."""
        self._writer.on_echo = told

    def ask_character_mode(self) -> None:
        """Ask the server to echo and edit what is typed, so that each key is sent at once (RFC 857, RFC 858)."""
        for option in (SGA, ECHO):
            self._writer.request(option)

    def on_message(self, told: Callable[[bytes], None]) -> None:
        """Set the callback for what a server that is telnetsd says beyond telnet."""
        self._writer.on_message = told

    def interrupt(self) -> None:
        """Send Interrupt Process (RFC 854): the half-typed line is dropped."""
        self._writer.send_iac(IAC + IP)

    def control_port(self, on_agreed: Callable[[], None], on_said: Callable[[bytes], None]) -> None:
        """Offer to control the server's serial port (RFC 2217), and ask for bytes unchanged.

        Args:
            on_agreed: Called when the server agrees.
            on_said: Called with what it says about the port.
        """
        self._writer.on_com_port_agreed, self._writer.on_com_port = on_agreed, on_said
        for option in (COM_PORT_OPTION, BINARY, SGA):
            self._writer.offer(option)
        for option in (BINARY, SGA):
            self._writer.request(option)

    def ask_com_port(self, question: bytes) -> None:
        """Ask the server something about its serial port, or to change it (RFC 2217)."""
        self._writer.send_iac(IAC + SB + COM_PORT_OPTION + question.replace(IAC, IAC + IAC) + IAC + SE)

    async def read(self, count: int) -> bytes:
        """Return up to `count` bytes; empty at the end.

        Raises:
            OSError: The connection broke.
        """
        return await self._reader.read(count)

    def write(self, data: bytes) -> None:
        """Send data; an IAC in it is doubled."""
        self._writer.write(data)

    def send_window(self, columns: int, rows: int) -> None:
        """Send the server a new window size, if it has asked for it (RFC 1073)."""
        if self._writer.ours.is_on(NAWS):
            size = columns.to_bytes(2, "big") + rows.to_bytes(2, "big")
            self._writer.send_iac(IAC + SB + NAWS + size.replace(IAC, IAC + IAC) + IAC + SE)

    def send_break(self) -> None:
        """Send BREAK (RFC 854)."""
        self._writer.send_iac(IAC + BRK)

    def send_eof(self) -> None:
        """Send the end of input (RFC 1184 section 2.1)."""
        self._writer.send_iac(IAC + EOF)

    async def drain(self) -> None:
        """Wait until enough of the written data is sent.

        Raises:
            ConnectionError: The connection is gone.
        """
        try:
            await self._writer.drain()
        except RuntimeError as error:
            raise ConnectionResetError("the connection was lost") from error

    async def close(self, timeout_s: float) -> None:
        """Close the connection, and after `timeout_s` seconds drop unsent data."""
        self.transport.close()
        try:
            await asyncio.wait_for(self._client.waiter_closed, timeout_s)
        except TimeoutError:
            self.transport.abort()
        self._writer.close()


async def open_nvt_connection(host: str, port: int, *, context: ssl.SSLContext | None = None) -> NvtConnection:
    """Connect to a telnet server.

    Args:
        host: Its name or address; with TLS its certificate must name it (RFC 6125).
        port: Its TCP port.
        context: For TLS; None for a plain connection.

    Raises:
        OSError: The server cannot be reached, or (ssl.SSLError) TLS fails.
    """
    transport, client = await asyncio.get_running_loop().create_connection(
        lambda: _Client(encoding=False, limit=READER_LIMIT_BYTES),
        host,
        port,
        ssl=context,
        server_hostname=host if context is not None else None,
    )
    return NvtConnection(transport, client)
