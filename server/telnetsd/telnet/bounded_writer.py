"""telnetlib3's interpreter of telnet commands, restricted through its public methods.

telnetlib3 5.0.1 trusts its peer in ways that neither a server on the internet nor a client of broken equipment can.
An unsolicited MCCP3 subnegotiation switches on inflation. Short subnegotiations log tracebacks. An unterminated one
keeps a million entries. NEW-ENVIRON and CHARSET are open to every peer that offers them. This class accepts only a
short list of options. Subnegotiations are bounded, and accepted only for an option that was agreed on.
"""

import collections
import struct
from typing import Any, Final

from telnetlib3 import TelnetWriter
from telnetlib3.telopt import DONT, IAC, SB, WONT

SUBNEGOTIATION_MAX_BYTES: Final = 64


class BoundedWriter(TelnetWriter):
    """Interprets telnet commands (IAC) from an unidentified peer, and answers them."""

    slc_simulated = False

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- telnetlib3's signature, passed on
        super().__init__(*args, **options)
        self.compression = False
        self._subnegotiation_bytes = 0

    def agrees_to_do(self, opt: bytes) -> bool:
        """Tell whether we may do what the peer asks for."""
        raise NotImplementedError

    def agrees_to_will(self, opt: bytes) -> bool:
        """Tell whether the peer may do what it offers."""
        raise NotImplementedError

    def is_subnegotiated(self, opt: bytes) -> bool:
        """Tell whether a subnegotiation of this option is accepted now."""
        raise NotImplementedError

    def feed_byte(self, byte: bytes) -> bool:
        """Interpret one byte; drop the middle of a subnegotiation that is too long."""
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

    @property
    def _is_whole(self) -> bool:
        """Whether nothing of the current subnegotiation was dropped."""
        return self._subnegotiation_bytes <= SUBNEGOTIATION_MAX_BYTES

    def handle_subnegotiation(self, buf: collections.deque[bytes]) -> None:
        """Accept a subnegotiation only if its option was agreed on, and only if it is complete.

        Raises:
            ValueError: The subnegotiation is refused; telnetlib3 then ignores it.
        """
        if not self._is_whole:
            raise ValueError("subnegotiation too long")
        if not self.is_subnegotiated(buf[0]):
            raise ValueError("subnegotiation of an option that was not agreed upon")
        try:
            super().handle_subnegotiation(buf)
        except (struct.error, IndexError, UnicodeError, AssertionError) as error:
            raise ValueError("malformed subnegotiation") from error

    def handle_do(self, opt: bytes) -> bool:
        """Accept the options on the list; refuse the rest (RFC 854: WONT)."""
        if self.agrees_to_do(opt):
            return super().handle_do(opt)
        if self.local_option.get(opt) is not False:
            self.iac(WONT, opt)
        return False

    def handle_will(self, opt: bytes) -> None:
        """Accept the options on the list; refuse the rest (RFC 854: DONT)."""
        if self.agrees_to_will(opt):
            super().handle_will(opt)
        else:
            self.iac(DONT, opt)
