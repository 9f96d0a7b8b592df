"""telnetlib3's server protocol, through its constructor parameters and overridable methods, with its doors closed.

telnetlib3 5.0.1 trusts its peer in ways that a door to the internet cannot, all of them before anybody is identified:
an unsolicited MCCP3 subnegotiation switches on inflation, short subnegotiations log tracebacks, an unterminated one
keeps a million entries, NEW-ENVIRON and CHARSET are open to whoever offers them, and its reader never pauses a client
that floods. Here the options are a short list, subnegotiations are bounded and taken only for what was agreed upon,
and the reader has its transport.

A session starts as the plain NVT of RFC 854: nothing is negotiated until the client starts.
"""

import asyncio
import collections
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from telnetlib3 import TelnetReader, TelnetWriter
from telnetlib3.server_base import BaseServer
from telnetlib3.telopt import (
    BINARY,
    COM_PORT_OPTION,
    DO,
    DONT,
    EC,
    ECHO,
    EL,
    EOF,
    IAC,
    IP,
    NAWS,
    SB,
    SE,
    SGA,
    TM,
    TTYPE,
    WILL,
    WONT,
)

from telnetsd.telnet.line_discipline import END_OF_INPUT, ERASE_CHARACTER, ERASE_LINE, INTERRUPT

ANSWERED_DO: Final = frozenset({SGA, TM})
"""What the client may ask us to do: suppress go-ahead (RFC 858), timing mark (RFC 860)."""
ANSWERED_WILL: Final = frozenset({SGA, NAWS, TTYPE})
"""What the client may offer: suppress go-ahead, its window size (RFC 1073), its terminal type (RFC 1091)."""
CHARACTER_MODE_WILL: Final = (ECHO, SGA, BINARY)
"""What we do while a line is connected: echo (RFC 857), no go-ahead, bytes as they are (RFC 856)."""
CHARACTER_MODE_DO: Final = (SGA, BINARY, NAWS, TTYPE)
SUBNEGOTIATED: Final = frozenset({NAWS, TTYPE})
SUBNEGOTIATION_MAX_BYTES: Final = 64
READER_LIMIT_BYTES: Final = 8192
"""Half of what the reader holds before it pauses the client."""
COMMANDS_PER_TURN: Final = 64
"""Up to how many IAC bytes are interpreted at once: telnetlib3 takes a microsecond or two for each."""
SLICE_BYTES: Final = 512
"""How much of what holds more of them is interpreted in one turn of the event loop."""
AYT_ANSWER: Final = b"[yes]\r\n"
_IN_BAND: Final = {EC: ERASE_CHARACTER, EL: ERASE_LINE, EOF: END_OF_INPUT, IP: INTERRUPT}


class NvtWriter(TelnetWriter):
    """The interpreter of telnet commands (IAC), for a peer that nobody has identified yet."""

    slc_simulated = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- telnetlib3's signature, passed on
        super().__init__(*args, **kwargs)
        self.compression = False
        self._subnegotiation_bytes = 0
        self.may_answer_ayt = True
        self.spectators: set[Callable[[bytes], None]] = set()
        """Who else sees what is written: nothing of it is telnet's own."""
        self.is_in_character_mode = False
        self.terminal_type = ""
        self.window = (0, 0)
        self._unanswered = set(SUBNEGOTIATED)
        self.on_com_port: Callable[[bytes], bytes | None] | None = None
        """Answers a client that controls a serial port (RFC 2217), while a line has one."""
        self._wants_com_port = False
        self._is_com_port_decided = False
        self.on_answered: Callable[[], None] = _nothing
        """Told of each answer to what was offered or asked: the client speaks telnet."""
        self.on_terminal_known: Callable[[], None] = _nothing
        self.set_ext_callback(NAWS, self._note_window)
        self.set_ext_callback(TTYPE, self._note_terminal_type)
        # Editing commands go the way of the data, so that they act in the order in which they were sent.
        for command, byte in _IN_BAND.items():
            self.set_iac_callback(command, _feeder(self._reader, byte))

    def write(self, data: bytes) -> None:
        """Write to the client, and to whoever watches."""
        super().write(data)
        for spectator in tuple(self.spectators):
            spectator(data)

    def feed_byte(self, byte: bytes) -> bool:
        """Interpret one byte; of a subnegotiation that is too long, drop all but its end."""
        if self.cmd_received != SB:
            self._subnegotiation_bytes = 0
            return super().feed_byte(byte)
        is_data = self.iac_received == (byte == IAC)
        if not is_data:
            return super().feed_byte(byte)
        self._subnegotiation_bytes += 1
        if self._subnegotiation_bytes <= SUBNEGOTIATION_MAX_BYTES:
            return super().feed_byte(byte)
        self.iac_received = False
        return False

    def handle_subnegotiation(self, buf: collections.deque[bytes]) -> None:
        """Take a subnegotiation only of an option that was agreed upon, and only whole.

        Raises:
            ValueError: It is refused; telnetlib3 ignores it then.
        """
        if self._subnegotiation_bytes > SUBNEGOTIATION_MAX_BYTES:
            raise ValueError("subnegotiation too long")
        if buf[0] == COM_PORT_OPTION and self.on_com_port is not None:
            self._answer_question(b"".join(list(buf)[1:]))
            return
        if buf[0] not in SUBNEGOTIATED or not self.remote_option.enabled(buf[0]):
            raise ValueError("subnegotiation of an option that was not agreed upon")
        try:
            super().handle_subnegotiation(buf)
        except (struct.error, IndexError, UnicodeError) as error:
            raise ValueError("malformed subnegotiation") from error

    def enter_character_mode(self) -> None:
        """Offer what a full-screen program needs, and ask for the screen's type and size."""
        self.is_in_character_mode = True
        for opt in CHARACTER_MODE_WILL:
            self.iac(WILL, opt)
        for opt in CHARACTER_MODE_DO:
            self.iac(DO, opt)

    def leave_character_mode(self) -> None:
        """Go back to lines that the client echoes and edits."""
        self.is_in_character_mode = False
        for opt in CHARACTER_MODE_WILL:
            # What was never agreed upon is taken back as well: the answer may still be under way.
            self.pending_option[WILL + opt] = False
            self.local_option[opt] = True
            self.iac(WONT, opt)
        self.pending_option[DO + BINARY] = False
        self.remote_option[BINARY] = True
        self.iac(DONT, BINARY)

    def decide_com_port(self, answer: Callable[[bytes], bytes | None] | None) -> None:
        """Say whether the client may control a port, to one that has asked already and to one that will."""
        self.on_com_port, self._is_com_port_decided = answer, True
        if self._wants_com_port:
            self._answer_com_port()

    def _answer_com_port(self) -> None:
        if self.on_com_port is None:
            self.iac(DONT, COM_PORT_OPTION)
            return
        self.is_in_character_mode = True
        self.iac(DO, COM_PORT_OPTION)
        self.remote_option[COM_PORT_OPTION] = True
        for opt in (BINARY, SGA):
            self.iac(WILL, opt)
            self.iac(DO, opt)

    def handle_do(self, opt: bytes) -> bool:
        """Agree to what is on the list; refuse the rest (RFC 854: WONT)."""
        self.on_answered()
        if opt == COM_PORT_OPTION and self.on_com_port is not None:
            return self.iac(WILL, opt)
        if opt in ANSWERED_DO or (self.is_in_character_mode and opt in CHARACTER_MODE_WILL):
            return super().handle_do(opt)
        if self.local_option.get(opt) is not False:
            self.iac(WONT, opt)
        return False

    def handle_dont(self, opt: bytes) -> None:
        """Take note; there is nothing to say (RFC 1143)."""
        self.on_answered()
        self.pending_option[WILL + opt] = False
        self.local_option[opt] = False

    def handle_will(self, opt: bytes) -> None:
        """Agree to what is on the list; refuse the rest (RFC 854: DONT)."""
        self.on_answered()
        if opt == COM_PORT_OPTION:
            # Who asks before a line is there is answered when it is.
            self._wants_com_port = True
            if self._is_com_port_decided:
                self._answer_com_port()
        elif opt in ANSWERED_WILL or (self.is_in_character_mode and opt == BINARY):
            if opt == TTYPE and not self.remote_option.enabled(opt):
                # telnetlib3 asks for the type without having agreed to be told it.
                self.iac(DO, opt)
            super().handle_will(opt)
        else:
            self.iac(DONT, opt)

    def handle_wont(self, opt: bytes) -> None:
        """Take note; there is nothing to say (RFC 1143)."""
        self.on_answered()
        self.pending_option[DO + opt] = False
        self.remote_option[opt] = False
        self._note_answer(opt)

    def handle_ayt(self, _byte: bytes) -> None:
        """Are You There (RFC 854): yes, said once to however many that came together."""
        if self.may_answer_ayt:
            self.may_answer_ayt = False
            self.write(AYT_ANSWER)

    def _answer_question(self, question: bytes) -> None:
        answer = self.on_com_port(question) if self.on_com_port is not None else None
        if answer:
            content = answer.replace(IAC, IAC + IAC)
            self.send_iac(IAC + SB + COM_PORT_OPTION + content + IAC + SE)

    def _note_window(self, rows: int, columns: int) -> None:
        self.window = (columns, rows)
        self._note_answer(NAWS)

    def _note_terminal_type(self, name: str) -> None:
        self.terminal_type = name
        self._note_answer(TTYPE)

    def _note_answer(self, opt: bytes) -> None:
        """Tell that the terminal is known, once the client has answered both questions; and of each change then."""
        self._unanswered.discard(opt)
        if opt in SUBNEGOTIATED and not self._unanswered:
            self.on_terminal_known()


def _nothing() -> None:
    pass


def _feeder(reader: TelnetReader | None, byte: bytes) -> Callable[[bytes], None]:
    def feed(_command: bytes) -> None:
        if reader is not None:
            reader.feed_data(byte)

    return feed


class _ReadingGate(asyncio.ReadTransport):
    """Reads from the client only while nobody has a reason not to."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._reasons: set[str] = set()

    def pause_reading(self) -> None:
        """The reader holds enough."""
        self.hold("reader")

    def resume_reading(self) -> None:
        """The reader has been read."""
        self.release("reader")

    def hold(self, reason: str) -> None:
        """Read nothing more until the reason is gone."""
        self._reasons.add(reason)
        self._transport.pause_reading()

    def release(self, reason: str) -> None:
        """A reason is gone."""
        self._reasons.discard(reason)
        if not self._reasons:
            self._transport.resume_reading()


class NvtProtocol(BaseServer):
    """The telnet protocol of one connection; `reader` and `writer` are for the session."""

    reader: TelnetReader
    writer: NvtWriter

    def __init__(self) -> None:
        is_negotiated: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        is_negotiated.set_result(None)
        super().__init__(
            encoding=False,
            limit=READER_LIMIT_BYTES,
            writer_factory=NvtWriter,
            _waiter_connected=is_negotiated,
        )
        self._is_lost = False
        self.lost = asyncio.Event()
        """Set when the connection is gone."""
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._gate: _ReadingGate
        self._backlog = b""
        self._has_eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make reader and writer, and let the reader pause a client that sends faster than it is read."""
        super().connection_made(transport)
        self._gate = _ReadingGate(cast("asyncio.Transport", transport))
        self.reader.set_transport(self._gate)

    def begin_negotiation(self) -> None:
        """Negotiate nothing: the client may be no telnet client at all."""

    def data_received(self, data: bytes) -> None:
        """Interpret what came in; what is dense with commands a little at a time, to leave room for others."""
        if self._is_lost:
            return
        is_dense = self.writer.is_oob or IAC + SB in data or data.count(IAC) > COMMANDS_PER_TURN
        if not is_dense and not self._backlog:
            self._interpret(data)
        elif self._backlog:
            self._backlog += data
        else:
            self._backlog = data
            self._gate.hold("backlog")
            self._work_off()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Let the session read what came before the end, and answer it."""
        self._has_eof = True
        if not self._backlog:
            self.reader.feed_eof()
        return True

    @property
    def is_writable(self) -> bool:
        """Whether the client has read enough of what was written."""
        return self._is_writable.is_set()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to: take nothing more from it."""
        self._is_writable.clear()
        self._gate.hold("writer")

    def resume_writing(self) -> None:
        """The client has read."""
        self._is_writable.set()
        self._gate.release("writer")

    def _interpret(self, data: bytes) -> None:
        self.writer.may_answer_ayt = True
        super().data_received(data)

    def _work_off(self) -> None:
        if self._is_lost:
            return
        piece, self._backlog = self._backlog[:SLICE_BYTES], self._backlog[SLICE_BYTES:]
        self._interpret(piece)
        if self._backlog:
            asyncio.get_running_loop().call_soon(self._work_off)
        elif self._has_eof:
            self.reader.feed_eof()
        else:
            self._gate.release("backlog")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever reads or waits to write."""
        self._is_lost = True
        self.lost.set()
        self._is_writable.set()
        super().connection_lost(exc)

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written.

        Raises:
            ConnectionResetError: The connection is gone.
        """
        await self._is_writable.wait()
        if self._is_lost:
            raise ConnectionResetError("the connection is gone")
