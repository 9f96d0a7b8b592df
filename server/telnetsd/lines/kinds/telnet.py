"""Lines to a telnet server: this end acts as a terminal, whose type and size the server may ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.kinds.kind import LineKind, TargetText, parse_host_port
from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import CLOSE_TIMEOUT_S, READ_BYTES, UpstreamError
from telnetsd.telnet.client_protocol import NvtConnection, open_nvt_connection
from telnetsd.telnet.terminal import Terminal


class TelnetUpstream:
    """A connection to a telnet server."""

    def __init__(self, connection: NvtConnection, terminal: Terminal) -> None:
        self._connection = connection
        self._terminal = terminal
        connection.offer_terminal(lambda: self._terminal.kind, lambda: (self._terminal.columns, self._terminal.rows))

    async def read(self) -> bytes:
        """See Upstream."""
        try:
            return await self._connection.read(READ_BYTES)
        except OSError as error:
            raise UpstreamError(reason_of(error)) from error

    def write(self, data: bytes) -> None:
        """See Upstream; outside BINARY, a lone CR is sent as CR NUL (RFC 854)."""
        self._connection.write(data if self._connection.is_binary else _to_nvt(data))

    async def drain(self) -> None:
        """See Upstream."""
        try:
            await self._connection.drain()
        except OSError as error:
            raise UpstreamError("the connection was lost") from error

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
        return TelnetUpstream(await open_nvt_connection(self.host, self.port), terminal)


def _parse(text: TargetText) -> TelnetTarget:
    return TelnetTarget(*parse_host_port(text))


def _to_nvt(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


KIND: Final = LineKind(
    name="telnet",
    form="telnet://HOST:PORT",
    summary="a telnet server; terminal type and size are passed on",
    parse=_parse,
)
