"""The collectors: syslog over UDP, TCP and TLS, journald, and standard output.

Each blocks in its own thread, for a bounded time, and raises OSError when it could not send an event. None of them
gets an acknowledgement from its collector: an event that the network accepted can still be lost there.
"""

import errno
import os
import select
import socket
import ssl
from typing import Final, Protocol

import msgspec

from telnetsd.audit.shipping.syslog import APP_NAME, severity_of, to_frame, to_syslog
from telnetsd.config.address import parse_address
from telnetsd.config.settings import ShippingSettings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home

TIMEOUT_S: Final = 10.0
JOURNALD_SOCKET: Final = "/run/systemd/journal/socket"
_PIPE_BYTES: Final = select.PIPE_BUF
_STDOUT: Final = 1


class TooLongError(OSError):
    """The collector does not accept an event as long as this one."""


class Collector(Protocol):
    """A destination that receives every event."""

    def connect(self) -> None:
        """Connect to the collector, unless it is already connected.

        Raises:
            OSError: It cannot be reached.
        """

    def send(self, line: bytes) -> None:
        """Send an event's line.

        Raises:
            TooLongError: It is too long for the collector, and would be too long again.
            OSError: It could not be sent.
        """

    def close(self) -> None:
        """Disconnect from the collector."""


def make_collector(home: Home, settings: ShippingSettings) -> Collector:
    """Return the collector that a setting names.

    Raises:
        OperatorError: Its certificate or key cannot be read.
    """
    kind, _, address = settings.to.partition("://")
    match kind:
        case "stdout":
            return StandardOutput()
        case "journald":
            return Journald()
        case "syslog+udp":
            return UdpSyslog(parse_address(address))
        case "syslog+tls":
            return StreamSyslog(parse_address(address), _make_context(home, settings))
        case _:
            return StreamSyslog(parse_address(address), None)


class UdpSyslog:
    """Syslog datagrams (RFC 5426)."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """See Collector."""
        if self._socket is None:
            family, kind, number, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, number)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(address)

    def send(self, line: bytes) -> None:
        """See Collector."""
        _send_datagram(self._socket, to_syslog(line, socket.gethostname(), os.getpid()))

    def close(self) -> None:
        """See Collector."""
        _close(self._socket)
        self._socket = None


class StreamSyslog:
    """Syslog over TCP (RFC 6587) or TLS (RFC 5425), each message after its length."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None) -> None:
        self._address = address
        self._context = context
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """See Collector."""
        if self._socket is not None and _has_hung_up(self._socket):
            self.close()
        if self._socket is None:
            raw = socket.create_connection(self._address, TIMEOUT_S)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket = _wrap(raw, self._context, self._address[0])

    def send(self, line: bytes) -> None:
        """See Collector."""
        if self._socket is None:
            raise ConnectionError("not connected")
        self._socket.sendall(to_frame(to_syslog(line, socket.gethostname(), os.getpid())))

    def close(self) -> None:
        """See Collector."""
        _close(self._socket)
        self._socket = None


class Journald:
    """The journal of systemd, by its native protocol: fields of an event become fields of an entry."""

    def __init__(self, path: str = JOURNALD_SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """See Collector."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(self._path)

    def send(self, line: bytes) -> None:
        """See Collector."""
        _send_datagram(self._socket, to_entry(line))

    def close(self) -> None:
        """See Collector."""
        _close(self._socket)
        self._socket = None


class StandardOutput:
    """Lines on standard output, for the process that runs the server and reads them there."""

    def connect(self) -> None:
        """See Collector."""

    def send(self, line: bytes) -> None:
        """See Collector."""
        view = memoryview(line + b"\n")
        while view:
            # A pipe that is ready accepts up to PIPE_BUF bytes without waiting.
            _, ready, _ = select.select([], [_STDOUT], [], TIMEOUT_S)
            if not ready:
                raise TimeoutError("standard output is not being read")
            view = view[os.write(_STDOUT, view[:_PIPE_BYTES]) :]

    def close(self) -> None:
        """See Collector."""


class _Event(msgspec.Struct):
    action: str
    outcome: str
    reason: str


class _Entry(msgspec.Struct):
    event: _Event
    message: str


_entry_decoder: Final = msgspec.json.Decoder(_Entry)


def to_entry(line: bytes) -> bytes:
    """Return the journal entry of an event's line: newline-separated fields, none of which contains a newline."""
    try:
        entry = _entry_decoder.decode(line)
        event, message = entry.event, entry.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        event, message = _Event("", "failure", ""), "a damaged line of the audit log"
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(severity_of(event.outcome)),
        "SYSLOG_IDENTIFIER": APP_NAME,
        "TELNETSD_ACTION": event.action,
        "TELNETSD_REASON": event.reason,
    }
    # Texts of the log have no control characters, but a damaged line could have some.
    text = "".join(f"{name}={value.partition(chr(10))[0]}\n" for name, value in fields.items())
    return text.encode("utf-8", "replace") + b"TELNETSD_EVENT=" + line + b"\n"


def _send_datagram(one: socket.socket | None, message: bytes) -> None:
    if one is None:
        raise ConnectionError("not connected")
    try:
        one.send(message)
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            raise TooLongError(error.errno, error.strerror) from error
        raise


def _wrap(raw: socket.socket, context: ssl.SSLContext | None, host: str) -> socket.socket:
    """Use TLS on a connection if there is a context; the certificate has to be the host's."""
    if context is None:
        return raw
    try:
        return context.wrap_socket(raw, server_hostname=host)
    except OSError:
        raw.close()
        raise


def _has_hung_up(one: socket.socket) -> bool:
    """Tell whether a collector has closed the connection; it sends nothing otherwise."""
    ready, _, _ = select.select([one], [], [], 0)
    if not ready:
        return False
    try:
        return not one.recv(4096)
    except OSError:
        return True


def _close(one: socket.socket | None) -> None:
    if one is not None:
        one.close()


def _make_context(home: Home, settings: ShippingSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(home.root / settings.ca) if settings.ca else None)
        if settings.certificate:
            context.load_cert_chain(home.root / settings.certificate, home.root / settings.key)
    except OSError as error:
        raise OperatorError(
            f"wrong [[audit.shipping]] {settings.name!r} in telnetsd.toml: its ca, certificate or key: {error}"
        ) from error
    return context
