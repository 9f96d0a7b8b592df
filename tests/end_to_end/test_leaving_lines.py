"""A session that loses a line is off it at once, whatever its client and the line do."""

import socket
from collections.abc import Callable, Iterator

import msgspec
import pytest

from support.audit import line_events
from support.command_line import telnetsd
from support.lines import CONNECTED, OpenTerminal, Terminal, line
from support.machine import DEADLINE_S
from support.processes import is_running, unique_sleep
from support.server import RunningServer, action_of, wait_until
from support.upstreams import Upstream
from telnetsd.control.client import ask
from telnetsd.files.home import Home
from telnetsd.lines.kinds.descriptor import WRITTEN_MAX_BYTES
from telnetsd.rpc.messages import KickSessionRequest, ListSessionsRequest, ReloadRequest, WatchSessionRequest

DO_SGA = b"\xff\xfd\x03"
SLEEP = unique_sleep()
DEAF = f"exec:/bin/sh -c 'stty raw -echo; echo begin; exec {SLEEP}'"


def session_of(server: RunningServer, user: str) -> str:
    return next(row.id for row in ask(server.home.control_socket, ListSessionsRequest()) if row.user == user)


def kick(server: RunningServer, user: str) -> None:
    ask(server.home.control_socket, KickSessionRequest(session_of(server, user)))


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that never reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def test_input_typed_ahead_does_not_reach_the_line_after_a_kick(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        # After its first answer, the client may take its time to report its terminal type.
        bob.send(b"connect switch-1\r\nreboot now\r\n" + DO_SGA)
        bob.until(b"\xff\xfd\x18")
        kick(server, "bob")
        server.wait_for(lambda event: action_of(event) == "session-ended")
        assert not upstream.closed.acquire(timeout=0)
    assert line_events(home) == []


@pytest.mark.parametrize("is_program", [True, False])
def test_a_user_can_be_kicked_off_a_line_that_accepts_no_input(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal, silent: socket.socket, is_program: bool
) -> None:
    target = DEAF if is_program else f"tcp://127.0.0.1:{silent.getsockname()[1]}"
    server = start(line("deaf", target))
    bob = terminal(server, "bob")
    bob.connect("deaf")
    paste_until_stuck(bob)
    kick(server, "bob")
    server.wait_for(lambda event: action_of(event) == "session-ended")
    assert "free" in terminal(server, "ed").client.command("lines")
    assert line_events(home)[-1] == ("line-disconnected", "session-ended", "bob")


def paste_until_stuck(typist: Terminal) -> None:
    """Type until no more input is accepted: the amount that a program can hold up is bounded."""
    typist.client.tls.settimeout(1.0)
    with pytest.raises(TimeoutError):
        typist.send(b"x" * 2**26)


def test_a_client_that_disconnects_leaves_a_line_that_accepts_no_input(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("deaf", DEAF))
    bob = terminal(server, "bob")
    bob.connect("deaf")
    bob.until(b"begin")
    bob.send(b"x" * (WRITTEN_MAX_BYTES + 8192))
    bob.client.tls.close()
    server.wait_for(lambda event: action_of(event) == "session-ended")
    assert line_events(home)[-1] == ("line-disconnected", "session-ended", "bob")


def test_a_user_who_loses_a_role_loses_its_lines(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(
            "[roles.net]\nincludes = ['user']\n" + line("switch-1", f"tcp://127.0.0.1:{upstream.port}", roles=["net"])
        )
        assert telnetsd(home, "user", "change", "bob", "--role", "net").returncode == 0
        wait_until(lambda: "switch-1" in terminal(server, "bob").client.command("lines"), "the role")
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.until(b"# ")
        assert telnetsd(home, "user", "change", "bob", "--role", "user").returncode == 0
        assert bob.until(b"bob> ").startswith(b"\r\n*** you may no longer use switch-1\r\n")
        assert bob.client.command("echo still here") == "still here"
    assert line_events(home)[-1] == ("line-disconnected", "line-withdrawn", "bob")


def test_a_spectator_that_does_not_read_is_dropped_and_disturbs_no_session(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("busy", "exec:/usr/bin/yes"))
    bob = terminal(server, "bob")
    bob.connect("busy")
    with socket.socket(socket.AF_UNIX) as spectator:
        spectator.connect(str(home.control_socket))
        spectator.sendall(msgspec.json.encode(WatchSessionRequest(session_of(server, "bob"))) + b"\n")
        server.wait_for(lambda event: action_of(event) == "session-watched")
        received = 0
        while received < 16 * 2**20:
            received += len(bob.client.tls.recv(2**20))
    bob.send(b"\r~.")
    assert bob.until(b"bob> ")


def test_a_line_taken_over_from_a_client_that_does_not_read_goes_on(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    server = start(line("busy", "exec:/usr/bin/yes"))
    bob, alice = terminal(server, "bob"), terminal(server, "alice")
    bob.send(b"connect busy\r\n")
    wait_until(lambda: "bob writes" in alice.client.command("lines") or None, "bob on the line")
    shown = alice.connect("--force busy")
    assert shown.endswith(b"; ~. leaves, ~? shows help\r\n")
    received = 0
    while received < 2**22:
        received += len(alice.client.tls.recv(2**20))


def test_a_line_that_a_reload_removes_during_a_connection_attempt_is_not_opened(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("slow", "tcp://127.0.0.1:1", connect_timeout_s=60) + line("box", DEAF))
    bob = terminal(server, "bob")
    bob.send(b"connect box\r\n" + DO_SGA)
    bob.until(b"\xff\xfd\x18")
    home.config_file.write_text("")
    ask(home.control_socket, ReloadRequest())
    assert b"*** box was removed or changed by the operator\r\n" in bob.until(b"bob> ")
    assert bob.client.command("echo still here") == "still here"
    assert not is_running(SLEEP)
    assert line_events(home) == []
    server.stop()


def test_of_two_sessions_that_join_at_once_one_writes_and_none_is_displaced(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob, ed, alice = (terminal(server, name) for name in ("bob", "ed", "alice"))
        alice.connect("switch-1")
        bob.send(b"connect switch-1\r\n")
        bob.until(b"shows help\r\n")
        alice.leave()
        bob.until(b"lets you write\r\n")
        # The line has no writer when ed joins. While ed's client reports its terminal type, bob becomes the writer.
        ed.send(b"connect switch-1\r\n" + DO_SGA)
        ed.until(b"\xff\xfd\x18")
        bob.send(b"\r~a")
        bob.until(b"you now write to switch-1\r\n")
        assert b"*** bob writes to switch-1; watched by ed" in ed.until(b"shows help\r\n")
        bob.send(b"\rmine\r")
        assert b"MINE" in bob.until(b"MINE\r")
    assert ("line-connected", "watching", "ed") in line_events(home)


def test_a_background_job_of_a_shell_ends_with_the_line(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    server = start(line("shell", "exec:/bin/bash --norc -i"))
    bob = terminal(server, "bob")
    assert CONNECTED in bob.connect("shell")
    bob.send(f"nohup {SLEEP} >/dev/null 2>&1 &\r".encode())
    wait_until(lambda: is_running(SLEEP), "the job")
    bob.leave()
    wait_until(lambda: not is_running(SLEEP), "its end")


def test_a_session_that_joins_while_the_line_closes_opens_it_again(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        ed, alice = terminal(server, "ed"), terminal(server, "alice")
        alice.connect("switch-1")
        ed.send(b"connect switch-1\r\n" + DO_SGA)
        ed.until(b"\xff\xfd\x18")
        alice.leave()
        ed.until(b"*** connected to switch-1: ~. leaves, ~? shows help\r\n")
    assert [user for _, _, user in line_events(home)][:3] == ["alice", "alice", "ed"]
