"""Lines to a serial port of another server (RFC 2217): a telnet connection on which this end sets up the port."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.kinds.com_port import ANSWER, BREAK_OFF, BREAK_ON, SET_CONTROL, requests_for
from telnetsd.lines.kinds.kind import LineKind, TargetText, parse_host_port
from telnetsd.lines.kinds.port_settings import PortSettings
from telnetsd.lines.kinds.serial import parse_settings
from telnetsd.lines.kinds.streams import probe_silent_peer
from telnetsd.lines.kinds.telnet import TelnetUpstream
from telnetsd.lines.kinds.upstream import UpstreamError
from telnetsd.telnet.client_protocol import NvtConnection, open_nvt_connection
from telnetsd.telnet.terminal import Terminal

ANSWERED_S: Final = 5.0
"""How long the server may take to agree, and to each answer."""


class RemotePort:
    """The port at the other end, which is set up by questions and answers, one after the other."""

    def __init__(self, connection: NvtConnection) -> None:
        self._connection = connection
        self._is_agreed = asyncio.Event()
        self._answer: asyncio.Future[bytes] | None = None
        self._asked = 0
        connection.control_port(self._is_agreed.set, self._hear)

    async def set_up(self, settings: PortSettings) -> None:
        """Set up the port.

        Raises:
            UpstreamError: The server does not control a port, does not answer, or the port does not accept a setting.
        """
        try:
            await asyncio.wait_for(self._is_agreed.wait(), ANSWERED_S)
            for words, request in requests_for(settings):
                said = await self._ask(request)
                # What holds for flow control and signals is told by many servers in their own way.
                if request[0] != SET_CONTROL and said != request[1:]:
                    raise UpstreamError(f"the port does not accept {words}")
        except TimeoutError as error:
            raise UpstreamError("the server does not answer about a serial port (RFC 2217)") from error

    def set_break(self, *, is_on: bool) -> None:
        """Begin or end a BREAK."""
        self._connection.ask_com_port(bytes([SET_CONTROL, BREAK_ON if is_on else BREAK_OFF]))

    async def _ask(self, request: bytes) -> bytes:
        """Return the value that the port has after a request."""
        self._asked = request[0]
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.ask_com_port(request)
        return await asyncio.wait_for(self._answer, ANSWERED_S)

    def _hear(self, said: bytes) -> None:
        if said[:1] == bytes([self._asked + ANSWER]) and self._answer is not None and not self._answer.done():
            self._answer.set_result(said[1:])


class Rfc2217Upstream(TelnetUpstream):
    """A connection to a telnet server that has set up its serial port."""

    def __init__(
        self, connection: NvtConnection, terminal: Terminal, port: RemotePort, settings: PortSettings
    ) -> None:
        super().__init__(connection, terminal)
        self._port = port
        self._settings = settings

    def local_echo(self, keys: bytes) -> bytes:  # noqa: ARG002 -- see Upstream
        """Return nothing: what is at the serial port echoes, or is not meant to."""
        return b""

    def send_break(self) -> bool:
        """Send BREAK, for as long as the line's settings say."""
        self._port.set_break(is_on=True)
        asyncio.get_running_loop().call_later(self._settings.break_s, lambda: self._port.set_break(is_on=False))
        return True


@dataclass(frozen=True, slots=True)
class Rfc2217Target:
    """See Target."""

    host: str
    port: int
    settings: PortSettings

    async def open(self, terminal: Terminal, _environment: Mapping[str, str]) -> Rfc2217Upstream:
        """See Target."""
        connection = await open_nvt_connection(self.host, self.port)
        port = RemotePort(connection)
        try:
            await port.set_up(self.settings)
        except BaseException:
            connection.transport.abort()
            raise
        probe_silent_peer(connection.transport)
        return Rfc2217Upstream(connection, terminal, port, self.settings)


def _parse(text: TargetText) -> Rfc2217Target:
    place, _, query = text.rest.partition("?")
    host, port = parse_host_port(TargetText(place, text.settings, text.root))
    return Rfc2217Target(host, port, parse_settings(f"{host}:{port}", query))


KIND: Final = LineKind(
    name="rfc2217",
    form="rfc2217://HOST:PORT?baud=9600",
    summary="a serial port of another server, which is set up by RFC 2217",
    parse=_parse,
)
