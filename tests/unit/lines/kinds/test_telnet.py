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
            transport = upstream._connection._transport
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
