"""telnetlib3's interpreter of telnet commands, restricted through its public methods.

telnetlib3 5.0.1 trusts its peer in ways that neither a server on the internet nor a client of broken equipment can.
An unsolicited MCCP3 subnegotiation switches on inflation. Short subnegotiations log tracebacks. An unterminated one
keeps a million entries. NEW-ENVIRON and CHARSET are open to every peer that offers them. This class accepts only a
short list of options. Subnegotiations are bounded, and accepted only for an option that was agreed on.
"""

import collections
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from telnetlib3 import TelnetWriter
from telnetlib3.telopt import DO, DONT, IAC, SB, TM, WILL, WONT

from telnetsd.telnet.options import OptionStates

SUBNEGOTIATION_MAX_BYTES: Final = 64


class _Told(Protocol):
    def __call__(self, opt: bytes, *, is_on: bool) -> None: ...


class BoundedWriter(TelnetWriter):
    """Interprets telnet commands (IAC) from an unidentified peer, and answers them."""

    slc_simulated = False
    subnegotiation_max_bytes = SUBNEGOTIATION_MAX_BYTES
    """How much of a subnegotiation is kept; a longer one is refused."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 -- telnetlib3's signature, passed on
        super().__init__(*args, **options)
        self.compression = False
        self._subnegotiation_bytes = 0
        self.ours = OptionStates(WILL, WONT)
        """The options on our side."""
        self.peers = OptionStates(DO, DONT)
        """The options on the peer's side."""

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
        if self._subnegotiation_bytes <= self.subnegotiation_max_bytes:
            return super().feed_byte(byte)
        self.iac_received = False
        return False

    @property
    def _is_whole(self) -> bool:
        """Whether nothing of the current subnegotiation was dropped."""
        return self._subnegotiation_bytes <= self.subnegotiation_max_bytes

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
        """Accept the options on the list, and refuse the rest (RFC 854: WONT); return whether the option is on."""
        self.on_negotiated()
        if opt == TM and self.agrees_to_do(opt):
            return super().handle_do(opt)  # RFC 860: each one is answered
        self._change(self.ours, opt, self.on_ours, lambda: self.ours.receive_on(opt, agrees=self.agrees_to_do(opt)))
        return self.ours.is_on(opt)

    def handle_dont(self, opt: bytes) -> None:
        """Disable an option, and acknowledge that; or note a refusal."""
        self.on_negotiated()
        self._change(self.ours, opt, self.on_ours, lambda: self.ours.receive_off(opt))

    def handle_will(self, opt: bytes) -> None:
        """Accept the options on the list, and refuse the rest (RFC 854: DONT)."""
        self.on_negotiated()
        self._change(
            self.peers, opt, self.on_peers, lambda: self.peers.receive_on(opt, agrees=self.agrees_to_will(opt))
        )

    def handle_wont(self, opt: bytes) -> None:
        """Note that the peer disables an option, and acknowledge that; or note a refusal."""
        self.on_negotiated()
        self._change(self.peers, opt, self.on_peers, lambda: self.peers.receive_off(opt))

    def offer(self, opt: bytes) -> None:
        """Offer to do something (RFC 854: WILL)."""
        self._command(self.ours.ask_on(opt), opt)

    def withdraw(self, opt: bytes) -> None:
        """Do something no longer (RFC 854: WONT)."""
        self._change(self.ours, opt, self.on_ours, lambda: self.ours.ask_off(opt))

    def request(self, opt: bytes) -> None:
        """Request that the peer does something (RFC 854: DO)."""
        self._command(self.peers.ask_on(opt), opt)

    def decline(self, opt: bytes) -> None:
        """Request that the peer does something no longer (RFC 854: DONT)."""
        self._change(self.peers, opt, self.on_peers, lambda: self.peers.ask_off(opt))

    def on_negotiated(self) -> None:
        """Note that the peer has sent one of the four commands, before it is answered."""

    def on_ours(self, opt: bytes, *, is_on: bool) -> None:
        """Note that an option on our side was enabled or disabled."""

    def on_peers(self, opt: bytes, *, is_on: bool) -> None:
        """Note that an option on the peer's side was enabled or disabled."""

    def _change(self, states: OptionStates, opt: bytes, told: _Told, change: Callable[[], bytes]) -> None:
        was_on = states.is_on(opt)
        self._command(change(), opt)
        is_on = states.is_on(opt)
        # telnetlib3 looks here when it interprets a subnegotiation.
        (self.local_option if states is self.ours else self.remote_option)[opt] = is_on
        if is_on != was_on:
            told(opt, is_on=is_on)

    def _command(self, command: bytes, opt: bytes) -> None:
        if command:
            self.send_iac(IAC + command + opt)
