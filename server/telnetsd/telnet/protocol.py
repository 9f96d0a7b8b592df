"""The telnet protocol of one connection: its input, its output, and what is agreed on with the client.

A session starts as the plain NVT of RFC 854: nothing is negotiated until the client starts, or until a line needs it.
A client that sends no telnet command needs no interpreter, so there is none before the first command arrives.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from telnetlib3 import TelnetReader
from telnetlib3.telopt import IAC, SB, SE

from telnetsd.own_client import OPTION
from telnetsd.telnet.agreement import Agreement
from telnetsd.telnet.gate import ReadingGate
from telnetsd.telnet.turns import Turns

READER_LIMIT_BYTES: Final = 8192
"""Half of the data that the reader holds before it pauses the client."""
COMMANDS_PER_TURN: Final = 64
"""The maximum number of IAC bytes interpreted at once: telnetlib3 takes a microsecond or two for each."""
_TCP_ESTABLISHED: Final = 1
"""The state of a connection that neither end has closed, as Linux reports it (tcp(7), TCP_INFO)."""
SLICE_BYTES: Final = 256
"""How many bytes are interpreted at once if the data holds more IAC bytes, or if the client takes turns."""


def _is_dense(data: bytes) -> bool:
    """Tell whether interpreting all the data at once would delay other sessions."""
    commands = data.count(IAC)
    return commands > COMMANDS_PER_TURN or (commands > 0 and IAC + SB in data)


class NvtOutput:
    """The output that the client is shown, without telnet's own commands."""

    __slots__ = ("_protocol", "_transport", "spectators")

    def __init__(self, transport: asyncio.Transport, protocol: "NvtProtocol") -> None:
        self._transport = transport
        self._protocol = protocol
        self.spectators: tuple[Callable[[bytes], None], ...] = ()
        """Callbacks that also get what is written."""

    @property
    def is_closed(self) -> bool:
        """Whether written data is no longer shown."""
        return self._protocol.is_over or self._transport.is_closing()

    def unread_bytes(self) -> int:
        """Return how many bytes the client has not read yet."""
        return 0 if self.is_closed else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write to the client, and to every spectator."""
        if self.is_closed:
            return
        self._transport.write(data.replace(IAC, IAC + IAC))
        for spectator in self.spectators:
            spectator(data)

    def add_spectator(self, spectator: Callable[[bytes], None]) -> Callable[[], None]:
        """Add a spectator of what is written; return a function that removes it."""
        self.spectators += (spectator,)

        def end() -> None:
            self.spectators = tuple(one for one in self.spectators if one is not spectator)

        return end

    def close(self) -> None:
        """Let the written data reach the client, and close the connection."""
        self._protocol.end()
        self._transport.close()


class NvtProtocol(asyncio.Protocol):
    """The telnet protocol of one connection; `reader` and `writer` are for the session."""

    writer: NvtOutput
    agreement: Agreement
    """What the client and the server agree on."""

    def __init__(self) -> None:
        self.reader = TelnetReader(READER_LIMIT_BYTES)
        self.is_over = False
        """Whether the connection is closed, or about to be: nothing more is read from it."""
        self._transport: asyncio.Transport
        self._gate: ReadingGate
        self._is_writable = True
        self._waiting: list[asyncio.Future[None]] = []
        self._backlog = b""
        self._turns: Turns | None = None
        self._has_eof = False

    # Calls from the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the reader pause a client that sends faster than it is read."""
        self._transport = cast("asyncio.Transport", transport)
        self.writer = NvtOutput(self._transport, self)
        self._gate = ReadingGate(self._transport)
        self.reader.set_transport(self._gate)
        self.agreement = Agreement(self._transport, self.reader)

    def data_received(self, data: bytes) -> None:
        """Interpret received data; slice data that is dense with commands, to leave time for other sessions."""
        if self.is_over:
            return
        if self._backlog:
            self._backlog += data
        elif self._turns is not None:
            self._backlog = data
            self._gate.hold("backlog")
            self._turns.take(self._work_off)
        elif self.agreement.is_amidst_command or _is_dense(data):
            self._backlog = data
            self._gate.hold("backlog")
            self._work_off()
        else:
            self._take_in(data)

    def eof_received(self) -> bool:
        """Let the session read and answer what the client sent before the end."""
        self._has_eof = True
        if not self._backlog:
            self.reader.feed_eof()
        return True

    def pause_writing(self) -> None:
        """Stop reading from the client, because it reads more slowly than it is written to."""
        self._is_writable = False
        self._gate.hold("writer")

    def resume_writing(self) -> None:
        """Continue, because the client has read."""
        self._is_writable = True
        self._wake()
        self._gate.release("writer")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake waiting readers and writers; a reader gets the error that broke the connection."""
        if exc is not None and not self.is_over:
            self.reader.set_exception(exc)
        self.end()

    # Calls from the session.

    def tell_own_client(self, message: bytes) -> None:
        """Send a message to a client that is our own program: as a subnegotiation, which is not shown."""
        if not self.writer.is_closed:
            self._transport.write(IAC + SB + OPTION + message.replace(IAC, IAC + IAC) + IAC + SE)

    def take_turns(self, turns: Turns) -> None:
        """Interpret further input in turns shared with other clients: no user answers for this client."""
        self._turns = turns

    def end(self) -> None:
        """Accept no more input, and wake waiting readers and writers."""
        if self.is_over:
            return
        self.is_over = True
        self.reader.feed_eof()
        self._wake()
        self.agreement.close()

    @property
    def is_writable(self) -> bool:
        """Whether the client has read enough of what was written."""
        return self._is_writable or self.is_over

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written.

        Raises:
            ConnectionResetError: The connection is gone.
        """
        while not self.is_writable:
            await self._wait()
        if self.is_over:
            raise ConnectionResetError("the connection was lost")

    async def wait_lost(self) -> None:
        """Wait until the connection is gone."""
        while not self.is_over:
            await self._wait()

    @property
    def has_other_end_closed(self) -> bool:
        """Whether the client has closed its end, or is gone: TCP knows that even while nothing is read from it."""
        if self.is_over or self._transport.is_closing():
            return True
        try:
            connection = self._transport.get_extra_info("socket")
            state: int = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except (AttributeError, OSError, ValueError):
            return False  # not TCP, such as a Unix socket
        return state != _TCP_ESTABLISHED

    @property
    def has_ended_input(self) -> bool:
        """Whether the client has said that it sends nothing more, and still reads (RFC 8446 section 6.1)."""
        return not self.is_over and bool(self._transport.get_extra_info("has_ended_input"))

    # Internals.

    def _take_in(self, data: bytes) -> None:
        if self.agreement.is_amidst_command or IAC in data:
            self.agreement.interpret(data)
        else:
            self.reader.feed_data(data)

    def _work_off(self) -> None:
        if self.is_over:
            return
        piece, self._backlog = self._backlog[:SLICE_BYTES], self._backlog[SLICE_BYTES:]
        self._take_in(piece)
        if self._backlog:
            go_on = self._turns.take if self._turns is not None else asyncio.get_running_loop().call_soon
            go_on(self._work_off)
        elif self._has_eof:
            self.reader.feed_eof()
        else:
            self._gate.release("backlog")

    async def _wait(self) -> None:
        """Wait until something has changed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            self._waiting.remove(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
