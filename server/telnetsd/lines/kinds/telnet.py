"""Lines to a telnet server: this end acts as a terminal, whose type and size the server may ask for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.kinds.kind import LineKind, TargetText, parse_host_port
from telnetsd.lines.kinds.streams import probe_silent_peer, reason_of
from telnetsd.lines.kinds.upstream import CLOSE_TIMEOUT_S, READ_BYTES, UpstreamError
from telnetsd.telnet.client_protocol import NvtConnection, open_nvt_connection
from telnetsd.telnet.nvt_input import NvtInput
from telnetsd.telnet.terminal import Terminal

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_EDITED: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SHOWN_AS: Final = {b"\x08": b"\b \b", b"\x7f": b"\b \b", b"\x07": b"\x07"}
"""What a terminal shows for control characters; for others nothing."""


class TelnetUpstream:
    """A connection to a telnet server."""

    def __init__(self, connection: NvtConnection, terminal: Terminal) -> None:
        self._connection = connection
        self._terminal = terminal
        self._line_ends = NvtInput(is_after_cr=False, dropped=b"\0")
        """CR NUL is CR for the user; CR LF stays, as the end of a line."""
        connection.offer_terminal(lambda: self._terminal.kind, lambda: (self._terminal.columns, self._terminal.rows))

    async def read(self) -> bytes:
        """See Upstream."""
        shown = b""
        while not shown:
            try:
                data = await self._connection.read(READ_BYTES)
            except OSError as error:
                raise UpstreamError(reason_of(error)) from error
            if not data or self._connection.receives_binary:
                return data
            shown = self._line_ends.feed(data)
        return shown

    def write(self, data: bytes) -> None:
        """See Upstream; outside BINARY a line ends as RFC 854 and RFC 1123 section 3.3.1 say."""
        enter = b"\r\0" if self._connection.is_echoing else b"\r\n"
        self._connection.write(data if self._connection.is_binary else _to_nvt(data, enter))

    def local_echo(self, keys: bytes) -> bytes:
        """Return what a half-duplex terminal shows for keys: the server has not offered to echo (RFC 857)."""
        if self._connection.is_echoing:
            return b""
        shown = _EDITED.sub(lambda one: _SHOWN_AS.get(one[0], b""), keys.replace(b"\r\n", b"\r"))
        return shown.replace(b"\n", b"\r").replace(b"\r", b"\r\n")

    async def drain(self) -> None:
        """See Upstream."""
        try:
            await self._connection.drain()
        except OSError as error:
            raise UpstreamError("the connection was lost") from error

    def end_input(self) -> None:
        """Send EOF (RFC 1184): a telnet connection stays open in both directions."""
        self._connection.send_eof()

    def resize(self, terminal: Terminal) -> None:
        """Send the server the new size, if it has asked for it."""
        self._terminal = terminal
        self._connection.send_window(terminal.columns, terminal.rows)

    def send_break(self) -> bool:
        """Send BREAK (RFC 854)."""
        self._connection.send_break()
        return True

    def com_port(self, question: bytes, *, may_change: bool) -> None:
        """Return no answer: there is no port to control."""

    def overruns(self) -> int:
        """Return none: the sender waits until its bytes are read."""
        return 0

    async def close(self) -> None:
        """See Upstream."""
        await self._connection.close(CLOSE_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class TelnetTarget:
    """See Target."""

    host: str
    port: int

    async def open(self, terminal: Terminal, _environment: Mapping[str, str]) -> TelnetUpstream:
        """See Target."""
        connection = await open_nvt_connection(self.host, self.port)
        probe_silent_peer(connection.transport)
        return TelnetUpstream(connection, terminal)


def _parse(text: TargetText) -> TelnetTarget:
    return TelnetTarget(*parse_host_port(text))


def _to_nvt(data: bytes, enter: bytes) -> bytes:
    """Return typed bytes in the form of RFC 854: `enter` for the Enter key, and CR LF for LF with or without a CR."""
    return _LINE_END.sub(lambda one: enter if one[0] == b"\r" else b"\r\n", data)


KIND: Final = LineKind(
    name="telnet",
    form="telnet://HOST:PORT",
    summary="a telnet server; terminal type and size are passed on",
    parse=_parse,
    has_window=True,
)
