"""A telnet client over TLS, on telnetlib3's client protocol: lines in, what the server says out.

The server is verified by its certificate and its name before anything is sent (RFC 6125).
"""

import asyncio
import contextlib
import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from telnetlib3 import TelnetReader
from telnetlib3.client_base import BaseClient

from telnetsd.errors import OperatorError
from telnetsd.telnet.line_discipline import END_OF_INPUT

CONNECT_TIMEOUT_S: Final = 15.0
REFUSED: Final = b"refused: "
_READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user shows: a certificate with its key."""

    certificate: Path
    key: Path


class _Client(BaseClient):
    """telnetlib3's client, which lets go of its queue when the connection ends: here it is read first."""

    def connection_lost(self, exc: Exception | None) -> None:
        pending = self._rx_task
        if pending is not None and not pending.done():
            pending.add_done_callback(lambda _: self.connection_lost(exc))
        else:
            super().connection_lost(exc)


def make_client_context(ca: Path, credentials: Credentials | None) -> ssl.SSLContext:
    """Make the client's TLS context.

    Args:
        ca: The PEM file of the CA that the server's certificate must come from.
        credentials: What to show, or None for a guest.
    Raises:
        OperatorError: A file cannot be read, or the key is not that of the certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"cannot read the CA {ca}: {error}; say which one with --ca FILE") from error
    if credentials is not None:
        try:
            context.load_cert_chain(credentials.certificate, credentials.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{credentials.certificate}, {credentials.key}"
            raise OperatorError(f"cannot use {files}: {error}; check both, and that they belong together") from error
    return context


async def talk(address: tuple[str, int], context: ssl.SSLContext, keyboard: int, screen: BinaryIO) -> bool:
    """Connect, and pass lines one way and text the other until the server closes.

    Args:
        address: Host and port; the host is what the server's certificate must name.
        context: From `make_client_context`.
        keyboard: The descriptor that lines are read from.
        screen: Where the server's text is written.
    Returns: Whether the server let the user in: a refusal is one line that says so.
    Raises:
        OperatorError: There is no connection, or the server is not who it should be.
    """
    client = await _connect(address, context)
    # Without an encoding, telnetlib3's reader gives bytes; it is set by connection_made.
    reader = cast("TelnetReader", client.reader)
    typing = asyncio.get_running_loop().create_task(_send(_read_chunks(keyboard), client))
    first = b""
    try:
        while True:
            data = await reader.read(_READ_BYTES)
            if not data:
                return not first.startswith(REFUSED)
            first = first or data
            screen.write(data)
            screen.flush()
    except (ConnectionError, ssl.SSLError) as error:
        raise OperatorError(f"the connection broke: {error}; connect again") from error
    finally:
        typing.cancel()


async def _connect(address: tuple[str, int], context: ssl.SSLContext) -> BaseClient:
    host, port = address
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, client = await loop.create_connection(
                lambda: _Client(encoding=False), host, port, ssl=context, server_hostname=host
            )
    except ssl.SSLCertVerificationError as error:
        raise OperatorError(
            f"{host}:{port} is not to be trusted: {error.verify_message}; check --ca and HOST"
        ) from error
    except ssl.SSLError as error:
        raise OperatorError(f"no TLS with {host}:{port}: {error.reason}; check the port") from error
    except TimeoutError as error:
        raise OperatorError(
            f"no answer from {host}:{port} in {CONNECT_TIMEOUT_S:.0f} s; check the address"
        ) from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise OperatorError(f"cannot connect to {host}:{port}: {why}; is a server running there?") from error
    return client


def _read_chunks(keyboard: int) -> "asyncio.Queue[bytes]":
    """Read in a thread of its own: a terminal, a pipe and a file are read alike. An empty chunk is the end.

    The thread may still wait for a key when the program ends; so it reads the descriptor itself, since a reader of
    the standard library holds a lock while it waits, and the interpreter does not end without that.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        chunk = b"\n"
        while chunk:
            chunk = os.read(keyboard, _READ_BYTES)
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:
                return  # the conversation is over, and its loop is closed

    threading.Thread(target=read, daemon=True).start()
    return chunks


async def _send(chunks: "asyncio.Queue[bytes]", client: BaseClient) -> None:
    writer, chunk = client.writer, b"\n"
    with contextlib.suppress(ConnectionError):  # whoever reads is told of it as well
        while chunk and writer is not None and not writer.is_closing():
            chunk = await chunks.get()
            # RFC 854: CR LF ends a line of the network virtual terminal.
            writer.write(chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") or END_OF_INPUT)
            await writer.drain()
