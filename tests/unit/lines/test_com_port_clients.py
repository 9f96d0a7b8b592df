"""Clients that control a serial port are told when its modem signals change, as RFC 2217 says."""

import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from typing import cast

import pytest
import serial

from telnetsd.lines.com_port_clients import ComPortClients
from telnetsd.lines.kinds.com_port import answer
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.participants import Participant

CTS, CD = termios.TIOCM_CTS, termios.TIOCM_CD
QUERY, MASK = b"\x07", b"\x0b"


class Client:
    """A participant that keeps what it is told of the port."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def tell_com_port(self, said: bytes) -> None:
        self.told.append(said)


class SerialLine:
    """A real port, a pty, whose modem signals come from the ioctl that the test sets: a pty has none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signals: int | None = CTS
        self._ends = os.openpty()
        self._port = serial.Serial(os.ttyname(self._ends[1]))
        self.clients = ComPortClients()
        real = fcntl.ioctl

        def ioctl(descriptor: int, request: int, *rest: object) -> object:
            if request != termios.TIOCMGET:
                return real(descriptor, request, *rest)  # type: ignore[call-overload]
            if self.signals is None:
                raise OSError(25, "Inappropriate ioctl for device")
            return struct.pack("I", self.signals)

        monkeypatch.setattr("serial.serialposix.fcntl.ioctl", ioctl)

    def com_port(self, question: bytes, *, may_change: bool) -> bytes | None:
        return answer(self._port, question, may_change=may_change)

    def ask(self, client: Client, question: bytes) -> None:
        self.clients.ask(cast("Participant", client), question, cast("Upstream", self), may_change=True)

    def check(self) -> None:
        self.clients.check_signals(cast("Upstream", self))

    def close(self) -> None:
        self._port.close()
        for end in self._ends:
            os.close(end)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[SerialLine]:
    one = SerialLine(monkeypatch)
    yield one
    one.close()


def test_a_client_is_told_of_a_change_once(line: SerialLine) -> None:
    client = Client()
    line.ask(client, b"\x00")
    line.signals = CTS | CD

    line.check()
    line.check()

    assert client.told == [b"\x64telnetsd", b"\x6b\x98"]


def test_a_client_can_ask_for_the_state(line: SerialLine) -> None:
    client = Client()

    line.ask(client, QUERY)

    assert client.told == [b"\x6b\x10"]


def test_a_client_is_told_only_of_the_signals_that_its_mask_has(line: SerialLine) -> None:
    masked, other = Client(), Client()
    line.ask(masked, MASK + b"\x10")
    line.ask(other, MASK + b"\xff")
    line.signals = CTS | CD
    line.check()
    line.signals = CD

    line.check()

    assert masked.told == [b"\x6f\x10", b"\x6b\x98"]
    assert other.told == [b"\x6f\xff", b"\x6b\x98", b"\x6b\x81"]


def test_a_port_without_modem_signals_reports_none(line: SerialLine) -> None:
    line.signals = None
    client = Client()

    line.ask(client, MASK + b"\xff")
    line.ask(client, QUERY)
    line.check()

    assert client.told == [b"\x6f\x00"]


def test_a_client_that_has_asked_nothing_or_has_left_is_told_nothing(line: SerialLine) -> None:
    client = Client()
    line.ask(client, b"\x00")
    line.clients.forget(cast("Participant", client))
    line.signals = 0

    line.check()

    assert client.told == [b"\x64telnetsd"]
