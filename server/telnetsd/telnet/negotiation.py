"""What the server agrees on with a telnet client: a short list of options, and a longer one while it is on a line.

The client is not identified yet when negotiation begins; see `bounded_writer` for what it may not do.
"""

import asyncio
import collections
import logging
from collections.abc import Callable
from typing import Final, Protocol

from telnetlib3 import TelnetReader
from telnetlib3.telopt import (
    BINARY,
    COM_PORT_OPTION,
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
)

from telnetsd.telnet.bounded_writer import BoundedWriter
from telnetsd.telnet.line_discipline import END_OF_INPUT, ERASE_CHARACTER, ERASE_LINE, INTERRUPT
from telnetsd.telnet.reported_terminal import ReportedTerminal, TerminalOwner

ANSWERED_DO: Final = frozenset({ECHO, SGA, TM})
"""What the client may ask us to do: echo (RFC 857), suppress go-ahead (RFC 858), timing mark (RFC 860)."""
ANSWERED_WILL: Final = frozenset({SGA, NAWS, TTYPE})
"""What the client may offer: suppress go-ahead, its window size (RFC 1073), its terminal type (RFC 1091)."""
CHARACTER_MODE: Final = (ECHO, SGA)
"""What we do when the client sends each key as it is typed."""
ON_LINE_WILL: Final = (*CHARACTER_MODE, BINARY)
"""What we do while a line is connected: character mode, and unchanged bytes (RFC 856)."""
ON_LINE_DO: Final = (SGA, BINARY, NAWS, TTYPE)
SUBNEGOTIATED: Final = frozenset({NAWS, TTYPE})
AYT_ANSWER: Final = b"[yes]\r\n"
_IN_BAND: Final = {EC: ERASE_CHARACTER, EL: ERASE_LINE, EOF: END_OF_INPUT, IP: INTERRUPT}
_IAC: Final = IAC[0]

ComPort = Callable[[bytes], None]
"""Takes a question of a client that controls a serial port (RFC 2217)."""

logger = logging.getLogger(__name__)


class Owner(TerminalOwner, Protocol):
    """The owner of the client, which is notified of what the client reports about itself."""

    def on_answered(self) -> None:
        """Note an answer to an offer or a request: the client speaks telnet."""


class NvtNegotiator(BoundedWriter):
    """Interprets telnet commands (IAC) from a peer that is not identified yet, and answers them.

    Args:
        transport: Where answers go.
        reader: Where bytes that are not commands go.
        owner: Notified of what the client reports about itself.
    """

    def __init__(self, transport: asyncio.Transport, reader: TelnetReader, owner: Owner) -> None:
        super().__init__(transport, None, reader=reader, server=True)
        self._in_band = reader
        self._owner = owner
        self._may_answer_ayt = True
        self._is_on_line = False
        self._edited_before = False
        """Whether we echoed and edited before the client was on a line."""
        self.terminal = ReportedTerminal(owner)
        self._com_port: ComPort | None = None
        self._wants_com_port = False
        self._is_com_port_decided = False
        self.set_ext_callback(NAWS, self.terminal.note_window)
        self.set_ext_callback(TTYPE, self.terminal.note_kind)
        # Editing commands are passed on with the data, so that they act in the order in which they were sent.
        for command, byte in _IN_BAND.items():
            self.set_iac_callback(command, _feeder(reader, byte))

    def interpret(self, data: bytes) -> None:
        """Interpret received bytes: answer commands, and pass the rest to the reader."""
        self._may_answer_ayt = True
        start, end = 0, len(data)
        while start < end:
            if not self.is_oob:
                command = data.find(_IAC, start)
                self._in_band.feed_data(data[start : command if command >= 0 else end])
                if command < 0:
                    return
                start = command
            if self._takes_as_data(data[start : start + 1]):
                self._in_band.feed_data(data[start : start + 1])
            start += 1

    def _takes_as_data(self, byte: bytes) -> bool:
        try:
            return self.feed_byte(byte)
        except ValueError:
            return False  # refused by one of our own methods
        except Exception as error:  # noqa: BLE001 -- a peer's bytes must not end in a traceback
            logger.warning("telnetlib3 failed on input from a client: %r", error)
            return False

    def agrees_to_do(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        if opt == COM_PORT_OPTION:
            return self._com_port is not None
        return opt in ANSWERED_DO or (self._is_on_line and opt == BINARY)

    def agrees_to_will(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        if opt == COM_PORT_OPTION:
            return self._com_port is not None
        return opt in ANSWERED_WILL or (self._is_on_line and opt == BINARY)

    def is_subnegotiated(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        if opt == COM_PORT_OPTION:
            return self._com_port is not None
        return opt in SUBNEGOTIATED and self.peers.is_on(opt)

    def handle_subnegotiation(self, buf: collections.deque[bytes]) -> None:
        """Pass on a question about the serial port; see BoundedWriter for the other options.

        Raises:
            ValueError: The subnegotiation is refused; telnetlib3 then ignores it.
        """
        if buf[0] == COM_PORT_OPTION and self._com_port is not None and self._is_whole:
            self._com_port(b"".join(list(buf)[1:]))
        else:
            super().handle_subnegotiation(buf)

    def enter_line(self) -> None:
        """Offer what a full-screen program needs, and ask for the screen's type and size."""
        self._is_on_line, self._edited_before = True, self.ours.is_on(ECHO)
        for opt in ON_LINE_WILL:
            self.offer(opt)
        for opt in ON_LINE_DO:
            self.request(opt)

    def leave_line(self) -> None:
        """Return to what was agreed on before: lines that the client edits, or keys that we echo."""
        if not self._is_on_line:
            return
        self._is_on_line = False
        for opt in (BINARY,) if self._edited_before else ON_LINE_WILL:
            self.withdraw(opt)
        self.decline(BINARY)

    def decide_com_port(self, answer: ComPort | None) -> None:
        """Decide whether the client may control a port, whether it has asked already or asks later."""
        is_answered, self._com_port, self._is_com_port_decided = self._is_com_port_decided, answer, True
        if answer is None:
            self.decline(COM_PORT_OPTION)
        if self._wants_com_port and (answer is not None or not is_answered):
            self._answer_com_port()

    def _answer_com_port(self) -> None:
        super().handle_will(COM_PORT_OPTION)
        if self._com_port is None:
            return
        self._is_on_line = True
        for opt in (BINARY, SGA):
            self.offer(opt)
            self.request(opt)

    def on_negotiated(self) -> None:
        """See BoundedWriter."""
        self._owner.on_answered()

    def handle_will(self, opt: bytes) -> None:
        """See BoundedWriter."""
        if opt == COM_PORT_OPTION:
            self.on_negotiated()
            # A client that asks before it is on a line gets the answer when it is.
            self._wants_com_port = True
            if self._is_com_port_decided:
                self._answer_com_port()
        else:
            super().handle_will(opt)

    def handle_wont(self, opt: bytes) -> None:
        """See BoundedWriter."""
        super().handle_wont(opt)
        self.terminal.note_answer(opt)

    def on_ours(self, opt: bytes, *, is_on: bool) -> None:
        """Offer the rest of character mode, if the client has asked for a part of it (RFC 1123 section 3.2.2)."""
        if opt in CHARACTER_MODE and is_on:
            self._offer_character_mode()

    def on_peers(self, opt: bytes, *, is_on: bool) -> None:
        """Ask for the terminal's type, once the client is willing to report it; a terminal can send single keys."""
        if opt == TTYPE and is_on:
            self.request_ttype()
        if opt in SUBNEGOTIATED and is_on:
            self._offer_character_mode()

    def _offer_character_mode(self) -> None:
        if not self._is_on_line:
            for one in CHARACTER_MODE:
                self.offer(one)

    def handle_ayt(self, _byte: bytes) -> None:
        """Answer Are You There (RFC 854) with yes, once for any number that arrive together."""
        if self._may_answer_ayt:
            self._may_answer_ayt = False
            self.send_iac(AYT_ANSWER)

    def tell_com_port(self, said: bytes) -> None:
        """Pass on an answer or a notification about the port, if the client controls it."""
        if self._com_port is not None:
            self.send_iac(IAC + SB + COM_PORT_OPTION + said.replace(IAC, IAC + IAC) + IAC + SE)


def _feeder(reader: TelnetReader, byte: bytes) -> Callable[[bytes], None]:
    def feed(_command: bytes) -> None:
        reader.feed_data(byte)

    return feed
