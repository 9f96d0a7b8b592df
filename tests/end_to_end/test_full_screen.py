"""The purpose of lines: full-screen programs and real telnet servers, with real clients at a real terminal."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.lines import OpenTerminal, line
from support.machine import DEADLINE_S
from support.rsyslog import free_port
from support.server import RunningServer, wait_until
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured


class Tmux:
    """A terminal of 80 columns and 24 rows that a test can type to, look at, and resize."""

    def __init__(self, folder: Path) -> None:
        self._command = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [*self._command, "new-session", "-d", "-s", "t", "-x", "80", "-y", "24", "sh"],
            check=True,
            env=environment,
        )

    def run(self, *words: str) -> str:
        done = subprocess.run([*self._command, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def type(self, *keys: str) -> None:
        self.run("send-keys", "-t", "t", *keys)

    def screen(self) -> str:
        return self.run("capture-pane", "-p", "-t", "t")

    def wait_for(self, text: str) -> None:
        try:
            wait_until(lambda: text in self.screen(), text)
        except AssertionError:
            raise AssertionError(f"{text!r} is not on the screen:\n{self.screen()}") from None

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.run("kill-server")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    terminal = Tmux(tmp_path)
    yield terminal
    terminal.close()


def telnet_ssl(server: RunningServer, user: str) -> str:
    files, home = user_files(server.home, user), server.home
    options = [f"cert={files.certificate}", f"key={files.key}", f"cacert={home.ca_certificate}"]
    words = ["telnet-ssl", "-z", "ssl", "-z", "secure", *(word for one in options for word in ("-z", one))]
    return shlex.join([*words, "localhost", str(server.port)])


def test_vim_through_telnet_ssl_uses_the_whole_screen_and_follows_a_resize(
    start: Callable[..., RunningServer], home: Home, tmux: Tmux, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("first line\nsecond line\n")
    server = start(line("editor", f"exec:vim -u NONE -N -c 'set noswapfile ruler' {text}"))
    tmux.type(telnet_ssl(server, "alice"), "Enter")
    tmux.wait_for("alice>")
    tmux.type("connect editor", "Enter")
    tmux.wait_for("1,1           All")
    assert tmux.screen().splitlines()[2].startswith("~")
    assert "All" in tmux.screen().splitlines()[23]
    tmux.run("resize-window", "-t", "t", "-x", "100", "-y", "30")
    wait_until(
        lambda: len(tmux.screen().splitlines()) == 30 and "All" in tmux.screen().splitlines()[29], "the resize"
    )
    tmux.type("j", "A", " and more", "Escape")
    tmux.wait_for("second line and more")
    tmux.type(":wq", "Enter")
    tmux.wait_for("*** editor has closed\nalice>")
    assert text.read_text() == "first line\nsecond line and more\n"
    # After the line, the client edits and echoes its lines again.
    tmux.type("echo lines again", "Enter")
    tmux.wait_for("alice> echo lines again\nlines again")
    tmux.type("quit", "Enter")
    tmux.wait_for("goodbye")


# telnetd does not wait for the size of the screen before it starts its login.
LOGIN = """#!/bin/sh
while [ "$(stty size)" = "0 0" ]; do sleep 0.05; done
stty -a | head -1
echo "term $TERM"
printf "name: "
read name
echo "hello $name"
cat
"""


@pytest.fixture
def telnetd(tmp_path: Path) -> Iterator[int]:
    """Debian's telnet server without TLS, on loopback, with the test's own login program; yields its port."""
    login = tmp_path / "login.sh"
    login.write_text(LOGIN)
    login.chmod(0o755)
    port = free_port()
    listen, serve = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", f"EXEC:/usr/sbin/in.telnetd -L {login},nofork"
    server = subprocess.Popen(["socat", listen, serve], stderr=subprocess.DEVNULL)
    wait_until(lambda: f"0100007F:{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text(), "socat")
    yield port
    server.terminate()
    server.wait(DEADLINE_S)


def test_a_real_telnet_server_gets_the_users_terminal_type_and_size(
    start: Callable[..., RunningServer], telnetd: int, tmux: Tmux
) -> None:
    server = start(line("old-box", f"telnet://127.0.0.1:{telnetd}"))
    tmux.type(telnet_ssl(server, "alice"), "Enter")
    tmux.wait_for("alice>")
    tmux.type("connect old-box", "Enter")
    tmux.wait_for("name:")
    assert "rows 24; columns 80" in tmux.screen()
    assert re.search(r"^term (xterm|tmux|screen)", tmux.screen(), re.MULTILINE)
    tmux.type("world", "Enter")
    tmux.wait_for("name: world\nhello world")
    tmux.type("Enter", "~", ".")
    tmux.wait_for("alice>")


def test_a_raw_client_can_use_a_real_telnet_server(
    start: Callable[..., RunningServer], telnetd: int, terminal: OpenTerminal
) -> None:
    server = start(line("old-box", f"telnet://127.0.0.1:{telnetd}"))
    bob = terminal(server, "bob")
    bob.connect("old-box")
    bob.until(b"name: ")
    bob.send(b"world\r")
    bob.until(b"hello world\r\n")
    bob.send(b"\xff\xff\xc3\xa9\r")
    bob.until(b"\xff\xff\xc3\xa9")
    bob.leave()


def test_telnetsd_connect_works_as_a_terminal(start: Callable[..., RunningServer], home: Home, tmux: Tmux) -> None:
    server = start(line("shell", "exec:sh"))
    command = [sys.executable, "-m", "telnetsd", "--home", str(home.root), "connect", f"localhost:{server.port}"]
    tmux.type(shlex.join([*command, "--user", "alice"]), "Enter")
    tmux.wait_for("alice>")
    tmux.type("connect shell", "Enter")
    tmux.wait_for("~? shows help")
    tmux.type("stty size", "Enter")
    tmux.wait_for("24 80")
    tmux.type("~.")
    tmux.wait_for("alice>")
