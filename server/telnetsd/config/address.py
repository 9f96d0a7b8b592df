"""Addresses as the configuration and the command line write them."""

import ipaddress
import re
from typing import Final

from telnetsd.errors import OperatorError

PORT_MAX: Final = 65535
UNIX_PREFIX: Final = "unix:"


def parse_address(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPV6]:PORT`.

    Returns: The host without brackets and the port (0 to 65535; 0 lets the system choose).
    Raises:
        OperatorError: No port, or a port that is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > PORT_MAX:
        raise OperatorError(f"not an address: {text!r}; write HOST:PORT, as in 127.0.0.1:9992")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise OperatorError(f"no host in {text!r}; write 0.0.0.0:{port} to listen on every IPv4 address")
    return host, int(port)


def is_address(text: str) -> bool:
    """Tell whether a text is `HOST:PORT`."""
    try:
        parse_address(text)
    except OperatorError:
        return False
    return True


def is_loopback(text: str) -> bool:
    """Tell whether a text is an address, with its port, that this machine alone can reach."""
    try:
        return ipaddress.ip_address(parse_address(text)[0]).is_loopback
    except (ValueError, OperatorError):
        return False
