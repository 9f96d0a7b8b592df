"""The counters of a serial port: a pty has none, so the tests set them at the ioctl."""

import fcntl
import os
import struct
from collections.abc import AsyncIterator

import pytest

from telnetsd.lines.kinds.port_settings import PortSettings
from telnetsd.lines.kinds.serial_port import TIOCGICOUNT, SerialUpstream, open_serial


@pytest.fixture
async def port() -> AsyncIterator[SerialUpstream]:
    ends = os.openpty()
    opened = open_serial(PortSettings(device=os.ttyname(ends[1])))
    yield opened
    await opened.close()
    for end in ends:
        os.close(end)


async def test_overruns_of_the_chip_and_of_the_buffer_are_counted(
    port: SerialUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = [0] * 20
    counters[7], counters[10], counters[9] = 3, 4, 100

    def ioctl(_descriptor: int, request: int, _counters: bytes) -> bytes:
        assert request == TIOCGICOUNT
        return struct.pack("20i", *counters)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "ioctl", ioctl)

        assert port.overruns() == 7


async def test_a_port_without_counters_has_no_overruns(port: SerialUpstream) -> None:
    assert port.overruns() == 0
