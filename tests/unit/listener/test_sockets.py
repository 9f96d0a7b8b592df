"""The listening socket, and why it may be unavailable."""

import os
import socket
from pathlib import Path

import pytest

from telnetsd.errors import OperatorError
from telnetsd.listener import sockets
from telnetsd.listener.sockets import open_listener, shown_address, who_listens


def test_prompts_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only where the protocol number of the socket is that of TCP."""
    with open_listener("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        assert not listening.getblocking()


def test_ipv6_addresses_can_be_listened_on() -> None:
    with open_listener("::1", 0) as listening:
        assert shown_address(listening.getsockname()).startswith("[::1]:")


def test_a_port_in_use_is_reported_with_the_process_that_holds_it() -> None:
    with open_listener("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert f"(process {os.getpid()})" in who_listens(port)
        with pytest.raises(OperatorError, match=rf"the port is in use by .* \(process {os.getpid()}\)"):
            open_listener("127.0.0.1", port)


def test_an_invisible_holder_of_a_port_is_reported_as_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_listening_inodes", lambda *_: [])
    listening = open_listener("127.0.0.1", 0)
    with listening, pytest.raises(OperatorError, match="the port is in use by another program; stop it"):
        open_listener("127.0.0.1", listening.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(OperatorError, match=f"cannot listen on {host}:1: .*; check the listen address"):
        open_listener(host, 1)


def test_a_missing_proc_is_not_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert sockets._listening_inodes(tmp_path / "tcp", 1) == []


def test_silent_peers_are_probed_and_given_up() -> None:
    with (
        sockets.open_endpoint("127.0.0.1:0", 60) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        listening.setblocking(True)
        connection, _ = listening.accept()
        with connection:
            assert client.getpeername() == connection.getsockname()
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [connection.getsockopt(socket.IPPROTO_TCP, one) for one in options] == [60, 15, 4, 120_000]


def test_keepalive_can_be_turned_off() -> None:
    with sockets.open_endpoint("127.0.0.1:0", 0) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
