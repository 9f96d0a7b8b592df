"""Lines that are always on: what equipment shows is kept, with or without a session, and the upstream comes back."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.command_line import telnetsd
from support.lines import OpenTerminal, Terminal, line
from support.machine import DEADLINE_S
from support.processes import is_running, unique_sleep, workers_of
from support.server import Event, RunningServer, action_of, get, wait_until
from support.upstreams import Upstream
from telnetsd.files.home import Home

WILL_ECHO = b"\xff\xfb\x01"
ANSWERS = b"\xff\xfd\x01\xff\xfc\x1f\xff\xfc\x18"
"""DO ECHO, WONT NAWS, WONT TTYPE: the client speaks telnet."""
LIVE = b"*** now live"


class Console:
    """A console server's port: what it says goes to the newest connection, and what it gets is kept."""

    def __init__(self) -> None:
        self.connected = threading.Semaphore(0)
        self.received = b""
        self._connections: list[socket.socket] = []
        self._upstream = Upstream(self._serve)
        self.port = self._upstream.port

    def _serve(self, connection: socket.socket) -> None:
        self._connections.append(connection)
        self.connected.release()
        while data := connection.recv(4096):
            self.received += data

    def wait_connected(self) -> None:
        assert self.connected.acquire(timeout=DEADLINE_S), "the line was not connected"

    def say(self, data: bytes) -> None:
        self._connections[-1].sendall(data)

    def lose(self) -> None:
        """Take the equipment away: the connection ends, and another one is refused."""
        self._upstream.__exit__()

    def come_back(self) -> None:
        self._upstream = Upstream(self._serve, port=self.port)

    @property
    def connections(self) -> int:
        return len(self._connections)


@pytest.fixture
def console() -> Iterator[Console]:
    made = Console()
    yield made
    made.lose()


def kept(console: Console, **options: object) -> str:
    return line("switch-1", f"tcp://127.0.0.1:{console.port}", keep_open=True, **options)


def connect(terminal: Terminal, name: str = "switch-1") -> bytes:
    """Connect with a client that speaks telnet, and return what was shown up to the message about it."""
    terminal.send(f"connect {name}\r\n".encode())
    terminal.until(WILL_ECHO)
    terminal.send(ANSWERS)
    return terminal.until(b"leaves, ~? shows help\r\n")


def of(server: RunningServer, action: str) -> list[Event]:
    return [event for event in server.events() if action_of(event) == action]


def shown_in(home: Home) -> bytes:
    """Return what all recordings of the home folder show, in their order."""
    files = sorted(home.recordings_folder.glob("*.cast*"))
    return b"".join(telnetsd(home, "recording", "play", "--raw", one.name).output for one in files)


def line_row(home: Home) -> dict[str, Any]:
    (row,) = json.loads(telnetsd(home, "line", "list", "--json").stdout)
    return dict(row)


def test_what_was_shown_without_a_session_is_in_the_backlog_and_in_the_recording(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, record=True))
    console.wait_connected()
    console.say(b"kernel panic\r\n\x1b[31mat 03:00\x1b[0m\r\nlogin: ")
    bob = terminal(server, "bob")
    wait_until(lambda: line_row(home)["shown_bytes"] > 30, "the console's output")
    connect(bob)
    past = bob.until(LIVE)
    assert b"past output of switch-1" in past
    assert b"UTC:\r\nkernel panic\r\nat 03:00\r\n" in past
    assert bob.until(b"login: ").endswith(b"\r\nlogin: ")
    bob.send(b"root\r")
    wait_until(lambda: console.received == b"root\r", "what bob typed")
    console.say(b"now")
    assert bob.until(b"now") == b"now"
    bob.leave()
    assert server.stop() == ""
    assert shown_in(home) == b"kernel panic\r\n\x1b[31mat 03:00\x1b[0m\r\nlogin: now"
    assert telnetsd(home, "recording", "verify").stdout.count("intact") == 1
    up, down = of(server, "line-up"), of(server, "line-down")
    assert [get(one, "telnetsd.line.name") for one in up] == ["switch-1"]
    assert [one["event"]["reason"] for one in down] == ["server-stopped"]
    assert get(up[0], "telnetsd.session.id") is None
    (closed,) = of(server, "recording-closed")
    assert get(closed, "user.name") is None


def test_a_session_stays_on_a_line_whose_upstream_is_lost_until_it_is_connected_again(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, record=True))
    console.wait_connected()
    bob = terminal(server, "bob")
    connect(bob)
    console.say(b"before")
    bob.until(b"before")
    console.lose()
    bob.until(b"*** switch-1 has closed; it will be connected again\r\n")
    bob.send(b"lost\r")
    bob.until(b"*** switch-1 is not connected: what you type is discarded\r\n")
    wait_until(lambda: line_row(home)["why"] == "cannot be reached: connection refused", "another attempt")
    alice = terminal(server, "alice")
    assert alice.client.command("lines").startswith("switch-1  tcp     down since 20")
    assert "; bob writes to switch-1" in alice.client.command("lines")
    console.come_back()
    bob.until(b"*** switch-1 is connected again\r\n")
    bob.send(b"here\r")
    wait_until(lambda: console.received == b"here\r", "what bob typed")
    console.say(b"after")
    bob.until(b"after")
    bob.leave()
    server.wait_for(lambda event: action_of(event) == "line-disconnected")
    assert [one["event"]["reason"] for one in of(server, "line-down")] == ["upstream-closed"]
    assert len(of(server, "line-up")) == 2
    assert server.stop() == ""
    assert shown_in(home) == b"beforeafter"


def test_a_user_is_told_that_a_line_is_down_and_connected_as_soon_as_it_is_up(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    console.lose()
    server = start(kept(console))
    server.wait_for(lambda event: action_of(event) == "line-down")
    bob = terminal(server, "bob")
    shown = connect(bob)
    assert b"*** switch-1 cannot be reached: connection refused (since 20" in shown
    assert b" UTC), and is connected when possible; ~. leaves" in shown
    console.come_back()
    bob.until(b"*** switch-1 is connected again\r\n")


def test_more_of_the_past_and_all_of_it_is_shown_on_request(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, backlog_lines=2))
    console.wait_connected()
    console.say(b"".join(b"line %d\r\n" % number for number in range(100)))
    wait_until(lambda: line_row(home)["backlog_bytes"] > 800, "the console's output")
    bob = terminal(server, "bob")
    connect(bob)
    assert b"UTC:\r\nline 98\r\nline 99\r\n*** now live" in bob.until(LIVE)
    bob.send(b"\r~r")
    assert b"UTC:\r\nline 90\r\n" in bob.until(LIVE)
    bob.send(b"\r~p")
    shown = bob.until(LIVE)
    assert b"*** all past output" in shown
    assert b"UTC:\r\nline 0\r\n" in shown


def test_a_client_that_speaks_no_telnet_is_shown_no_past_output(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console))
    console.wait_connected()
    console.say(b"past\r\n")
    wait_until(lambda: line_row(home)["backlog_bytes"], "the console's output")
    bob = terminal(server, "bob")
    bob.connect("switch-1")
    console.say(b"present")
    assert bob.until(b"present") == b"present"


@pytest.mark.parametrize("what", ["a worker ends", "a reload"])
def test_neither_the_end_of_a_worker_nor_a_reload_touches_the_upstream(
    what: str, start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, record=True), workers=2)
    console.wait_connected()
    bob = terminal(server, "bob")
    connect(bob)
    console.say(b"one ")
    bob.until(b"one ")
    if what == "a worker ends":
        for worker in workers_of(server):
            os.kill(worker, signal.SIGKILL)
        server.wait_for(lambda event: action_of(event) == "line-disconnected")
    else:
        telnetsd(home, "reload")
    console.say(b"two ")
    wait_until(lambda: line_row(home)["shown_bytes"] == 8, "the console's output")
    assert console.connections == 1
    assert server.stop().count("Traceback") == 0
    assert shown_in(home) == b"one two "
    assert len(of(server, "line-up")) == 1


def wait_for_up(home: Home, name: str) -> None:
    wait_until(lambda: (line_row(home)["name"], line_row(home)["state"]) == (name, "up"), f"the line {name}")


def test_a_reload_opens_closes_and_changes_lines(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start("")
    bob = terminal(server, "bob")
    for toml, name in (
        (kept(console), "switch-1"),
        (kept(console).replace("switch-1", "renamed"), "renamed"),
    ):
        home.config_file.write_text(toml)
        telnetsd(home, "reload")
        console.wait_connected()
        wait_for_up(home, name)
    connect(bob, "renamed")
    home.config_file.write_text("")
    telnetsd(home, "reload")
    bob.until(b"*** renamed was removed or changed by the operator\r\n")
    server.wait_for(lambda event: action_of(event) == "line-down" and get(event, "telnetsd.line.name") == "renamed")
    assert [one["event"]["reason"] for one in of(server, "line-down")] == ["line-removed", "line-removed"]


def test_after_the_first_process_was_killed_the_next_one_vouches_for_what_the_segments_hold(
    start: Callable[..., RunningServer], home: Home, console: Console
) -> None:
    server = start(kept(console, record=True, recording_max_bytes=4096))
    console.wait_connected()
    shown = b"".join(b"%05d\r\n" % number for number in range(2000))
    console.say(shown)
    wait_until(lambda: line_row(home)["shown_bytes"] == len(shown), "the console's output")
    server.kill()
    unfinished = home.recordings_folder / ".20261130T140000.000000-switch-1-line.cast.zst.1.part"
    unfinished.write_bytes(b"half")
    server = start()
    console.wait_connected()
    server.wait_for(
        lambda event: action_of(event) == "recording-closed" and event["event"]["reason"] == "server-lost"
    )
    assert not unfinished.exists()
    console.say(b"the next day")
    wait_until(lambda: line_row(home)["shown_bytes"] == 12, "the console's output")
    assert server.stop() == ""
    assert shown_in(home) == shown + b"the next day"
    verified = telnetsd(home, "recording", "verify")
    assert verified.returncode == 0
    assert verified.stdout.count("intact") == len(list(home.recordings_folder.iterdir()))


def test_a_program_is_started_again_when_it_has_ended_and_is_not_told_of_any_user(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("shell", "exec:bash --norc", keep_open=True))
    server.wait_for(lambda event: action_of(event) == "line-up")
    bob = terminal(server, "bob")
    connect(bob, "shell")
    bob.send(b"echo [$TELNETSD_USER] $((6 * 7))\r")
    bob.until(b"[] 42")
    bob.send(b"exit\r")
    bob.until(b"*** shell has closed; it will be connected again\r\n")
    bob.until(b"*** shell is connected again\r\n")
    bob.send(b"echo $((6 * 7))\r")
    bob.until(b"42\r\n")


def test_the_programs_of_kept_open_lines_end_with_the_server(start: Callable[..., RunningServer], home: Home) -> None:
    program = unique_sleep()
    server = start(line("sleeper", f"exec:{program}", keep_open=True))
    wait_until(lambda: is_running(program), "the program")
    assert server.stop() == ""
    wait_until(lambda: not is_running(program), "the end of the program")


def test_what_is_sent_when_the_writer_leaves_logs_the_next_user_out(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, shared=True, on_leave="exit\r", record=True, record_input=True))
    console.wait_connected()
    bob, alice = terminal(server, "bob"), terminal(server, "alice")
    connect(bob)
    connect(alice)
    bob.send(b"secret\r")
    wait_until(lambda: console.received == b"secret\r", "what bob typed")
    bob.leave()
    wait_until(lambda: console.received == b"secret\r\rexit\r", "the farewell")
    alice.until(b"*** bob has left switch-1: ~a lets you write\r\n")
    alice.leave()
    connect(bob)
    console.lose()
    bob.until(b"*** switch-1 has closed")
    bob.client.tls.close()
    wait_until(lambda: not line_row(home)["writer"], "the end of bob's session")
    console.received = b""
    console.come_back()
    wait_until(lambda: console.received == b"exit\r", "the farewell, once the upstream is back")
    server.kill()
    console.received = b""
    start()
    wait_until(lambda: console.received == b"exit\r", "the farewell after the server was killed")


def test_the_clocks_of_a_kept_open_line_end_the_session_on_it_and_not_the_line(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, idle_timeout_s=0.2))
    console.wait_connected()
    bob = terminal(server, "bob")
    connect(bob)
    bob.until(b"*** nothing was typed on switch-1 for too long\r\n")
    bob.until(b"bob> ")
    home.config_file.write_text(kept(console, max_time_s=0.2))
    telnetsd(home, "reload")
    console.wait_connected()
    connect(bob)
    bob.until(b"*** you were on switch-1 for its maximum time\r\n")
    bob.until(b"bob> ")
    assert line_row(home)["state"] == "up"
    assert [one["event"]["reason"] for one in of(server, "line-disconnected")] == ["idle-timeout", "max-time"]


def test_while_the_recording_cannot_be_written_the_line_stays_connected_and_accepts_no_session(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, record=True, recording_max_bytes=4096))
    console.wait_connected()
    bob = terminal(server, "bob")
    connect(bob)
    console.say(b"recorded ")
    bob.until(b"recorded ")
    aside = home.recordings_folder.with_name("aside")
    home.recordings_folder.rename(aside)
    home.recordings_folder.write_text("in the way")
    console.say(b"x" * 5000)
    wait_until(lambda: line_row(home)["shown_bytes"] == 5009, "the console's output")
    console.say(b"missing")
    bob.until(b"*** switch-1 must be recorded, but cannot be: file exists\r\n")
    bob.until(b"bob> ")
    assert bob.ask("switch-1") == "switch-1 must be recorded, but cannot be: file exists; try again later"
    assert line_row(home)["state"] == "up"
    assert "must be recorded, but cannot be: file exists" in bob.client.command("lines")
    home.recordings_folder.unlink()
    aside.rename(home.recordings_folder)
    gap = server.wait_for(lambda event: action_of(event) == "line-log-gap")
    assert get(gap, "telnetsd.line.unrecorded_bytes") == len(b"missing")
    assert get(gap, "telnetsd.line.unrecorded_since") < gap["@timestamp"]
    alice = terminal(server, "alice")
    connect(alice)
    console.say(b"again")
    alice.until(b"again")
    alice.leave()
    assert "switch-1 must be recorded, but cannot be: file exists; the line stays connected" in server.stop()
    assert shown_in(home) == b"recorded " + b"x" * 5000 + b"again"
    assert console.connections == 1


def test_a_line_may_be_used_unrecorded_if_that_is_the_policy(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    home.recordings_folder.write_text("in the way")
    server = start(kept(console, record=True) + '[audit]\non_audit_failure = "continue"\n')
    console.wait_connected()
    bob = terminal(server, "bob")
    connect(bob)
    console.say(b"missing")
    bob.until(b"missing")
    bob.leave()
    server.stop()
    (gap,) = of(server, "line-log-gap")
    assert get(gap, "telnetsd.line.unrecorded_bytes") == len(b"missing")


def test_what_a_line_showed_is_printed_by_line_log_and_followed(
    start: Callable[..., RunningServer], home: Home, console: Console
) -> None:
    server = start(kept(console, record=True, recording_max_bytes=4096))
    console.wait_connected()
    output = b"\x1b[31mred\x1b[0m\x1b]0;title\x07 line\r\n" * 300
    console.say(output)
    wait_until(lambda: line_row(home)["shown_bytes"] == len(output), "the console's output")
    shown = telnetsd(home, "line", "log", "switch-1")
    assert shown.stdout.count("\x1b[31mred\x1b[0m line\r\n") == 300
    rows = telnetsd(home, "line", "log", "switch-1", "--text").stdout.splitlines()
    assert len(rows) == 300
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  red line", row) for row in rows)
    assert telnetsd(home, "line", "log", "switch-1", "--since", "2999-01-01").stdout == ""
    command = [sys.executable, "-m", "telnetsd", "line", "log", "switch-1", "-f", "--text", "--home", str(home.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        for _ in range(300):
            following.stdout.readline()
        console.say(b"a later line\r\n" * 500)
        for _ in range(500):
            assert following.stdout.readline().endswith("  a later line\n")
        following.send_signal(signal.SIGINT)
    assert server.stop() == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "no line 'nowhere'; see: telnetsd line list"),
        ("switch-1", "what switch-1 shows is not recorded around the clock; set keep_open = true and record = true"),
    ],
)
def test_a_line_without_a_log_is_refused_with_a_message(name: str, said: str, home: Home, console: Console) -> None:
    home.config_file.write_text(kept(console))
    done = telnetsd(home, "line", "log", name)
    assert (done.returncode, done.stderr) == (1, f"error: {said}\n")


def test_the_state_of_a_line_is_shown_to_an_operator(
    start: Callable[..., RunningServer], home: Home, console: Console, terminal: OpenTerminal
) -> None:
    server = start(kept(console, record=True, description="rack 7"))
    console.wait_connected()
    console.say(b"hello")
    wait_until(lambda: line_row(home)["shown_bytes"] == 5, "the console's output")
    bob = terminal(server, "bob")
    connect(bob)
    assert "switch-1  tcp   up; bob writes to switch-1  rack 7" in telnetsd(home, "line", "list").stdout
    status = telnetsd(home, "line", "status", "switch-1").stdout
    for row in ("line         switch-1 (tcp)", "recorded     yes", "shown        5 bytes", "backlog      5 bytes"):
        assert row in status
    assert telnetsd(home, "line", "status", "nowhere").returncode == 1


def test_old_recordings_and_those_beyond_the_size_are_removed_and_the_log_says_so(
    start: Callable[..., RunningServer], home: Home, console: Console
) -> None:
    server = start(kept(console, record=True, recording_max_bytes=4096))
    console.wait_connected()
    console.say(os.urandom(20_000))
    wait_until(lambda: line_row(home)["shown_bytes"] == 20_000, "the console's output")
    server.stop()
    before = sorted(home.recordings_folder.iterdir())
    server = start(kept(console, record=True, recording_retention_bytes=1))
    wait_until(lambda: not any(one.exists() for one in before), "the removal")
    removed = of(server, "recording-removed")
    assert {get(one, "telnetsd.recording.file") for one in removed} == {
        one.name.removesuffix(".zst") for one in before
    }
    assert {one["event"]["reason"] for one in removed} == {"retention-bytes"}
    verified = telnetsd(home, "recording", "verify")
    assert verified.returncode == 0
    assert verified.stdout.count("removed by retention") == len(before)
    assert telnetsd(home, "recording", "list").stdout.count("(removed)") == len(before)


def test_check_warns_of_a_kept_open_program_that_several_roles_share(home: Home) -> None:
    home.config_file.write_text(line("shell", "exec:cat", keep_open=True, roles=["user", "operator"]))
    said = telnetsd(home, "check").stdout
    assert "shell is one program for the users of 2 roles, and does not know which of them types" in " ".join(
        said.split()
    )


def test_a_farewell_without_a_kept_open_line_is_refused(home: Home) -> None:
    home.config_file.write_text(line("shell", "exec:cat", on_leave="exit\r"))
    assert "on_leave of [[line]] 'shell' requires keep_open = true" in telnetsd(home, "check").stdout
