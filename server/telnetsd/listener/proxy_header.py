"""The PROXY header, versions 1 and 2, in which a proxy names the client that it speaks for; without I/O.

It follows the specification of HAProxy, "The PROXY protocol", sections 2.1 and 2.2. Anything that a proxy sends
besides the addresses (TLVs) is ignored.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

from telnetsd.config.address import PORT_MAX

V1_MAX_BYTES: Final = 107
V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
V2_MAX_BYTES: Final = 4096
"""The longest header of version 2 that is accepted; a header with only addresses has 28 or 52 bytes."""
_V1_BEGIN: Final = b"PROXY "
_V1_WORDS: Final = 6
_V2_FIXED_BYTES: Final = 16
_V2_VERSION: Final = 0x2
_LOCAL, _PROXIED = 0, 1
_ADDRESS_FORMATS: Final = {0x11: "!4s4sHH", 0x21: "!16s16sHH"}
"""TCP over IPv4 and IPv6: source and destination addresses, and their ports."""


class ProxyHeaderError(Exception):
    """The received bytes are not a PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header.

    `source` is the address and port of the client that the proxy speaks for. It is None if the proxy speaks for
    itself, as in a health check. `length` is the length of the header in bytes.
    """

    source: tuple[str, int] | None
    length: int


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header that a connection begins with; None while it is incomplete.

    Raises:
        ProxyHeaderError: The data is not a header, or the header is too long.
    """
    if data.startswith(V2_SIGNATURE):
        return _parse_v2(data)
    if data.startswith(_V1_BEGIN):
        return _parse_v1(data)
    if V2_SIGNATURE.startswith(data) or _V1_BEGIN.startswith(data):
        return None
    raise ProxyHeaderError("it does not begin like one")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_MAX_BYTES)
    if end < 0:
        if len(data) >= V1_MAX_BYTES:
            raise ProxyHeaderError("its line has no end")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return ProxyHeader(None, end + 2)
    if len(words) != _V1_WORDS or words[1] not in {b"TCP4", b"TCP6"}:
        raise ProxyHeaderError("its line does not have six words")
    address = _address_of(words[2])
    if address.version != (4 if words[1] == b"TCP4" else 6):
        raise ProxyHeaderError("its source is of another address family")
    if not words[4].isdigit() or len(words[4]) > len(str(PORT_MAX)) or int(words[4]) > PORT_MAX:
        raise ProxyHeaderError("its source port is not valid")
    return ProxyHeader((_shown(address), int(words[4])), end + 2)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED_BYTES:
        return None
    version, family, rest = struct.unpack_from("!BBH", data, len(V2_SIGNATURE))
    length = _V2_FIXED_BYTES + rest
    if version >> 4 != _V2_VERSION or version & 0xF not in {_LOCAL, _PROXIED}:
        raise ProxyHeaderError("its version or command is unknown")
    if length > V2_MAX_BYTES:
        raise ProxyHeaderError("it is too long")
    if len(data) < length:
        return None
    if version & 0xF == _LOCAL or family not in _ADDRESS_FORMATS:
        return ProxyHeader(None, length)
    layout = _ADDRESS_FORMATS[family]
    if rest < struct.calcsize(layout):
        raise ProxyHeaderError("its addresses are cut off")
    source, _, port, _ = struct.unpack_from(layout, data, _V2_FIXED_BYTES)
    return ProxyHeader((_shown(ipaddress.ip_address(source)), port), length)


def _address_of(word: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError as error:
        raise ProxyHeaderError("its source is not an address") from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ProxyHeaderError("its source has a scope, which has no meaning here")
    return address


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return an address as the log shows it: IPv4 as such, even if mapped into IPv6 (RFC 4291 section 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
