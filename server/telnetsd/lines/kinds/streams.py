"""The common part of the lines that are a stream of bytes: TCP, TLS, a Unix socket, a serial port."""

import asyncio
import contextlib
import os
import ssl

from telnetsd.lines.kinds.upstream import CLOSE_TIMEOUT_S, READ_BYTES, UpstreamError
from telnetsd.telnet.terminal import Terminal


class StreamUpstream:
    """A stream of unchanged bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """See Upstream."""
        try:
            return await self._reader.read(READ_BYTES)
        except OSError as error:
            raise UpstreamError(reason_of(error)) from error

    def write(self, data: bytes) -> None:
        """See Upstream."""
        self._writer.write(data)

    async def drain(self) -> None:
        """See Upstream."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise UpstreamError(reason_of(error)) from error

    def resize(self, terminal: Terminal) -> None:
        """Do nothing: a byte stream has no screen size."""

    def send_break(self) -> bool:
        """Return False: a byte stream has no BREAK."""
        return False

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:  # noqa: ARG002 -- see Upstream
        """Return None: there is no port to control."""
        return None

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


def reason_of(error: OSError) -> str:
    """Return a short description of an error for a user, without the operator's paths."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({error.reason or 'no reason given'})"
    # Use the error number: the text from some libraries contains the operator's paths.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__.lower()
