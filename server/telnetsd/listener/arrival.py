"""A raw connection that was just accepted: finding which client it is for, before anything else in it is read."""

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from telnetsd.incoming import IncomingProtocol
from telnetsd.listener.endpoint import Endpoint
from telnetsd.listener.proxy_header import ProxyHeaderError, parse_proxy_header

LOCAL: Final = "local"
"""The origin to show for a client that connects through a Unix socket."""
MAPPED_PREFIX: Final = "::ffff:"
UNKNOWN_ADDRESS: Final = ("0.0.0.0", 0)  # noqa: S104 -- says unknown, binds nothing
"""The substitute for the address of a connection that was reset before its address could be read."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection comes from.

    Attributes:
        address: The address of the source; empty for a connection through a Unix socket.
        port: The port of the source; 0 without an address.
        proxy: The address of the proxy that spoke for the source; empty for none.
        endpoint: The address of the server to which the source connected.
    """

    address: str
    port: int
    endpoint: Endpoint
    proxy: str = ""

    @property
    def shown(self) -> str:
        """HOST:PORT for display, with an IPv6 host in brackets."""
        if not self.address:
            return LOCAL
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


Receive = Callable[[asyncio.Transport, Origin], IncomingProtocol | None]
"""Accepts a connection and returns its protocol; None if the connection was turned away."""


class Arrival(IncomingProtocol):
    """The first protocol of a raw connection, until its origin is known.

    Args:
        endpoint: The address of the server to which the client connected.
        receive: Accepts the connection once its origin is known.
        turn_away: Called with the origin and the reason, if the header of a proxy is wrong.
        waiting: Contains this object while it waits for a header, so that it can be aborted when the server no longer
            accepts connections.
        timeout_s: How long a header may take.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        receive: Receive,
        turn_away: Callable[[Origin, str], None],
        waiting: set["Arrival"],
        timeout_s: float,
    ) -> None:
        self._endpoint = endpoint
        self._receive = receive
        self._turn_away = turn_away
        self._waiting = waiting
        self._timeout_s = timeout_s
        self._data = b""
        self._transport: asyncio.Transport
        self._origin = Origin("", 0, endpoint)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass the connection on, or wait for the header if it comes from a known proxy."""
        self._transport = cast("asyncio.Transport", transport)
        self._origin = _origin_of(self._transport, self._endpoint)
        if _is_one_of(self._origin.address, self._endpoint.settings.proxies):
            self._waiting.add(self)
            late = ProxyHeaderError("it did not arrive in time")
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._refuse, late)
        else:
            self._pass_on(self._origin)

    def data_received(self, data: bytes) -> None:
        """Receive the header."""
        self._data += data
        try:
            header = parse_proxy_header(self._data)
        except ProxyHeaderError as error:
            self._refuse(error)
            return
        is_check = header is not None and header.source is None and len(self._data) == header.length
        if header is None or is_check:
            # A proxy that speaks for itself, and sends nothing more, only checks whether the server is up.
            return
        self._data = self._data[header.length :]
        proxy = self._origin
        address, port = header.source or (proxy.address, proxy.port)
        self._pass_on(Origin(address, port, self._endpoint, proxy.address))

    def connection_lost(self, _: Exception | None) -> None:
        """Stop waiting: the proxy disconnected without sending anything, as a health check does."""
        self._stop_waiting()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _pass_on(self, origin: Origin) -> None:
        self._stop_waiting()
        protocol = self._receive(self._transport, origin)
        if protocol is None:
            self._transport.close()
            return
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._data:
            protocol.data_received(self._data)

    def _refuse(self, error: ProxyHeaderError) -> None:
        self._stop_waiting()
        self._turn_away(self._origin, str(error))
        self._transport.abort()

    def _stop_waiting(self) -> None:
        self._waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _origin_of(transport: asyncio.Transport, endpoint: Endpoint) -> Origin:
    peer: Any = transport.get_extra_info("peername")
    if isinstance(peer, (str, bytes)):
        return Origin("", 0, endpoint)  # a Unix socket's
    address, port = (peer or UNKNOWN_ADDRESS)[:2]
    # An IPv4 peer of an IPv6 socket (RFC 4291 section 2.5.5.2) is known everywhere by its own address.
    return Origin(address.removeprefix(MAPPED_PREFIX) if "." in address else address, port, endpoint)


def _is_one_of(address: str, networks: tuple[str, ...]) -> bool:
    if not networks or not address:
        return False
    found = ipaddress.ip_address(address.partition("%")[0])
    return any(found in ipaddress.ip_network(one) for one in networks)
