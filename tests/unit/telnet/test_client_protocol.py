"""What the client's end of a telnet connection does when its server behaves badly."""

import asyncio
import socket

from telnetsd.telnet.client_protocol import _Client


async def test_a_server_that_closes_the_connection_at_once_causes_no_error() -> None:
    ours, servers = socket.socketpair()
    transport, client = await asyncio.get_running_loop().create_connection(lambda: _Client(encoding=False), sock=ours)
    servers.close()
    await client.waiter_closed

    client.begin_negotiation()  # telnetlib3 calls this in a later turn than that of the connection

    assert transport.is_closing()
