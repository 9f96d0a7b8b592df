"""RFC 2217: what is requested of a port, and what it answers, whatever the request is."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.kinds.com_port import answer, modem_notification


@dataclass
class Port:
    """A serial port that accepts only the rates that it knows."""

    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1.0
    xonxoff: bool = False
    rtscts: bool = False
    break_condition: bool = False
    dtr: bool = True
    rts: bool = True
    cts: bool = True
    dsr: bool = False
    ri: bool = False
    cd: bool = True
    purged: str = ""
    _baudrate: int = 9600

    @property
    def baudrate(self) -> int:
        return self._baudrate

    @baudrate.setter
    def baudrate(self, wanted: int) -> None:
        if wanted not in {9600, 115200}:
            raise ValueError("not a rate of this port")
        self._baudrate = wanted

    def reset_input_buffer(self) -> None:
        self.purged += "in"

    def reset_output_buffer(self) -> None:
        self.purged += "out"


@pytest.mark.parametrize(
    ("question", "answered"),
    [
        (b"\x00", b"\x64telnetsd"),
        (b"\x01\x00\x01\xc2\x00", b"\x65\x00\x01\xc2\x00"),
        (b"\x01\x00\x00\x00\x00", b"\x65\x00\x00\x25\x80"),
        (b"\x01\x00\x00\x00\x07", b"\x65\x00\x00\x25\x80"),
        (b"\x02\x07", b"\x66\x07"),
        (b"\x02\x09", b"\x66\x08"),
        (b"\x03\x03", b"\x67\x03"),
        (b"\x03\x00", b"\x67\x01"),
        (b"\x04\x02", b"\x68\x02"),
        (b"\x05\x03", b"\x69\x03"),
        (b"\x05\x00", b"\x69\x01"),
        (b"\x05\x05", b"\x69\x05"),
        (b"\x05\x09", b"\x69\x09"),
        (b"\x05\x0a", b"\x69\x0b"),
        (b"\x07", b"\x6b\x90"),
        (b"\x0a\xff", b"\x6e\x00"),
        (b"\x0c\x03", b"\x70\x03"),
        (b"\x63", b""),
        (b"", b""),
    ],
)
def test_a_request_is_answered_with_the_value_that_then_holds(question: bytes, answered: bytes) -> None:
    assert answer(Port(), question, may_change=True) == answered


def test_a_port_without_modem_signals_says_nothing_about_them() -> None:
    class Pty(Port):
        @property
        def cts(self) -> bool:
            raise OSError(25, "Inappropriate ioctl for device")

        @cts.setter
        def cts(self, value: bool) -> None: ...

    assert answer(Pty(), b"\x07", may_change=True) == b""


@pytest.mark.parametrize(
    ("before", "now", "notification"),
    [
        (0x00, 0x10, 0x11),
        (0x10, 0x00, 0x01),
        (0x00, 0x20, 0x22),
        (0x80, 0x00, 0x08),
        (0x00, 0x40, 0x40),
        (0x40, 0x00, 0x04),
        (0xB0, 0xB0, 0xB0),
        (0x00, 0xF0, 0xFB),
    ],
)
def test_a_notification_has_the_state_and_what_has_changed(before: int, now: int, notification: int) -> None:
    assert modem_notification(before, now) == notification


def test_a_watcher_changes_nothing() -> None:
    port = Port()
    for question in (b"\x01\x00\x01\xc2\x00", b"\x02\x07", b"\x03\x02", b"\x05\x05", b"\x05\x09", b"\x0c\x03"):
        answer(port, question, may_change=False)
    assert port == Port()


@pytest.fixture(scope="module")
def pty_port() -> Iterator[serial.Serial]:
    """A port without DTR and RTS, as real ones may be."""
    ours, theirs = os.openpty()
    with serial.Serial(os.ttyname(theirs)) as port:
        yield port
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("question", [b"\x05\x08", b"\x05\x09", b"\x05\x0b", b"\x05\x0c"])
def test_a_port_without_dtr_and_rts_reports_them_as_on(pty_port: serial.Serial, question: bytes) -> None:
    on = b"\x08" if question[1] <= 9 else b"\x0b"
    assert answer(pty_port, question, may_change=True) == b"\x69" + on


def test_an_unplugged_port_is_answered_for_with_its_last_values() -> None:
    ours, theirs = os.openpty()
    with serial.Serial(os.ttyname(theirs)) as port:
        os.close(ours)
        os.close(theirs)
        assert answer(port, b"\x01\x00\x01\xc2\x00", may_change=True) == b"\x65\x00\x00\x25\x80"
        assert answer(port, b"\x0c\x03", may_change=True) == b"\x70\x03"


@given(st.binary(max_size=64))
def test_any_request_is_answered_in_bytes_that_match_the_port(pty_port: serial.Serial, question: bytes) -> None:
    answered = answer(pty_port, question, may_change=True)
    if answered[:1] == b"\x65":
        assert int.from_bytes(answered[1:], "big") == pty_port.baudrate
    assert not answered or answered[0] == question[0] + 100
    assert pty_port.parity in "NOEMS"
