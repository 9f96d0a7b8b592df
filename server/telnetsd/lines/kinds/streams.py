"""What kinds of lines have in common that are a stream of bytes: TCP, TLS, a Unix socket, a serial port."""

import asyncio
import contextlib
import os
import ssl

from telnetsd.lines.kinds.upstream import CLOSE_TIMEOUT_S, READ_BYTES, UpstreamError
from telnetsd.telnet.terminal import Terminal


class StreamUpstream:
    """A stream of bytes, unchanged."""

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
        """Bytes have no size of a screen."""

    def send_break(self) -> bool:
        """Bytes have no BREAK."""
        return False

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:  # noqa: ARG002 -- see Upstream
        """There is no port to control."""
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
        """End it at once: what was written and has not gone is lost."""
        self._writer.transport.abort()


def reason_of(error: OSError) -> str:
    """Return an error in a few words for a user: not the operator's paths."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS ({error.reason or 'no reason given'})"
    # By its number: the text of some libraries has the operator's paths.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__.lower()
