"""Lines to the serial port of another server: it is set up by RFC 2217, and every byte passes."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from support.lines import OpenTerminal, line
from support.rfc2217_server import PortServer
from support.server import RunningServer, wait_until
from support.upstreams import Upstream


@pytest.fixture
def server_of_port() -> Iterator[PortServer]:
    one = PortServer()
    yield one
    one.close()


def test_the_port_is_set_up_and_bytes_pass_both_ways(
    start: Callable[..., RunningServer], server_of_port: PortServer, terminal: OpenTerminal
) -> None:
    target = f"rfc2217://127.0.0.1:{server_of_port.port}?baud=115200&stop=2&flow=xonxoff"
    bob = terminal(start(line("a", target)), "bob")

    bob.connect("a")

    port = server_of_port.settings
    assert (port.baudrate, port.stopbits, port.xonxoff) == (115200, 2, True)
    os.write(server_of_port.device, b"login: \xff")
    assert bob.until(b"login: \xff\xff").endswith(b"login: \xff\xff")
    bob.send(b"root\r")
    wait_until(lambda: os.read(server_of_port.device, 100) == b"root\r", "what bob typed")


def test_break_is_passed_on(
    start: Callable[..., RunningServer], server_of_port: PortServer, terminal: OpenTerminal
) -> None:
    bob = terminal(start(line("a", f"rfc2217://127.0.0.1:{server_of_port.port}?break_s=0.5")), "bob")
    bob.connect("a")

    bob.send(b"\r~#")

    wait_until(lambda: True in server_of_port.breaks, "the beginning of a BREAK")
    wait_until(lambda: server_of_port.breaks[-1] is False, "its end")


def test_a_server_without_a_serial_port_is_reported_in_words(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream(socket.socket.close) as upstream:
        bob = terminal(start(line("a", f"rfc2217://127.0.0.1:{upstream.port}")), "bob")

        refusal = bob.ask("a")

    assert "a cannot be reached: " in refusal


def test_a_setting_that_the_port_does_not_accept_is_reported_in_words(
    start: Callable[..., RunningServer],
    server_of_port: PortServer,
    terminal: OpenTerminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: object, value: int) -> None:
        if value == 7:
            raise ValueError(value)

    monkeypatch.setattr(type(server_of_port.settings), "bytesize", property(lambda _: 8, refuse))
    bob = terminal(start(line("a", f"rfc2217://127.0.0.1:{server_of_port.port}?bits=7")), "bob")

    assert "a cannot be reached: the port does not accept bits=7" in bob.ask("a")
