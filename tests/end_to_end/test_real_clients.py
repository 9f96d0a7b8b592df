"""Every client that the README names, as itself: its user is alice on the screen and on the audit log."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server import DEADLINE_S, RunningServer, action_of, get
from telnetsd.administration.users import user_files
from telnetsd.home import Home


def openssl(home: Home, port: int) -> list[str]:
    files = user_files(home, "alice")
    shown = ["-cert", str(files.certificate), "-key", str(files.key), "-CAfile", str(home.ca_certificate)]
    return ["openssl", "s_client", "-quiet", "-verify_return_error", "-connect", f"127.0.0.1:{port}", *shown]


def ncat(home: Home, port: int) -> list[str]:
    files = user_files(home, "alice")
    shown = ["--ssl-cert", str(files.certificate), "--ssl-key", str(files.key)]
    return ["ncat", "--ssl-verify", "--ssl-trustfile", str(home.ca_certificate), *shown, "localhost", str(port)]


def socat(home: Home, port: int) -> list[str]:
    files = user_files(home, "alice")
    shown = f"cert={files.certificate},key={files.key},cafile={home.ca_certificate}"
    return ["socat", "-t", "10", "-", f"OPENSSL:localhost:{port},{shown}"]


def gnutls(home: Home, port: int) -> list[str]:
    files = user_files(home, "alice")
    shown = ["--x509certfile", str(files.certificate), "--x509keyfile", str(files.key)]
    return ["gnutls-cli", "--port", str(port), "--x509cafile", str(home.ca_certificate), *shown, "localhost"]


def telnetsd(home: Home, port: int) -> list[str]:
    command = [sys.executable, "-m", "telnetsd", "--home", str(home.root), "connect", f"localhost:{port}"]
    return [*command, "--user", "alice"]


def telnet_ssl(home: Home, port: int) -> list[str]:
    files = user_files(home, "alice")
    shown = ["-z", f"cert={files.certificate}", "-z", f"key={files.key}", "-z", f"cacert={home.ca_certificate}"]
    return ["telnet-ssl", "-z", "ssl", "-z", "secure", *shown, "localhost", str(port)]


CLIENTS = [openssl, ncat, socat, gnutls, telnetsd, telnet_ssl]


class Terminal:
    """A program on a real pseudo-terminal, as a person has it."""

    def __init__(self, command: list[str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.screen = b""

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def wait_for(self, pattern: bytes) -> bytes:
        """Return what stands on the screen up to the pattern, and forget it."""
        deadline = time.monotonic() + DEADLINE_S
        while (match := re.search(pattern, self.screen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} did not come; the screen shows {self.screen!r}"
            if select.select([self._master], [], [], left)[0]:
                self.screen += self._read()
        shown, self.screen = self.screen[: match.end()], self.screen[match.end() :]
        # A terminal that is not in raw mode puts a CR of its own before each LF.
        return shown.replace(b"\r\r\n", b"\r\n")

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except OSError as error:
            raise AssertionError(f"the program has ended; the screen shows {self.screen!r}") from error

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_alice_logs_in_works_and_leaves_at_a_terminal(
    client: Callable[[Home, int], list[str]], server: RunningServer
) -> None:
    terminal = Terminal(client(server.home, server.port))
    try:
        terminal.wait_for(rb"you are alice \(operator\)")
        terminal.wait_for(rb"alice> ")
        terminal.type(b"whoami\n")
        shown = terminal.wait_for(rb"alice> ")
        assert b"user         alice\r\n" in shown
        (session,) = re.findall(rb"session      ([0-9a-f-]{36})", shown)
        terminal.type(b"echo one two\n")
        assert b"\none two\r\n" in terminal.wait_for(rb"alice> ")
        terminal.type(b"quit\n")
        terminal.wait_for(rb"goodbye")
        if client is ncat:
            # ncat takes a closed connection for half closed, and stays until its input ends.
            terminal.type(b"\x04")
        status = terminal.process.wait(DEADLINE_S)
        assert status == 0 or client is not telnetsd
    finally:
        terminal.close()
    _assert_the_log_tells_of_alice(server, session.decode(), ["whoami", "echo one two", "quit"])


@pytest.mark.parametrize("client", [openssl, ncat, socat, gnutls, telnetsd], ids=lambda client: client.__name__)
def test_a_script_pipes_its_lines_in_and_reads_every_answer(
    client: Callable[[Home, int], list[str]], server: RunningServer
) -> None:
    done = subprocess.run(
        client(server.home, server.port),
        input=b"whoami\necho the last words\nquit\n",
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert b"the last words\r\n" in done.stdout
    assert b"goodbye\r\n" in done.stdout
    (session,) = re.findall(rb"session      ([0-9a-f-]{36})", done.stdout)
    _assert_the_log_tells_of_alice(server, session.decode(), ["whoami", "echo the last words", "quit"])


def _assert_the_log_tells_of_alice(server: RunningServer, session: str, lines: list[str]) -> None:
    def is_end(event: dict[str, object]) -> bool:
        return get(event, "telnetsd.session.id") == session and action_of(event) == "session-ended"

    assert server.wait_for(is_end)["event"]["reason"] == "quit"
    story = [event for event in server.events() if get(event, "telnetsd.session.id") == session]
    assert {get(event, "user.name") for event in story} == {"alice"}
    assert action_of(story[0]) == "session-started"
    told = [get(event, "telnetsd.command.line") for event in story if action_of(event) == "command-executed"]
    assert told == lines


def test_connect_ends_with_the_input_and_shows_what_came_before(server: RunningServer) -> None:
    done = subprocess.run(
        telnetsd(server.home, server.port), input=b"date\n", capture_output=True, check=True, timeout=DEADLINE_S
    )
    assert re.search(rb"alice> \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\r\nalice> goodbye\r\n$", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["127.1:{port}"], "127.1:{port} is not to be trusted: "),
        (["localhost:{port}", "--ca", "{other}"], "localhost:{port} is not to be trusted: "),
        (["localhost:1"], "cannot connect to localhost:1: "),
        (["localhost:{port}", "--user", "nobody"], "no key of nobody at certs/users/nobody.key"),
        (["localhost:{port}", "--ca", "/nonexistent"], "cannot read the CA /nonexistent: "),
        (["localhost:{port}", "--cert", "{other}", "--key", "{other}"], "cannot use {other}, {other}: "),
        (["localhost:port"], "not an address: 'localhost:port'; write HOST:PORT"),
    ],
)
def test_connect_says_in_one_line_why_it_cannot(
    arguments: list[str], words: str, start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    from support.certificates import make_ca

    other, _ = make_ca("Other").save(tmp_path, "other")
    running = start()
    filled = [one.format(port=running.port, other=other) for one in arguments]
    command = [sys.executable, "-m", "telnetsd", "connect", *filled, "--home", str(running.home.root)]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    said = done.stderr.decode()
    assert said.startswith("error: " + words.format(port=running.port, other=other))
    assert said.count("\n") == 1
