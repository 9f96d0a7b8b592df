"""Equipment and clients as they are: line ends, end of input, binary files, serial ports that vanish or block."""

import array
import contextlib
import fcntl
import os
import select
import socket
import ssl
import subprocess
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.command_line import telnetsd
from support.lines import AGREEMENT, CONNECTED, NEGOTIATION, OpenTerminal, Terminal, line
from support.machine import DEADLINE_S
from support.processes import open_files
from support.server import RunningServer, action_of, wait_until
from support.upstreams import Upstream
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

TCGETS2 = 0x802C542A
ACK = b"\x06"
BINARY = bytes(range(256)) * 4 + b"\r\n\r\0\n\r"


class Collector:
    """An upstream that keeps what it receives, and answers when its input ends."""

    def __init__(self, answer: bytes = b"") -> None:
        self.received = b""
        self._answer = answer
        self.upstream = Upstream(self._serve)
        self.target = f"tcp://127.0.0.1:{self.upstream.port}"

    def _serve(self, connection: socket.socket) -> None:
        while data := connection.recv(65536):
            self.received += data
        connection.sendall(self._answer)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector(b"the whole answer\r\n")
    with made.upstream:
        yield made


def connect_in_character_mode(user: Terminal, name: str) -> None:
    user.send(f"connect {name}\r\n".encode())
    user.until(NEGOTIATION)
    user.send(AGREEMENT)
    user.until(CONNECTED)


def test_bytes_pass_unchanged_both_ways_once_binary_is_agreed(
    start: Callable[..., RunningServer], collector: Collector, terminal: OpenTerminal
) -> None:
    bob = terminal(start(line("modem", collector.target)), "bob")
    connect_in_character_mode(bob, "modem")
    data = b"x" + BINARY
    bob.send(data.replace(b"\xff", b"\xff\xff"))
    wait_until(lambda: collector.received == data, "every byte")


@pytest.mark.parametrize(("newline", "sent"), [("", b"\r"), ("cr", b"\r"), ("lf", b"\n"), ("crlf", b"\r\n")])
def test_enter_sends_what_the_line_says_and_a_line_feed_after_it_is_not_swallowed(
    newline: str, sent: bytes, start: Callable[..., RunningServer], collector: Collector, terminal: OpenTerminal
) -> None:
    bob = terminal(start(line("a", collector.target, newline=newline)), "bob")
    connect_in_character_mode(bob, "a")
    bob.send(b"one\r")
    wait_until(lambda: collector.received == b"one" + sent, "the Enter key")
    bob.send(b"\n")
    wait_until(lambda: collector.received == b"one" + sent + b"\n", "the line feed")


def socat(server: RunningServer, typed: bytes, seconds: float = DEADLINE_S) -> bytes:
    """Run a real client that closes its sending direction when its input ends, and return what it shows."""
    files = user_files(server.home, "bob")
    options = f"cafile={server.home.ca_certificate},cert={files.certificate},key={files.key}"
    command = ["socat", f"-t{seconds:.0f}", "-", f"OPENSSL:localhost:{server.port},{options}"]
    done = subprocess.run(command, input=typed, capture_output=True, check=True, timeout=2 * DEADLINE_S)
    return done.stdout


def test_a_client_that_ends_its_input_is_shown_the_rest_of_the_answer(
    start: Callable[..., RunningServer], collector: Collector
) -> None:
    server = start(line("a", collector.target))
    shown = socat(server, b"connect a\nshow\n")
    assert shown.endswith(b"the whole answer\r\n\r\n*** a has closed\r\nbob> ")
    assert collector.received == b"show\n"
    ended = server.wait_for(lambda event: action_of(event) == "line-disconnected")
    assert ended["event"]["reason"] == "upstream-closed"


def test_the_end_of_input_ends_a_program_that_reads_lines(start: Callable[..., RunningServer]) -> None:
    server = start(line("sorter", "exec:sort"))
    assert b"a\r\nb\r\n\r\n*** sorter has closed" in socat(server, b"connect sorter\nb\na\n")


def test_a_silent_line_is_left_when_the_input_has_ended(start: Callable[..., RunningServer]) -> None:
    with Upstream() as upstream:
        server = start(line("a", f"tcp://127.0.0.1:{upstream.port}", linger_s=0.2, keep_open=True))
        server.wait_for(lambda event: action_of(event) == "line-up")
        assert b"SHOW\n" in socat(server, b"connect a\nshow\n")
        ended = server.wait_for(lambda event: action_of(event) == "line-disconnected")
        assert ended["event"]["reason"] == "session-ended"
        assert not upstream.closed.acquire(timeout=0), "other sessions still type on a kept-open line"


def test_what_follows_the_escape_in_pasted_text_goes_to_the_prompt_as_it_came(
    start: Callable[..., RunningServer], collector: Collector, terminal: OpenTerminal
) -> None:
    bob = terminal(start(line("a", collector.target)), "bob")
    connect_in_character_mode(bob, "a")
    bob.send(b"show\r~.echo ~?~.\recho two\r")
    shown = bob.until(b"two\r\nbob> ")
    assert b"\r\n*** left a\r\n" in shown
    assert shown.endswith(b"~?~.\r\nbob> two\r\nbob> ")


def test_the_help_of_a_line_has_no_empty_lines(
    start: Callable[..., RunningServer], collector: Collector, terminal: OpenTerminal
) -> None:
    bob = terminal(start(line("a", collector.target)), "bob")
    bob.connect("a")
    bob.send(b"~?")
    assert bob.until(b"~?  this help\r\n").startswith(b"\r\n*** ~.  leave the line\r\n*** ~#  send BREAK\r\n*** ")


def test_a_user_takes_a_line_over_from_their_own_dead_session_and_from_no_other(
    start: Callable[..., RunningServer], collector: Collector, terminal: OpenTerminal
) -> None:
    server = start(line("a", collector.target))
    dead, bob, ed = terminal(server, "bob"), terminal(server, "bob"), terminal(server, "ed")
    dead.connect("a")
    refused = "a is in use by bob; an operator may take it over: connect --force a, or a user their own"
    assert ed.ask("--force a") == refused
    denied = server.wait_for(lambda event: action_of(event) == "command-failed")
    assert denied["event"]["reason"] == "line-in-use"
    bob.connect("--force a")
    dead.until(b"*** bob has taken over a\r\nbob> ")
    connected = [one["event"]["reason"] for one in server.events() if action_of(one) == "line-connected"]
    assert connected == ["writing", "taken-over"]


@pytest.fixture
def serial_pair() -> Iterator[tuple[int, str]]:
    """Our end of a pty, and the path of the one that is a serial port to the server."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield ours, os.ttyname(theirs)
    for descriptor in (ours, theirs):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def speed_of(device: str) -> int:
    """Return the speed of a terminal device, whatever it is: `struct termios2` of Linux has it as a number."""
    settings = array.array("i", [0] * 64)
    descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.ioctl(descriptor, TCGETS2, settings)
    finally:
        os.close(descriptor)
    return settings[9]


@pytest.mark.parametrize("baud", [74880, 250000, 1500000, 115200])
def test_a_serial_port_is_opened_with_any_speed_and_the_configured_flow_control(
    baud: int, start: Callable[..., RunningServer], serial_pair: tuple[int, str], terminal: OpenTerminal
) -> None:
    ours, device = serial_pair
    bob = terminal(start(line("a", f"serial://{device}?baud={baud}&flow=xonxoff&break_s=0.01")), "bob")
    bob.connect("a")
    assert speed_of(device) == baud
    done = subprocess.run(["stty", "-F", device, "-a"], capture_output=True, text=True, check=True)
    assert {"ixon", "ixoff", "-crtscts"} <= set(done.stdout.split())
    bob.send(b"\r~#hello")
    wait_until(lambda: os.read(ours, 100).endswith(b"hello"), "what was typed after BREAK")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("baud=10", "not a baud rate: '10'; write a number from 50 to 4000000"),
        ("flow=both", "flow is 'both'; write one of none, rtscts, xonxoff, dsrdtr"),
        ("dtr=1", "dtr is '1'; write one of on, off"),
        ("break_s=0", "break_s is '0'; write seconds, more than 0 and at most 10"),
        ("speed=9600", "unknown option 'speed'; known: baud, bits, parity, stop, flow, dtr, rts, break_s"),
    ],
)
def test_an_unknown_setting_of_a_serial_port_is_refused_by_name(options: str, said: str, home: Home) -> None:
    home.config_file.write_text(line("a", f"serial:///dev/ttyS0?{options}"))
    assert said in telnetsd(home, "check").stdout


def test_a_serial_device_that_takes_nothing_leaves_no_descriptor_open(
    start: Callable[..., RunningServer], serial_pair: tuple[int, str], terminal: OpenTerminal
) -> None:
    _, device = serial_pair
    server = start(line("a", f"serial://{device}"))
    bob, ed = terminal(server, "bob"), terminal(server, "ed")
    for _ in range(3):
        bob.connect("a")
        bob.send(b"x" * 60_000)
        bob.client.tls.close()
        wait_until(lambda: "a  serial  free" in ed.client.command("lines"), "the end of the line")
        wait_until(lambda: device not in open_files(server.process.pid), "the end of the port")
        bob = terminal(server, "bob")
    assert server.stop() == ""


def test_an_unplugged_device_is_reported_in_words(
    start: Callable[..., RunningServer], serial_pair: tuple[int, str], terminal: OpenTerminal
) -> None:
    ours, device = serial_pair
    bob = terminal(start(line("a", f"serial://{device}")), "bob")
    bob.connect("a")
    os.write(ours, b"here")
    bob.until(b"here")
    os.close(ours)
    bob.until(b"*** a is lost: the device is gone\r\n")


def test_a_file_crosses_a_serial_line_unchanged(
    start: Callable[..., RunningServer], serial_pair: tuple[int, str], terminal: OpenTerminal, tmp_path: Path
) -> None:
    ours, device = serial_pair
    bob = terminal(start(line("a", f"serial://{device}?baud=115200")), "bob")
    connect_in_character_mode(bob, "a")
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(BINARY * 20)
    with (
        subprocess.Popen(
            ["rx", "--binary", received.name], stdin=ours, stdout=ours, stderr=subprocess.DEVNULL, cwd=tmp_path
        ) as rx,
        subprocess.Popen(
            ["sx", "--binary", str(sent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as sx,
    ):
        relay(bob, sx, while_runs=rx)
        if sx.stdin is not None and sx.poll() is None:
            # rx sets the port back as it was when it ends, which may discard its last acknowledgement.
            with contextlib.suppress(BrokenPipeError):
                sx.stdin.write(ACK)
                sx.stdin.flush()
        assert (sx.wait(DEADLINE_S), rx.wait(DEADLINE_S)) == (0, 0)
    # XMODEM pads the last block.
    assert received.read_bytes().rstrip(b"\x1a") == sent.read_bytes().rstrip(b"\x1a")


def relay(user: Terminal, program: "subprocess.Popen[bytes]", *, while_runs: "subprocess.Popen[bytes]") -> None:
    """Connect a program to a user's client on a line, which agreed on BINARY, until one of two programs ends."""
    assert program.stdin is not None
    assert program.stdout is not None
    tls, stdin = user.client.tls, program.stdin
    os.set_blocking(program.stdout.fileno(), False)
    tls.setblocking(False)
    stdin.write(user.client.received)
    stdin.flush()
    while program.poll() is None and while_runs.poll() is None:
        select.select([tls.fileno(), program.stdout.fileno()], [], [], 0.1)
        with contextlib.suppress(ssl.SSLWantReadError, BrokenPipeError):
            stdin.write(tls.recv(65536).replace(b"\xff\xff", b"\xff"))
            stdin.flush()
        tls.setblocking(True)
        tls.sendall((program.stdout.read() or b"").replace(b"\xff", b"\xff\xff"))
        tls.setblocking(False)
