"""Lines to telnet servers, against a loopback server that behaves as no real server should."""

import asyncio
import socket

import pytest
import uvloop

from telnetsd.lines.kinds.telnet import TelnetTarget
from telnetsd.telnet.client_protocol import UNREAD_ANSWERS_MAX_BYTES
from telnetsd.telnet.terminal import Terminal

DO_TTYPE = b"\xff\xfd\x18"
ASK_TTYPE = b"\xff\xfa\x18\x01\xff\xf0"
QUESTIONS = 60_000


async def ask_without_reading() -> int:
    """Return how many bytes of answers wait when every question was asked and no more answers could be sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        upstream = await TelnetTarget(*listener.getsockname()).open(Terminal(), {})
        server = listener.accept()[0]
        with server:
            transport = upstream._connection.transport
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            server.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(server, DO_TTYPE + ASK_TTYPE * QUESTIONS + b"asked")
            assert (await upstream.read()).endswith(b"asked")
            waiting = transport.get_write_buffer_size()
            await upstream.close()
    return waiting


def test_unread_answers_do_not_grow_without_bound(caplog: pytest.LogCaptureFixture) -> None:
    assert uvloop.run(ask_without_reading()) < UNREAD_ANSWERS_MAX_BYTES + 1024
    assert not caplog.records


async def close_amidst(typed: bytes, *, is_read: bool) -> bytes:
    """Type, and close the line; return what the server received, which reads before the close or after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = await TelnetTarget(*listener.getsockname()).open(Terminal(), {})
        server = listener.accept()[0]
        with server:
            server.setblocking(False)
            upstream.write(typed)
            closing = asyncio.ensure_future(upstream.close())
            if not is_read:
                await closing
            received = b""
            while data := await asyncio.get_running_loop().sock_recv(server, 65536):
                received += data
            await closing
            return received


def test_the_last_input_reaches_a_server_that_reads() -> None:
    typed = b"x" * 2**23
    assert uvloop.run(close_amidst(typed, is_read=True)) == typed


def test_a_server_that_does_not_read_keeps_no_connection_open() -> None:
    typed = b"x" * 2**24
    assert len(uvloop.run(close_amidst(typed, is_read=False))) < len(typed)


WILL_ECHO, WONT_ECHO = b"\xff\xfb\x01", b"\xff\xfc\x01"
DO_BINARY, WILL_BINARY = b"\xff\xfd\x00", b"\xff\xfb\x00"


async def converse(said: bytes, typed: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what the user sees of `said`, what the server receives of `typed`, and what is echoed for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = await TelnetTarget(*listener.getsockname()).open(Terminal(), {})
        server = listener.accept()[0]
        with server:
            server.setblocking(False)
            loop, shown = asyncio.get_running_loop(), b""
            for start in range(len(said + b"#")):
                await loop.sock_sendall(server, (said + b"#")[start : start + 1])
            while not shown.endswith(b"#"):
                shown += await upstream.read()
            echo = upstream.local_echo(typed)
            upstream.write(typed)
            await upstream.close()
            received = b""
            while data := await loop.sock_recv(server, 65536):
                received += data
            return shown[:-1], received, echo


@pytest.mark.parametrize(
    ("said", "typed", "expected"),
    [
        (b"a\r\0b\r\nc", b"ls\r", (b"a\rb\r\nc", b"ls\r\n", b"ls\r\n")),
        (b"", b"lx\x7fs\x08\x03\r", (b"", b"lx\x7fs\x08\x03\r\n", b"lx\b \bs\b \b\r\n")),
        (WILL_ECHO, b"ls\r", (b"", b"\xff\xfd\x01ls\r\0", b"")),
        (WILL_ECHO, b"one\r\ntwo\n", (b"", b"\xff\xfd\x01one\r\ntwo\r\n", b"")),
        (WILL_ECHO + WONT_ECHO, b"ls\r", (b"", b"\xff\xfd\x01\xff\xfe\x01ls\r\n", b"ls\r\n")),
        (
            WILL_ECHO + WILL_BINARY + DO_BINARY + b"\r\0\r\n",
            b"\r\r\n\0",
            (b"\r\0\r\n", b"\xff\xfd\x01\xff\xfd\x00\xff\xfb\x00\r\r\n\0", b""),
        ),
    ],
)
def test_line_ends_and_echo_are_those_of_a_network_virtual_terminal(
    said: bytes, typed: bytes, expected: tuple[bytes, bytes, bytes]
) -> None:
    assert uvloop.run(converse(said, typed)) == expected
