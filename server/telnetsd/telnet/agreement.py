"""What client and server agree on: the terminal, which side edits lines, and control of a serial port.

A client that sends no telnet command needs no negotiator. The negotiator is therefore created when the first command
arrives, or when the server needs one.
"""

import asyncio
from collections.abc import Callable

from telnetlib3 import TelnetReader
from telnetlib3.telopt import BINARY, ECHO

from telnetsd.telnet.negotiation import ComPort, NvtNegotiator


def _nothing() -> None:
    pass


class Agreement:
    """The agreement of one connection.

    Args:
        transport: Where answers go.
        reader: Where bytes that are not commands go.
    """

    __slots__ = (
        "_com_port",
        "_is_closed",
        "_negotiator",
        "_reader",
        "_transport",
        "on_answered",
        "on_terminal_known",
    )

    def __init__(self, transport: asyncio.Transport, reader: TelnetReader) -> None:
        self._transport = transport
        self._reader = reader
        self._negotiator: NvtNegotiator | None = None
        self._com_port: tuple[ComPort | None] | None = None
        self._is_closed = False
        self.on_answered: Callable[[], None] = _nothing
        """Called for each answer to an offer or a request: the client speaks telnet."""
        self.on_terminal_known: Callable[[], None] = _nothing
        """Called when the client has described its terminal, and for each change after that."""

    @property
    def window(self) -> tuple[int, int]:
        """Columns and rows of the client's screen; 0 if the client has not reported them."""
        return self._negotiator.terminal.window if self._negotiator is not None else (0, 0)

    @property
    def terminal_type(self) -> str:
        """The type of the client's terminal; empty if the client has not reported it."""
        return self._negotiator.terminal.kind if self._negotiator is not None else ""

    @property
    def is_terminal_known(self) -> bool:
        """Whether the client has described its terminal, or refused to."""
        return self._negotiator is not None and self._negotiator.terminal.is_known

    @property
    def is_amidst_command(self) -> bool:
        """Whether the last received byte was within a telnet command."""
        return self._negotiator is not None and self._negotiator.is_oob

    def interpret(self, data: bytes) -> None:
        """Interpret received bytes: answer commands, and pass the rest to the reader."""
        self._telnet().interpret(data)

    @property
    def receives_binary(self) -> bool:
        """Whether the client sends bytes unchanged (RFC 856)."""
        return self._negotiator is not None and self._negotiator.peers.is_on(BINARY)

    @property
    def is_echoing(self) -> bool:
        """Whether we echo what the client types, and edit it: the client sends each key as it is typed."""
        return self._negotiator is not None and self._negotiator.ours.is_on(ECHO)

    def enter_line(self) -> None:
        """Offer what a full-screen program needs, and ask for the screen's type and size."""
        self._telnet().enter_line()

    def leave_line(self) -> None:
        """Return to what was agreed on before: lines that the client edits, or keys that we echo."""
        self.on_answered = self.on_terminal_known = _nothing
        if self._negotiator is not None and not self._is_closed:
            self._negotiator.leave_line()

    def decide_com_port(self, answer: ComPort | None) -> None:
        """Decide whether the client may control a port, whether it has asked already or asks later."""
        self._com_port = (answer,)
        if self._negotiator is not None:
            self._negotiator.decide_com_port(answer)

    def tell_com_port(self, said: bytes) -> None:
        """Pass on an answer or a notification about the port to a client that controls it."""
        if self._negotiator is not None and not self._is_closed:
            self._negotiator.tell_com_port(said)

    def close(self) -> None:
        """Stop negotiating."""
        self._is_closed = True
        if self._negotiator is not None:
            self._negotiator.close()

    def _telnet(self) -> NvtNegotiator:
        if self._negotiator is None:
            self._negotiator = NvtNegotiator(self._transport, self._reader, self)
            if self._com_port is not None:
                self._negotiator.decide_com_port(*self._com_port)
        return self._negotiator
