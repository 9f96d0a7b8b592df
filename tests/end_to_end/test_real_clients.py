"""Every client that the README names, run for real: its user is alice on the screen and in the audit log."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.homes import add
from support.machine import DEADLINE_S
from support.pty_program import PtyProgram
from support.server import RunningServer, action_of, get
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import user_files
from telnetsd.cli.user.adding import connect_lines
from telnetsd.files.home import Home
from telnetsd.pki.keys import KeyType

CLIENTS = ["openssl", "ncat", "socat", "gnutls-cli", "telnetsd", "telnet-ssl"]


@pytest.fixture
def folder(server: RunningServer, tmp_path: Path) -> Path:
    """The files that the operator gave to alice, in one folder."""
    files = user_files(server.home, "alice")
    for path in (files.certificate, files.key, server.home.ca_certificate):
        shutil.copy(path, tmp_path)
    return tmp_path


def line_for(client: str, server: RunningServer) -> list[str]:
    """The line that `user add` prints for this client, and the README shows."""
    lines = connect_lines("alice", KeyType.RSA, "localhost", server.port)
    (line,) = (shlex.split(line) for line in lines if line.startswith(f"{client} "))
    return [sys.executable, "-m", *line] if client == "telnetsd" else line


@pytest.mark.parametrize("client", CLIENTS)
def test_alice_logs_in_works_and_leaves_at_a_terminal(client: str, server: RunningServer, folder: Path) -> None:
    terminal = PtyProgram(line_for(client, server), folder)
    try:
        terminal.wait_for(rb"you are alice \(operator; class 1\)")
        terminal.wait_for(rb"alice> ")
        terminal.type(b"whoami\n")
        shown = terminal.wait_for(rb"alice> ")
        assert b"user         alice\r\n" in shown
        (session,) = re.findall(rb"session      ([0-9a-f-]{36})", shown)
        terminal.type(b"echo one two\n")
        assert b"\none two\r\n" in terminal.wait_for(rb"alice> ")
        terminal.type(b"quit\n")
        terminal.wait_for(rb"goodbye")
        if client == "ncat":
            # ncat treats a closed connection as half closed, and stays until its input ends.
            terminal.type(b"\x04")
        status = terminal.process.wait(DEADLINE_S)
        assert status == 0 or client != "telnetsd"
    finally:
        terminal.close()
    _assert_the_log_tells_of_alice(server, session.decode(), ["whoami", "echo one two", "quit"])


@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "telnet-ssl"])
def test_a_script_pipes_its_lines_in_and_reads_every_answer(client: str, server: RunningServer, folder: Path) -> None:
    """telnet-ssl is left out: it exits when its input ends, even if more output is to come."""
    done = subprocess.run(
        line_for(client, server),
        cwd=folder,
        input=b"whoami\necho the last words\nquit\n",
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert b"the last words\r\n" in done.stdout
    assert b"goodbye\r\n" in done.stdout
    (session,) = re.findall(rb"session      ([0-9a-f-]{36})", done.stdout)
    _assert_the_log_tells_of_alice(server, session.decode(), ["whoami", "echo the last words", "quit"])


@pytest.fixture(scope="module")
def post_quantum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose CA has an ML-DSA key; the clients verify the P-256 CA beside it, and so does OpenSSL 3.0."""
    home = Home(tmp_path_factory.mktemp("post-quantum") / "home")
    initialise(home, (), key_type=KeyType.ML_DSA_65)
    add(home, "alice", "operator", KeyType.RSA)
    running = RunningServer(home)
    yield running
    assert running.stop() == ""


@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "telnet-ssl"])
def test_every_documented_client_connects_to_an_installation_with_a_post_quantum_ca(
    client: str, post_quantum: RunningServer, tmp_path: Path
) -> None:
    files = user_files(post_quantum.home, "alice")
    for path in (files.certificate, files.key, post_quantum.home.ca_certificate):
        shutil.copy(path, tmp_path)
    command = line_for(client, post_quantum)
    sent = b"whoami\necho the last words\nquit\n"
    done = subprocess.run(command, cwd=tmp_path, input=sent, capture_output=True, check=False, timeout=DEADLINE_S)
    assert b"the last words\r\n" in done.stdout


def test_telnet_ssl_at_a_terminal_connects_to_an_installation_with_a_post_quantum_ca(
    post_quantum: RunningServer, tmp_path: Path
) -> None:
    files = user_files(post_quantum.home, "alice")
    for path in (files.certificate, files.key, post_quantum.home.ca_certificate):
        shutil.copy(path, tmp_path)
    terminal = PtyProgram(line_for("telnet-ssl", post_quantum), tmp_path)
    try:
        terminal.wait_for(rb"alice> ")
        terminal.type(b"quit\r")
        terminal.wait_for(rb"goodbye")
    finally:
        terminal.close()


def _assert_the_log_tells_of_alice(server: RunningServer, session: str, lines: list[str]) -> None:
    def is_end(event: dict[str, object]) -> bool:
        return get(event, "telnetsd.session.id") == session and action_of(event) == "session-ended"

    assert server.wait_for(is_end)["event"]["reason"] == "quit"
    story = [event for event in server.events() if get(event, "telnetsd.session.id") == session]
    assert {get(event, "user.name") for event in story} == {"alice"}
    assert action_of(story[0]) == "session-started"
    told = [get(event, "telnetsd.command.line") for event in story if action_of(event) == "command-executed"]
    assert told == lines


def test_connect_ends_with_its_input_and_shows_the_output_before_it(server: RunningServer, folder: Path) -> None:
    done = subprocess.run(
        line_for("telnetsd", server),
        cwd=folder,
        input=b"date\n",
        capture_output=True,
        check=True,
        timeout=DEADLINE_S,
    )
    assert re.search(rb"alice> \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\r\nalice> goodbye\r\n$", done.stdout)


def test_connect_exits_with_an_error_status_when_the_server_refuses(server: RunningServer, folder: Path) -> None:
    from support.certificates import Recipe, make_ca

    Recipe().signed_by(make_ca("Other")).save(folder, "alice")
    command = line_for("telnetsd", server)
    done = subprocess.run(command, cwd=folder, input=b"", capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.stdout.startswith(b"refused: your certificate (CN=alice) was issued by CN=Other")
    assert done.returncode == 255


@pytest.mark.parametrize("client", ["openssl", "ncat", "telnetsd", "telnet-ssl"])
def test_clients_refuse_a_server_of_another_ca(client: str, server: RunningServer, folder: Path) -> None:
    from support.certificates import make_ca

    make_ca("Other").save(folder, "ca")
    done = subprocess.run(
        line_for(client, server), cwd=folder, input=b"quit\n", capture_output=True, check=False, timeout=DEADLINE_S
    )
    assert b"you are alice" not in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["127.1:{port}"], "127.1:{port} is not trusted: "),
        (["localhost:{port}", "--ca", "{other}"], "localhost:{port} is not trusted: "),
        (["localhost:1"], "cannot connect to localhost:1: "),
        (["localhost:{port}", "--user", "nobody"], "no user nobody here: certs/users/nobody.key not found"),
        (["localhost:{port}", "--ca", "/nonexistent"], "cannot read the CA /nonexistent: "),
        (["localhost:{port}", "--cert", "{other}", "--key", "{other}"], "cannot use {other}, {other}: "),
        (["localhost:port"], "not an address: 'localhost:port'; write HOST:PORT"),
    ],
)
def test_connect_reports_in_one_line_why_it_fails(
    arguments: list[str], words: str, start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    from support.certificates import make_ca

    other, _ = make_ca("Other").save(tmp_path, "other")
    running = start()
    filled = [one.format(port=running.port, other=other) for one in arguments]
    command = [sys.executable, "-m", "telnetsd", "connect", *filled, "--home", str(running.home.root)]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == (255 if re.match("cannot connect|.* is not trusted", words) else 1)
    said = done.stderr.decode()
    assert said.startswith("error: " + words.format(port=running.port, other=other))
    assert said.count("\n") == 1
