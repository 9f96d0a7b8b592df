"""The common part of the lines that are a stream of bytes: TCP, TLS, a Unix socket, a serial port."""

import asyncio
import contextlib
import os
import re
import ssl
from typing import Final

from telnetsd.lines.kinds.kind import TargetText
from telnetsd.lines.kinds.upstream import CLOSE_TIMEOUT_S, READ_BYTES, UpstreamError
from telnetsd.listener.sockets import keep_alive
from telnetsd.telnet.terminal import Terminal

_LINE_END: Final = re.compile(rb"\r\n?")
KEEPALIVE_S: Final = 30
"""How long an upstream may be silent before the system probes it."""


class StreamUpstream:
    """A stream of bytes, unchanged but for Enter if the line says so.

    Args:
        reader: Its input.
        writer: Its output.
        enter: What is sent for the Enter key.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, enter: bytes = b"\r") -> None:
        self._enter = enter
        self._reader = reader
        self._writer = writer
        probe_silent_peer(writer.transport)

    async def read(self) -> bytes:
        """See Upstream."""
        try:
            return await self._reader.read(READ_BYTES)
        except OSError as error:
            raise UpstreamError(reason_of(error)) from error

    def write(self, data: bytes) -> None:
        """See Upstream."""
        self._writer.write(data if self._enter == b"\r" else _LINE_END.sub(self._enter, data))

    async def drain(self) -> None:
        """See Upstream."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise UpstreamError(reason_of(error)) from error

    def local_echo(self, keys: bytes) -> bytes:  # noqa: ARG002 -- see Upstream
        """Return nothing: what is at the other end echoes, or is not meant to."""
        return b""

    def end_input(self) -> None:
        """Close the sending direction, if that is possible (TCP half-close)."""
        if self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()

    def resize(self, terminal: Terminal) -> None:
        """Do nothing: a byte stream has no screen size."""

    def send_break(self) -> bool:
        """Return False: a byte stream has no BREAK."""
        return False

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:  # noqa: ARG002 -- see Upstream
        """Return None: there is no port to control."""
        return None

    def overruns(self) -> int:
        """Return none: the sender waits until its bytes are read."""
        return 0

    async def close(self) -> None:
        """See Upstream."""
        self._writer.close()
        try:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._writer.wait_closed()
        except TimeoutError:
            self.abandon()

    def abandon(self) -> None:
        """End the connection at once; written bytes that were not sent are lost."""
        self._writer.transport.abort()


def enter_of(text: TargetText) -> bytes:
    """Return what a target's line sends for the Enter key."""
    return {"": b"\r", "cr": b"\r", "lf": b"\n", "crlf": b"\r\n"}[text.settings.newline]


def probe_silent_peer(transport: asyncio.BaseTransport) -> None:
    """Let the system find out that a silent upstream is gone: a console may say nothing for weeks."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        keep_alive(connection, KEEPALIVE_S)


def reason_of(error: OSError) -> str:
    """Return a short description of an error for a user, without the operator's paths."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({error.reason or 'no reason given'})"
    # Use the error number: the text from some libraries contains the operator's paths.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__.lower()
