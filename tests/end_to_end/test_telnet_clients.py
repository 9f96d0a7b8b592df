"""Real telnet clients that speak no TLS, behind stunnel: login, editing, a line with a resize, leaving, and quit."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lines import line
from support.pty_program import PtyProgram
from support.rsyslog import free_port
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.administration.users.credentials import user_files

COLUMNS, ROWS = 80, 24
CLIENTS = {
    "plink": ("plink", "-telnet", "-P", "PORT", "127.0.0.1"),
    "C-Kermit": ("kermit", "-Y", "-H", "-C", "set host /network-type:tcp 127.0.0.1:PORT /telnet, connect, exit"),
    "inetutils telnet": ("inetutils-telnet", "127.0.0.1", "PORT"),
    "telnet-ssl": ("telnet-ssl", "127.0.0.1", "PORT"),
    "gensiot": ("gensiot", "telnet,tcp,127.0.0.1,PORT"),
    "c3270": ("c3270", "-secure", "A:127.0.0.1:PORT"),
}
UNRESIZED = {"gensiot", "c3270"}
"""Clients that do not report another size: gensiot does not know any, and c3270 has the sizes of 3270 terminals."""


@pytest.fixture(scope="module")
def shared_settings() -> str:
    return line("shell", "exec:bash --norc")


@pytest.fixture
def port(server: RunningServer, tmp_path: Path) -> Iterator[int]:
    """A port that a client without TLS connects to: stunnel presents alice's certificate for it."""
    files, plain = user_files(server.home, "alice"), free_port()
    (tmp_path / "stunnel.conf").write_text(
        f"foreground = yes\npid =\nsyslog = no\n[telnets]\nclient = yes\naccept = 127.0.0.1:{plain}\n"
        f"connect = 127.0.0.1:{server.port}\ncert = {files.certificate}\nkey = {files.key}\n"
        f"CAfile = {server.home.ca_certificate}\nverifyChain = yes\n"
    )
    with subprocess.Popen(["stunnel4", str(tmp_path / "stunnel.conf")], stderr=subprocess.DEVNULL) as stunnel:
        listens = f"0100007F:{plain:04X} 00000000:0000 0A"
        wait_until(lambda: listens in Path("/proc/net/tcp").read_text(), "stunnel")
        yield plain
        stunnel.kill()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_telnet_client_logs_in_edits_uses_a_line_leaves_it_and_quits(
    name: str, server: RunningServer, port: int, tmp_path: Path
) -> None:
    before = len(server.events())
    command = [word.replace("PORT", str(port)) for word in CLIENTS[name]]
    user = PtyProgram(command, tmp_path, size=(COLUMNS, ROWS), HOME=str(tmp_path), TERM="xterm")
    user.wait_shown("\nalice>\n")
    user.type(b"echo onx\x7fe\r")
    user.wait_shown("one\nalice>\n")
    user.type(b"connect shell\r")
    user.wait_shown("*** connected to shell: ~. leaves, ~? shows help")
    user.wait_shown("bash-")
    user.type(b"echo $((6 * 7)) wrnog\x7f\x7f\x7f\x7frong\r")
    user.wait_shown("\n42 wrong\n")
    if name not in UNRESIZED:
        user.resize(100, 30)
    user.type(b"stty size\r")
    user.wait_shown("\n24 80\n" if name in UNRESIZED else "\n30 100\n")
    user.type(b"\r~.")
    wait_until(lambda: "line-disconnected" in map(action_of, server.events()[before:]), "the end of the attachment")
    # c3270 clears its screen when it goes back to line mode.
    user.wait_shown("alice>\n")
    user.type(b"quit\r")
    wait_until(
        lambda: [get(one, "event.reason") for one in server.events()[before:] if action_of(one) == "session-ended"],
        "the end of the session",
    )
    ours = server.events()[before:]
    assert [get(one, "event.reason") for one in ours if action_of(one) == "session-ended"] == ["quit"]
    lines = [get(one, "telnetsd.command.line") for one in ours if action_of(one) == "command-executed"]
    assert lines == ["echo one", "connect shell", "quit"]
    user.close()


def test_a_line_that_is_longer_than_a_screen_of_known_width_is_broken_between_words(
    port: int, tmp_path: Path
) -> None:
    command = [word.replace("PORT", str(port)) for word in CLIENTS["plink"]]
    user = PtyProgram(command, tmp_path, size=(50, 24), HOME=str(tmp_path), TERM="xterm")
    try:
        user.wait_shown("\nalice>\n")
        user.type(b"echo one two three four five six seven eight nine ten eleven twelve\r")
        user.wait_shown("\none two three four five six seven eight nine ten\neleven twelve\nalice>\n")
        user.type(b"quit\r")
    finally:
        user.close()
