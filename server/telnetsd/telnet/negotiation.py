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

from telnetsd.telnet.bounded_writer import BoundedWriter
from telnetsd.telnet.line_discipline import END_OF_INPUT, ERASE_CHARACTER, ERASE_LINE, INTERRUPT

ANSWERED_DO: Final = frozenset({SGA, TM})
"""What the client may ask us to do: suppress go-ahead (RFC 858), timing mark (RFC 860)."""
ANSWERED_WILL: Final = frozenset({SGA, NAWS, TTYPE})
"""What the client may offer: suppress go-ahead, its window size (RFC 1073), its terminal type (RFC 1091)."""
CHARACTER_MODE_WILL: Final = (ECHO, SGA, BINARY)
"""What we do while a line is connected: echo (RFC 857), no go-ahead, unchanged bytes (RFC 856)."""
CHARACTER_MODE_DO: Final = (SGA, BINARY, NAWS, TTYPE)
SUBNEGOTIATED: Final = frozenset({NAWS, TTYPE})
AYT_ANSWER: Final = b"[yes]\r\n"
_IN_BAND: Final = {EC: ERASE_CHARACTER, EL: ERASE_LINE, EOF: END_OF_INPUT, IP: INTERRUPT}
_IAC: Final = IAC[0]

ComPort = Callable[[bytes, Callable[[bytes], None]], None]
"""Takes a question of a client that controls a serial port (RFC 2217), and a callback for the answer, if any."""

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """The owner of the client, which is notified of what the client reports about itself."""

    def on_answered(self) -> None:
        """Note an answer to an offer or a request: the client speaks telnet."""

    def on_terminal_known(self) -> None:
        """Note that the client has described its terminal, or that the terminal has changed."""


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
        self.is_in_character_mode = False
        self.terminal_type = ""
        self.window = (0, 0)
        """Columns and rows; 0 if they are not known."""
        self._unanswered = set(SUBNEGOTIATED)
        self._com_port: ComPort | None = None
        self._wants_com_port = False
        self._is_com_port_decided = False
        self.set_ext_callback(NAWS, self._note_window)
        self.set_ext_callback(TTYPE, self._note_terminal_type)
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
        return opt in ANSWERED_DO or (self.is_in_character_mode and opt in CHARACTER_MODE_WILL)

    def agrees_to_will(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        return opt in ANSWERED_WILL or (self.is_in_character_mode and opt == BINARY)

    def is_subnegotiated(self, opt: bytes) -> bool:
        """See BoundedWriter."""
        if opt == COM_PORT_OPTION:
            return self._com_port is not None
        return opt in SUBNEGOTIATED and self.remote_option.enabled(opt)

    def handle_subnegotiation(self, buf: collections.deque[bytes]) -> None:
        """Pass on a question about the serial port; see BoundedWriter for the other options.

        Raises:
            ValueError: The subnegotiation is refused; telnetlib3 then ignores it.
        """
        if buf[0] == COM_PORT_OPTION and self._com_port is not None and self._is_whole:
            self._com_port(b"".join(list(buf)[1:]), self._answer)
        else:
            super().handle_subnegotiation(buf)

    def enter_character_mode(self) -> None:
        """Offer what a full-screen program needs, and ask for the screen's type and size."""
        self.is_in_character_mode = True
        for opt in CHARACTER_MODE_WILL:
            self.iac(WILL, opt)
        for opt in CHARACTER_MODE_DO:
            self.iac(DO, opt)

    def leave_character_mode(self) -> None:
        """Return to lines that the client echoes and edits."""
        self.is_in_character_mode = False
        for opt in CHARACTER_MODE_WILL:
            # Withdraw even an option that was never agreed on: the answer may still be on its way.
            self.pending_option[WILL + opt] = False
            self.local_option[opt] = True
            self.iac(WONT, opt)
        self.pending_option[DO + BINARY] = False
        self.remote_option[BINARY] = True
        self.iac(DONT, BINARY)

    def decide_com_port(self, answer: ComPort | None) -> None:
        """Decide whether the client may control a port, whether it has asked already or asks later."""
        self._com_port, self._is_com_port_decided = answer, True
        if self._wants_com_port:
            self._answer_com_port()

    def _answer_com_port(self) -> None:
        if self._com_port is None:
            self.iac(DONT, COM_PORT_OPTION)
            return
        self.is_in_character_mode = True
        self.iac(DO, COM_PORT_OPTION)
        self.remote_option[COM_PORT_OPTION] = True
        for opt in (BINARY, SGA):
            self.iac(WILL, opt)
            self.iac(DO, opt)

    def handle_do(self, opt: bytes) -> bool:
        """Accept the options on the list; refuse the rest (RFC 854: WONT)."""
        self._owner.on_answered()
        if opt == COM_PORT_OPTION and self._com_port is not None:
            return self.iac(WILL, opt)
        return super().handle_do(opt)

    def handle_dont(self, opt: bytes) -> None:
        """Note the refusal; no reply is needed (RFC 1143)."""
        self._owner.on_answered()
        self.pending_option[WILL + opt] = False
        self.local_option[opt] = False

    def handle_will(self, opt: bytes) -> None:
        """Accept the options on the list; refuse the rest (RFC 854: DONT)."""
        self._owner.on_answered()
        if opt == COM_PORT_OPTION:
            # A client that asks before it is on a line gets the answer when it is.
            self._wants_com_port = True
            if self._is_com_port_decided:
                self._answer_com_port()
            return
        if opt == TTYPE and not self.remote_option.enabled(opt):
            # telnetlib3 asks for the type without first agreeing to receive it.
            self.iac(DO, opt)
        super().handle_will(opt)

    def handle_wont(self, opt: bytes) -> None:
        """Note the refusal; no reply is needed (RFC 1143)."""
        self._owner.on_answered()
        self.pending_option[DO + opt] = False
        self.remote_option[opt] = False
        self._note_answer(opt)

    def handle_ayt(self, _byte: bytes) -> None:
        """Answer Are You There (RFC 854) with yes, once for any number that arrive together."""
        if self._may_answer_ayt:
            self._may_answer_ayt = False
            self.send_iac(AYT_ANSWER)

    def _answer(self, answer: bytes) -> None:
        if answer and self._com_port is not None:
            self.send_iac(IAC + SB + COM_PORT_OPTION + answer.replace(IAC, IAC + IAC) + IAC + SE)

    def _note_window(self, rows: int, columns: int) -> None:
        self.window = (columns, rows)
        self._note_answer(NAWS)

    def _note_terminal_type(self, name: str) -> None:
        self.terminal_type = name
        self._note_answer(TTYPE)

    def _note_answer(self, opt: bytes) -> None:
        """Report that the terminal is known once the client has answered both questions, then report each change."""
        self._unanswered.discard(opt)
        if opt in SUBNEGOTIATED and not self._unanswered:
            self._owner.on_terminal_known()


def _feeder(reader: TelnetReader, byte: bytes) -> Callable[[bytes], None]:
    def feed(_command: bytes) -> None:
        reader.feed_data(byte)

    return feed
