"""Several sessions on one line: a writer and watchers, handing over, taking over, and a watcher that is too slow."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable

from support.audit import line_events, read_log
from support.command_line import telnetsd
from support.lines import OpenTerminal, line
from support.machine import DEADLINE_S
from support.server import Event, RunningServer, action_of, get
from support.upstreams import Upstream
from telnetsd.files.home import Home


def test_a_line_in_use_names_its_writer_and_an_operator_can_take_it_over(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob, ed, alice = (terminal(server, name) for name in ("bob", "ed", "alice"))
        bob.connect("switch-1")
        bob.until(b"# ")
        in_use = "switch-1 is in use by bob; an operator may take it over: connect --force switch-1"
        assert ed.ask("switch-1") == in_use
        assert ed.ask("switch-1 --read-only") == in_use
        assert "bob writes to switch-1" in ed.client.command("lines")
        alice.connect("--force switch-1")
        bob.until(b"*** alice has taken over switch-1\r\n")
        bob.until(b"bob> ")
        alice.send(b"show\r")
        alice.until(b"SHOW\r")
        alice.leave()
        server.stop()
    assert line_events(home) == [
        ("line-connected", "writing", "bob"),
        ("line-connected", "taken-over", "alice"),
        ("line-disconnected", "taken-over", "bob"),
        ("line-disconnected", "left", "alice"),
    ]
    taken = [one for one in read_log(home.audit_file) if one["event"]["reason"] == "taken-over"]
    assert get(taken[0], "telnetsd.line.writer") == "bob"


def test_watchers_see_what_the_writer_sees_and_cannot_type(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob, ed = terminal(server, "bob"), terminal(server, "ed")
        assert ed.ask("switch-1 --read-only") == "no session uses switch-1, so there is nothing to watch"
        bob.connect("switch-1")
        bob.until(b"# ")
        assert b"*** bob writes to switch-1; watched by ed; ~. leaves" in ed.connect("switch-1")
        bob.until(b"*** ed watches switch-1\r\n")
        ed.send(b"reload\r")
        bob.send(b"show\r")
        assert bob.until(b"SHOW\r") == b"SHOW\r"
        assert ed.until(b"SHOW\r") == b"SHOW\r"
        bob.send(b"~w")
        bob.until(b"*** bob writes to switch-1; watched by ed\r\n")
        ed.send(b"~#")
        ed.until(b"*** you are only watching\r\n")
        ed.leave()
        bob.until(b"*** ed no longer watches switch-1\r\n")
        bob.leave()
        server.stop()
    assert ("line-connected", "watching", "ed") in line_events(home)


def test_a_writer_hands_over_on_request_and_a_remaining_watcher_may_take_the_free_place(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob, ed = terminal(server, "bob"), terminal(server, "ed")
        bob.connect("switch-1")
        bob.until(b"# ")
        ed.connect("switch-1")
        bob.send(b"\r~h")
        bob.until(b"*** no session has asked to write\r\n")
        ed.send(b"~a")
        bob.until(b"*** ed asks to write: ~h hands over switch-1\r\n")
        ed.until(b"*** bob was asked to hand over switch-1\r\n")
        bob.send(b"~h")
        ed.until(b"*** you now write to switch-1\r\n")
        bob.until(b"*** ed now writes to switch-1: you are watching\r\n")
        ed.send(b"show\r")
        bob.until(b"SHOW\r")
        ed.leave()
        bob.until(b"*** ed has left switch-1: ~a lets you write\r\n")
        bob.send(b"~a")
        bob.until(b"*** you now write to switch-1\r\n")
        bob.leave()
        server.stop()
    assert line_events(home)[2:4] == [("line-connected", "watching", "bob"), ("line-connected", "handed-over", "ed")]


def test_when_an_operator_takes_a_shared_line_over_its_previous_writer_watches(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob, alice = terminal(server, "bob"), terminal(server, "alice")
        bob.connect("switch-1")
        bob.until(b"# ")
        alice.connect("switch-1 --force")
        bob.until(b"*** alice has taken over switch-1: you are watching\r\n")
        alice.send(b"show\r")
        bob.until(b"SHOW\r")
        assert server.process.poll() is None


WATCHERS = 200
STEP_BYTES = 128 * 1024
STEPS_PER_LOOK = 16
FLOOD_MAX_BYTES = 64 * 2**20


def test_two_hundred_sessions_can_watch_one_line(start: Callable[..., RunningServer], terminal: OpenTerminal) -> None:
    with Upstream() as upstream:
        many = "[limits]\nsessions_per_user = 1000\n"
        server = start(many + line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.until(b"# ")
        watchers = [terminal(server, "ed") for _ in range(WATCHERS)]
        for watcher in watchers:
            watcher.send(b"connect switch-1\r\n")
        for watcher in watchers:
            watcher.until(b"leaves, ~? shows help\r\n")
        bob.send(b"show\r")
        for watcher in watchers:
            watcher.until(b"SHOW\r")
        bob.leave()


def test_a_watcher_that_does_not_read_delays_no_session_and_is_disconnected(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"# ")
        while connection.recv(1):
            connection.sendall(b"x" * (STEP_BYTES - 1) + b"#")

    with Upstream(serve) as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob, lazy, keen = terminal(server, "bob"), terminal(server, "ed"), terminal(server, "ed")
        bob.connect("switch-1")
        bob.until(b"# ")
        lazy.connect("switch-1")
        keen.connect("switch-1")
        steps = 0
        while not any(event["event"]["reason"] == "too-slow" for event in server.events()):
            assert steps * STEP_BYTES < FLOOD_MAX_BYTES
            for _ in range(STEPS_PER_LOOK):
                steps += 1
                bob.send(b"n")
                bob.until(b"#")
                keen.until(b"#")
        lazy.until(b"*** your client does not keep up with switch-1\r\n")
        lazy.until(b"ed> ")
        bob.send(b"n")
        keen.until(b"#")


def test_an_operator_watches_a_session_and_the_log_records_it(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("program", "exec:cat"))
    bob = terminal(server, "bob")
    session = get(server.session_from(bob.client.port), "telnetsd.session.id")
    command = [sys.executable, "-u", "-m", "telnetsd", "--home", str(home.root), "session", "watch", session[-8:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        watched: Event = server.wait_for(lambda event: action_of(event) == "session-watched")
        assert watching.stdout is not None
        bob.client.command("echo hello there")
        bob.connect("program")
        bob.send(b"\x1b]0;owned\x07seen\r")
        bob.until(b"seen")
        bob.leave()
        bob.send(b"quit\r\n")
        said = watching.stdout.read()
        assert watching.wait(DEADLINE_S) == 0
    assert get(watched, "user.name") == "bob"
    assert re.fullmatch(r".+ \(control socket\)", get(watched, "telnetsd.operator.name"))
    assert b"hello there" in said
    assert b"seen" in said
    assert b"goodbye" in said
    assert b"\x1b]" not in said
    done = telnetsd(home, "session", "watch", "nobody")
    assert (done.returncode, done.stderr[:32]) == (1, "error: no sessions match 'nobody")
