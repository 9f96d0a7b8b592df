"""A terminal device as a stream of bytes: our end of a pty, or a serial port."""

import asyncio
import errno
import os
import select
from typing import Final

from telnetsd.lines.kinds.upstream import READ_BYTES, UpstreamError

WRITTEN_MAX_BYTES: Final = 65536
"""With more unsent bytes than this, `drain` waits."""


class DescriptorStream:
    """A non-blocking descriptor of a terminal device; the caller closes it.

    Args:
        descriptor: The descriptor.
        waits_first: Whether a read returns nothing while nothing was received, as one of a serial port may (VMIN 0).
    """

    def __init__(self, descriptor: int, *, waits_first: bool = False) -> None:
        self._descriptor = descriptor
        self._waits_first = waits_first
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._is_closed = False

    @property
    def unsent_bytes(self) -> int:
        """How many written bytes the device has not accepted yet."""
        return len(self._unsent)

    async def read(self) -> bytes:
        """Return received bytes; empty when the other end of a pty is closed, or a port is unplugged.

        Raises:
            UpstreamError: The device cannot be read.
        """
        if self._waits_first:
            await self._wait_readable()
        while not self._is_closed:
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                await self._wait_readable()
            except OSError as error:
                if error.errno == errno.EIO:
                    return b""
                raise UpstreamError(str(error.strerror).lower()) from error
            else:
                if data or self._is_readable():
                    return data
                await self._wait_readable()  # what was received has been discarded meanwhile
        return b""

    def _is_readable(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    async def _wait_readable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._descriptor, _settle, ready)
        try:
            await ready
        finally:
            if not self._is_closed:
                self._loop.remove_reader(self._descriptor)

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until the device accepts them."""
        if self._is_closed:
            return
        was_empty = not self._unsent
        self._unsent += data
        if was_empty and self._unsent:
            self._send()
        elif len(self._unsent) >= WRITTEN_MAX_BYTES:
            self._is_writable.clear()

    def _send(self) -> None:
        try:
            del self._unsent[: os.write(self._descriptor, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # the reader learns that the device is gone
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._send)
        else:
            self._loop.remove_writer(self._descriptor)
        if len(self._unsent) < WRITTEN_MAX_BYTES:
            self._is_writable.set()
        else:
            self._is_writable.clear()

    async def drain(self) -> None:
        """Wait until the device has accepted enough of the written bytes."""
        await self._is_writable.wait()

    def let_go(self) -> None:
        """Use the descriptor no longer; unsent bytes are lost."""
        # A read that still waits must not touch the descriptor: its number will soon be reused.
        self._is_closed = True
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._unsent.clear()
        self._is_writable.set()


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
