"""The PROXY header of both versions."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.listener.proxy_header import (
    V1_MAX_BYTES,
    V2_MAX_BYTES,
    V2_SIGNATURE,
    ProxyHeader,
    ProxyHeaderError,
    parse_proxy_header,
)

PORTS = st.integers(0, 65535)


def v2(command: int, family: int, rest: bytes) -> bytes:
    return V2_SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest


def logged(source: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return the logged form of a source, whichever family carried it."""
    return str((isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped) or source)


@given(st.ip_addresses(), PORTS, st.binary(max_size=40))
def test_a_version_1_header_gives_the_source_and_leaves_the_bytes_after_it(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, behind: bytes
) -> None:
    header = f"PROXY TCP{source.version} {source} {source} {port} 443\r\n".encode()
    assert parse_proxy_header(header + behind) == ProxyHeader((logged(source), port), len(header))


@given(st.ip_addresses(), PORTS, st.binary(max_size=40), st.binary(max_size=40))
def test_a_version_2_header_gives_the_source_and_skips_further_data(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, further: bytes, behind: bytes
) -> None:
    family = 0x11 if source.version == 4 else 0x21
    header = v2(1, family, source.packed * 2 + struct.pack("!HH", port, 443) + further)
    assert parse_proxy_header(header + behind) == ProxyHeader((logged(source), port), len(header))


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::1 1 2\r\n", v2(0, 0, b""), v2(1, 0, b"x")]
)
def test_a_local_header_makes_the_proxy_itself_the_source(header: bytes) -> None:
    assert parse_proxy_header(header) == ProxyHeader(None, len(header))


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        v2(1, 0x11, b"\xc0\0\2\1\xc0\0\2\2\0\1\0\2"),
    ],
)
def test_an_incomplete_header_is_waited_for(header: bytes) -> None:
    assert all(parse_proxy_header(header[:end]) is None for end in range(len(header)))


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.0\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
        b"PROXY TCP6 fe80::1%\x1b[2J fe80::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n",
        b"PROXY  \r\n",
        b"PROXY " + b"x" * V1_MAX_BYTES,
        v2(2, 0x11, b"0" * 12),
        V2_SIGNATURE + b"\x11\x11\0\x0c" + b"0" * 12,
        v2(1, 0x11, b"0" * 11),
        v2(1, 0x21, b"0" * 35),
        v2(1, 0x11, b"0" * V2_MAX_BYTES),
    ],
)
def test_an_invalid_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(data)


@given(st.one_of(st.binary(), st.binary().map(lambda rest: V2_SIGNATURE + rest), st.binary().map(b"PROXY ".__add__)))
def test_any_bytes_are_a_header_or_incomplete_or_refused(data: bytes) -> None:
    try:
        header = parse_proxy_header(data)
    except ProxyHeaderError:
        return
    assert len(data) < V2_MAX_BYTES if header is None else 0 < header.length <= len(data)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP6 ::ffff:192.0.2.77 ::1 4711 992\r\n",
        V2_SIGNATURE + b"\x21\x21\0\x24" + b"\0" * 10 + b"\xff\xff\xc0\0\x02\x4d" + b"\0" * 16 + b"\x12\x67\x03\xe0",
    ],
)
def test_an_ipv4_address_inside_ipv6_is_known_as_ipv4(header: bytes) -> None:
    assert parse_proxy_header(header) == ProxyHeader(("192.0.2.77", 4711), len(header))
