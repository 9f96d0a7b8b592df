"""Direct access to a line, by its own port or by a requested server name: a bare console for old tools."""

import os
import socket
import ssl
import subprocess
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from support.audit import read_log
from support.client import Client, client_context
from support.lines import line
from support.machine import DEADLINE_S
from support.rsyslog import free_port
from support.server import RunningServer, action_of, is_from, wait_until
from support.upstreams import Upstream
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

NAME = "switch-1.lines.example"


def credentials(home: Home, user: str | None) -> tuple[Path, Path] | None:
    files = user_files(home, user) if user else None
    return (files.certificate, files.key) if files else None


class NamedClient(Client):
    """A client that requests a server name of its own."""

    def __init__(self, port: int, home: Home, user: str | None, name: str) -> None:
        context = client_context(home.ca_certificate, credentials(home, user))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.port = raw.getsockname()[1]
        self.tls = context.wrap_socket(raw, server_hostname=name)
        self.received = b""


@pytest.fixture(params=["listen", "server_name"])
def straight(
    request: pytest.FixtureRequest, start: Callable[..., RunningServer], home: Home
) -> Callable[[Upstream, str | None], Client]:
    """Start a server with a line, and return a function that connects a client directly to it."""

    def connect(upstream: Upstream, user: str | None) -> Client:
        port = free_port()
        where = {"listen": f"127.0.0.1:{port}"} if request.param == "listen" else {"server_name": NAME}
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", **where))
        if request.param == "listen":
            return Client(port, home.ca_certificate, credentials(home, user))
        return NamedClient(server.port, home, user, NAME.upper())

    return connect


def test_direct_access_shows_only_what_the_line_shows(
    straight: Callable[[Upstream, str | None], Client], home: Home
) -> None:
    with Upstream() as upstream, straight(upstream, "bob") as client:
        assert client.read_until(b"# ") == "switch-1 console\r\n# "
        client.send(b"~.show\r\n\x00~?\n")
        assert client.read_until(b"~?\n") == "~.SHOW\r\n\x00~?\n"
        client.tls.close()
        assert upstream.closed.acquire(timeout=DEADLINE_S)


def test_direct_access_ends_with_the_line_and_the_log_has_the_whole_story(
    straight: Callable[[Upstream, str | None], Client], home: Home
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"bye\r\n")

    with Upstream(serve) as upstream, straight(upstream, "bob") as client:
        assert client.read_to_end() == "bye\r\n"

        def is_over() -> list[str]:
            return [action_of(one) for one in read_log(home.audit_file) if is_from(one, client.port)]

        wait_until(lambda: "session-ended" in is_over(), "the end")
        assert is_over() == [
            "session-started",
            "command-executed",
            "line-connected",
            "line-disconnected",
            "session-ended",
        ]
    ended = [one for one in read_log(home.audit_file) if action_of(one) == "session-ended"]
    assert ended[-1]["event"]["reason"] == "line-ended"


def test_a_client_without_access_reads_only_the_reason(straight: Callable[[Upstream, str | None], Client]) -> None:
    with Upstream() as upstream, straight(upstream, None) as client:
        said = client.read_to_end()
        assert said.startswith("permission denied: `connect` requires the role user or operator; you are a guest")


def test_a_script_with_openssl_sees_a_bare_console(start: Callable[..., RunningServer], home: Home) -> None:
    port, files = free_port(), user_files(home, "bob")
    with Upstream() as upstream:
        start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", listen=f"127.0.0.1:{port}"))
        command = ["openssl", "s_client", "-quiet", "-verify_quiet", "-CAfile", str(home.ca_certificate)]
        command += ["-connect", f"localhost:{port}", "-cert", str(files.certificate), "-key", str(files.key)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stdout.readline() == b"switch-1 console\r\n"
            client.stdin.write(b"show\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"# SHOW\n"
            client.kill()


@pytest.fixture
def serial_pair() -> Iterator[tuple[int, int]]:
    """Our end of a pty, and the one that is a serial port to the server."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's client, in its own code
def test_an_rfc_2217_client_controls_a_serial_port(
    start: Callable[..., RunningServer], home: Home, serial_pair: tuple[int, int]
) -> None:
    (ours, theirs), port, plain, files = serial_pair, free_port(), free_port(), user_files(home, "bob")
    start(line("console", f"serial://{os.ttyname(theirs)}?baud=9600", listen=f"127.0.0.1:{port}"))
    # The client has no TLS: socat provides it, with bob's certificate.
    options = f"cafile={home.ca_certificate},cert={files.certificate},key={files.key}"
    relay = subprocess.Popen(
        ["socat", f"TCP-LISTEN:{plain},bind=127.0.0.1,reuseaddr", f"OPENSSL:localhost:{port},{options}"]
    )
    wait_until(lambda: f"0100007F:{plain:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text(), "socat")
    try:
        with serial.serial_for_url(f"rfc2217://127.0.0.1:{plain}", baudrate=19200, timeout=DEADLINE_S) as client:
            assert termios.tcgetattr(theirs)[4] == termios.B19200
            client.baudrate = 115200
            assert termios.tcgetattr(theirs)[4] == termios.B115200
            client.stopbits = 2
            assert termios.tcgetattr(theirs)[2] & termios.CSTOPB
            everything = bytes(range(256))
            client.write(everything)
            assert read_exactly(ours, 256) == everything
            os.write(ours, everything)
            assert client.read(256) == everything
    finally:
        relay.terminate()
        relay.wait(DEADLINE_S)


def read_exactly(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += os.read(descriptor, count - len(data))
    return data
