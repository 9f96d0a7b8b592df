"""Addresses as the configuration and the command line write them."""

import ipaddress
import re
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError

PORT_MAX: Final = 65535
UNIX_PREFIX: Final = "unix:"
LOCALHOST: Final = "localhost"
ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 -- compared with, not bound
ANY_IPV6: Final = "::"


def parse_address(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPV6]:PORT`.

    Returns: The host without brackets and the port (0 to 65535; 0 lets the system choose).
    Raises:
        OperatorError: The port is missing or invalid.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > PORT_MAX:
        raise OperatorError(f"not an address: {text!r}; write HOST:PORT, as in 127.0.0.1:9992")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise OperatorError(f"no host in {text!r}; write 0.0.0.0:{port} to listen on every IPv4 address")
    return host, int(port)


def unix_path(text: str) -> Path | None:
    """Return the path of `unix:PATH`; None for any other address."""
    return Path(text.removeprefix(UNIX_PREFIX)) if text.startswith(UNIX_PREFIX) else None


def is_address(text: str) -> bool:
    """Tell whether a text is `HOST:PORT`, or `unix:PATH`."""
    if unix_path(text) is not None:
        return True
    try:
        parse_address(text)
    except OperatorError:
        return False
    return True


def is_loopback(text: str) -> bool:
    """Tell whether a text is an address with a port that only this machine can reach."""
    try:
        host, _ = parse_address(text)
        return host == LOCALHOST or ipaddress.ip_address(host).is_loopback
    except (ValueError, OperatorError):
        return False


def exclude_each_other(one: str, other: str) -> bool:
    """Tell whether the server can listen on only one of two addresses, each HOST:PORT or unix:PATH.

    The IPv6 wildcard address includes every IPv4 address, as on Linux.
    """
    if unix_path(one) is not None or unix_path(other) is not None:
        return one == other
    hosts, ports = zip(*map(parse_address, (one, other)), strict=True)
    if 0 in ports or ports[0] != ports[1]:
        return False
    is_ipv4_alone = not any(":" in host for host in hosts)
    return hosts[0] == hosts[1] or ANY_IPV6 in hosts or (ANY_IPV4 in hosts and is_ipv4_alone)
