"""What is read from a ClientHello before OpenSSL gets it: whether it offers TLS 1.3, and the server name.

Sources: RFC 8446 sections 4.1.2 and 4.2.1, RFC 6066 section 3.
"""

from dataclasses import dataclass
from typing import Final

from telnetsd.tls.records import RECORD_HEADER_BYTES

_CLIENT_HELLO: Final = 1
_HANDSHAKE_HEADER_BYTES: Final = 4
_VERSION_AND_RANDOM_BYTES: Final = 34
_SERVER_NAME: Final = 0
_HOST_NAME: Final = b"\0"
_SUPPORTED_VERSIONS: Final = 43
_TLS_1_3: Final = b"\x03\x04"


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client asks for; `server_name` is the content of that extension, empty if there is none."""

    offers_tls_1_3: bool
    server_name: bytes

    @property
    def host_name(self) -> bytes:
        """The host name in `server_name`; empty if there is none."""
        try:
            entry = _Reader(_Reader(self.server_name).take_vector(2))
            return entry.take_vector(2) if entry.take(1) == _HOST_NAME else b""
        except EOFError:
            return b""


class _Reader:
    """Reads a ClientHello from beginning to end.

    Raises:
        EOFError: From each method: fewer bytes are left than it asks for.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def is_at_end(self) -> bool:
        return self._place >= len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._place : self._place + count]
        if len(taken) < count:
            raise EOFError
        self._place += count
        return taken

    def take_vector(self, length_bytes: int) -> bytes:
        """Take a vector, which follows its length (RFC 8446 section 3.4)."""
        return self.take(int.from_bytes(self.take(length_bytes), "big"))


def read_client_hello(record: bytes) -> ClientHello | None:
    """Read a client's first record; None if it does not hold a whole ClientHello.

    Args:
        record: The record with its header, as `RecordSplitter` returns it; the peer may have sent any bytes.
    """
    try:
        hello = _Reader(record[RECORD_HEADER_BYTES:])
        header = hello.take(_HANDSHAKE_HEADER_BYTES)
        if header[0] != _CLIENT_HELLO:
            return None
        body = _Reader(hello.take(int.from_bytes(header[1:], "big")))
        body.take(_VERSION_AND_RANDOM_BYTES)
        for length_bytes in (1, 2, 1):  # session id, cipher suites, compression methods
            body.take_vector(length_bytes)
        extensions = {} if body.is_at_end else _read_extensions(_Reader(body.take_vector(2)))
        versions = _Reader(extensions.get(_SUPPORTED_VERSIONS, b"\0")).take_vector(1)
    except EOFError:
        return None
    offers_tls_1_3 = any(versions[place : place + 2] == _TLS_1_3 for place in range(0, len(versions), 2))
    return ClientHello(offers_tls_1_3, extensions.get(_SERVER_NAME, b""))


def _read_extensions(reader: _Reader) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while not reader.is_at_end:
        kind = int.from_bytes(reader.take(2), "big")
        found[kind] = reader.take_vector(2)
    return found
