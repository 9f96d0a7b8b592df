"""A telnet client over TLS: lines in, the server's text out.

The server is verified by its certificate and its name before anything is sent (RFC 6125).
"""

import asyncio
import contextlib
import os
import signal
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from telnetsd.client.keyboard import Keyboard
from telnetsd.errors import OperatorError
from telnetsd.telnet.client_protocol import NvtConnection, open_nvt_connection
from telnetsd.telnet.line_discipline import END_OF_INPUT

CONNECT_TIMEOUT_S: Final = 15.0
REFUSED: Final = b"refused: "
_READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user presents: a certificate with its key."""

    certificate: Path
    key: Path


def make_client_context(ca: Path, credentials: Credentials | None) -> ssl.SSLContext:
    """Make the client's TLS context.

    Args:
        ca: The PEM file of the CA that the server's certificate must come from.
        credentials: What to present, or None for a guest.
    Raises:
        OperatorError: A file cannot be read, or the key does not belong to the certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"cannot read the CA {ca}: {error}; name it with --ca FILE") from error
    if credentials is not None:
        try:
            context.load_cert_chain(credentials.certificate, credentials.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{credentials.certificate}, {credentials.key}"
            raise OperatorError(f"cannot use {files}: {error}; check both, and that they match") from error
    return context


async def talk(address: tuple[str, int], context: ssl.SSLContext, keyboard: int, screen: BinaryIO) -> bool:
    """Connect, and pass lines one way and text the other until the server closes.

    Args:
        address: Host and port; the host is what the server's certificate must name.
        context: From `make_client_context`.
        keyboard: The descriptor that lines are read from.
        screen: Where the server's text is written.
    Returns: Whether the server accepted the user; a refusal is one line that says so.
    Raises:
        OperatorError: There is no connection, or the server is not the expected one.
    """
    connection, keys = await _connect(address, context), Keyboard(keyboard)
    _offer_terminal(connection, keys)
    typing = asyncio.get_running_loop().create_task(_send(_read_chunks(keyboard), connection, keys))
    first = b""
    try:
        while True:
            data = await connection.read(_READ_BYTES)
            if not data:
                return not first.startswith(REFUSED)
            first = first or data
            screen.write(data)
            screen.flush()
    except (ConnectionError, ssl.SSLError) as error:
        raise OperatorError(f"the connection broke: {error}; connect again") from error
    finally:
        keys.set_raw(wanted=False)
        typing.cancel()


def _offer_terminal(connection: NvtConnection, keys: Keyboard) -> None:
    """Answer a server that asks about the terminal, report size changes, and pass on keys while the server echoes."""
    connection.offer_terminal(lambda: keys.kind, keys.size)
    connection.on_echo(lambda wanted: keys.set_raw(wanted=wanted))
    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: connection.send_window(*keys.size()))


async def _connect(address: tuple[str, int], context: ssl.SSLContext) -> NvtConnection:
    host, port = address
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await open_nvt_connection(host, port, context=context)
    except ssl.SSLCertVerificationError as error:
        raise OperatorError(f"{host}:{port} is not trusted: {error.verify_message}; check --ca and HOST") from error
    except TimeoutError as error:
        raise OperatorError(
            f"no answer from {host}:{port} within {CONNECT_TIMEOUT_S:.0f} s; check the address"
        ) from error
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError) as error:
        raise OperatorError(
            f"{host}:{port} closed the connection before it identified itself: it may have rejected this address;"
            " try again in a minute, or ask its operator"
        ) from error
    except ssl.SSLError as error:
        raise OperatorError(f"no TLS with {host}:{port}: {error.reason}; check the port") from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise OperatorError(f"cannot connect to {host}:{port}: {why}; is a server running there?") from error


def _read_chunks(keyboard: int) -> "asyncio.Queue[bytes]":
    """Read in a separate thread: a terminal, a pipe and a file are read alike. An empty chunk is the end.

    The thread may still wait for a key when the program ends. It therefore reads the descriptor directly. A reader of
    the standard library holds a lock while it waits, and the interpreter cannot exit without that lock.
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


async def _send(chunks: "asyncio.Queue[bytes]", connection: NvtConnection, keys: Keyboard) -> None:
    chunk = b"\n"
    with contextlib.suppress(ConnectionError):  # the reading end gets this error as well
        while chunk and not connection.is_closing:
            chunk = await chunks.get()
            connection.write(_to_nvt(chunk, is_raw=keys.is_raw, is_binary=connection.is_binary) or END_OF_INPUT)
            await connection.drain()


def _to_nvt(typed: bytes, *, is_raw: bool, is_binary: bool) -> bytes:
    """Return typed bytes in the form of RFC 854: a line ends with CR LF, and a return key alone is CR NUL."""
    if is_raw:
        return typed if is_binary else typed.replace(b"\r", b"\r\x00")
    return typed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
