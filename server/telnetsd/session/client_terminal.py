"""The client's terminal while a session is connected to a line: its type and size, and which side edits lines."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Final

from telnetsd.telnet.negotiation import ComPort
from telnetsd.telnet.protocol import NvtProtocol
from telnetsd.telnet.terminal import Terminal

ANSWERED_S: Final = 0.5
"""How long a client may take to answer at all, before it counts as one that does not speak telnet."""
TERMINAL_KNOWN_S: Final = 2.0
"""How long a client that speaks telnet may take to report its screen size."""
SIDE_MAX: Final = 1000
"""The limit for the width and the height that a client reports for its screen."""
_TERMINAL_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
_DEFAULT: Final = Terminal()


class ClientTerminal:
    """The terminal of one client.

    Args:
        protocol: The telnet protocol of the session.
        is_bare: Whether nothing is negotiated: the client is connected directly to a line.
    """

    __slots__ = ("_is_bare", "_protocol", "speaks_telnet")

    def __init__(self, protocol: NvtProtocol, *, is_bare: bool) -> None:
        self._protocol = protocol
        self._is_bare = is_bare
        self.speaks_telnet = False
        """Whether the client has answered what it was asked."""

    async def ask(self) -> Terminal:
        """Ask the client for what a full-screen program needs, and return its terminal."""
        if self._is_bare:
            return _DEFAULT
        is_answered, is_known = asyncio.Event(), asyncio.Event()
        self._protocol.agreement.on_answered, self._protocol.agreement.on_terminal_known = (
            is_answered.set,
            is_known.set,
        )
        self._protocol.agreement.enter_line()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(is_answered.wait(), ANSWERED_S)
            self.speaks_telnet = True
            # A client describes its terminal once, and after that only what changes.
            if not self._protocol.agreement.is_terminal_known:
                await asyncio.wait_for(is_known.wait(), TERMINAL_KNOWN_S)
        return self._now()

    def follow(self, resized: Callable[[Terminal], None], com_port: ComPort | None) -> None:
        """Report each terminal change from now on; let the client control the line's serial port, if there is one."""
        self._protocol.agreement.on_terminal_known = lambda: resized(self._now())
        self._protocol.agreement.decide_com_port(com_port)

    def give_lines_back(self) -> None:
        """Return to the way in which lines were edited before."""
        self._protocol.agreement.decide_com_port(None)
        self._protocol.agreement.leave_line()

    def _now(self) -> Terminal:
        columns, rows = self._protocol.agreement.window
        kind = self._protocol.agreement.terminal_type
        return Terminal(
            kind=kind.lower() if _TERMINAL_TYPE.fullmatch(kind) else _DEFAULT.kind,
            columns=min(columns, SIDE_MAX) or _DEFAULT.columns,
            rows=min(rows, SIDE_MAX) or _DEFAULT.rows,
        )
