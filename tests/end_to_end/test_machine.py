"""What the server leaves on its machine, and what it uses from it: programs, files, keys, the operator's socket."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import connect_as
from support.command_line import done, refused, telnetsd
from support.lines import OpenTerminal, line
from support.machine import DEADLINE_S
from support.processes import is_running, unique_sleep
from support.server import RunningServer, action_of, get, wait_until
from support.upstreams import Upstream
from telnetsd.files.home import Home

ESCAPING = """
import os, sys, time
if os.fork():
    time.sleep(0.1 if sys.argv[2] == "leaves" else 1000)
    sys.exit()
os.setsid()
if os.fork():
    sys.exit()
os.setsid()
for descriptor in range(3):
    os.close(descriptor)
os.execv("/bin/sleep", ["sleep", sys.argv[1]])
"""
"""Forks twice, calls setsid twice and gives up its terminal: its group, session and parent do not lead to it."""


def program(name: str, *words: str, **options: object) -> str:
    rows = {"name": name, "exec": " ".join(words), "summary": "a program", **options}
    return "\n".join(["[[command]]", *(f"{key} = {json.dumps(value)}" for key, value in rows.items()), ""])


@pytest.fixture
def escaping(tmp_path: Path) -> str:
    script = tmp_path / "escape.py"
    script.write_text(ESCAPING)
    return f"{sys.executable} -I -S {script}"


@pytest.mark.parametrize("parent", ["leaves", "stays"])
@pytest.mark.parametrize("kind", ["line", "command"])
def test_a_process_that_forks_twice_and_calls_setsid_ends_with_the_session_of_its_program(
    kind: str, parent: str, escaping: str, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    seconds = unique_sleep().removeprefix("sleep ")
    words = f"{escaping} {seconds} {parent}"
    server = start(line("box", f"exec:{words}") + program("escape", words))
    bob = terminal(server, "bob")
    if kind == "line":
        bob.connect("box")
    else:
        bob.send(b"escape\r\n")
    wait_until(lambda: is_running(f"sleep {seconds}") or None, "the process that has escaped")
    done(server.home, "user", "revoke", "bob")
    wait_until(lambda: not is_running(f"sleep {seconds}"), "its end")
    wait_until(lambda: not is_running(f"escape.py {seconds}"), "the end of its parent")


def test_programs_end_when_the_server_is_killed(
    escaping: str, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    seconds = unique_sleep().removeprefix("sleep ")
    server = start(line("box", f"exec:{escaping} {seconds} stays"))
    terminal(server, "bob").connect("box")
    wait_until(lambda: is_running(f"sleep {seconds}") or None, "the process that has escaped")
    server.kill()
    wait_until(lambda: not is_running(f"sleep {seconds}"), "its end")


DESCRIPTORS = "for one in $(seq 0 64); do [ ! -e /proc/$$/fd/$one ] || echo fd $one; done;"
"""Prints which descriptors a shell has; listing the folder would open one more."""


@pytest.mark.parametrize("workers", [1, 2])
def test_only_the_standard_descriptors_reach_a_program(
    workers: int, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    listing = f"sh -c '{DESCRIPTORS} echo end'"
    server = start(
        line("box", f"exec:/bin/sh -c '{DESCRIPTORS} sleep 1000'") + program("descriptors", listing),
        workers=workers,
    )
    for reload in (False, True):
        if reload:
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(lambda one: action_of(one) == "server-reloaded")
        with connect_as(server, "bob") as bob:
            bob.read_until()
            shown = bob.command("descriptors").splitlines()
            assert shown == ["fd 0", "fd 1", "fd 2", "end"]
        alice = terminal(server, "alice")
        alice.connect("box")
        shown = alice.until(b"fd 2\r\n").decode().split("\r\n")
        # A shell also keeps its terminal on another descriptor, which it has opened itself.
        assert {one for one in shown if one.startswith("fd ")} <= {"fd 0", "fd 1", "fd 2", "fd 10"}
        alice.leave()


CGROUPS = Path("/sys/fs/cgroup/unified") if Path("/sys/fs/cgroup/unified").exists() else Path("/sys/fs/cgroup")


@pytest.mark.skipif(
    not (CGROUPS / "cgroup.procs").exists() or not os.access(CGROUPS / "cgroup.procs", os.W_OK),
    reason="no cgroup can be made here, as systemd makes one that it delegates",
)
def test_with_a_delegated_cgroup_each_program_has_its_own_cgroup_that_ends_with_it(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    delegated = CGROUPS / f"telnetsd-test-{os.getpid()}"
    delegated.mkdir()
    try:
        server = start(
            line("box", "exec:/bin/sleep 1000"),
            before=lambda: delegated.joinpath("cgroup.procs").write_text("0") and None,
            INVOCATION_ID="0" * 32,
        )
        bob = terminal(server, "bob")
        bob.connect("box")
        (own,) = delegated.glob("program-*")
        assert own.joinpath("cgroup.procs").read_text().split()
        bob.leave()
        wait_until(lambda: not own.exists(), "the end of the cgroup")
        server.stop()
    finally:
        wait_until(lambda: not delegated.joinpath("cgroup.procs").read_text(), "the end of the server")
        delegated.rmdir()


def unfolded(table: str) -> str:
    """Return the text of a table without the whitespace that its cells are wrapped with."""
    return "".join(table.split())


@pytest.mark.parametrize("path", ["", "telnetsd.toml", "state.db", "certs", "certs/trust", "certs/ca.pem"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_a_home_folder_writable_by_others_is_not_served(path: str, mode: int, home: Home) -> None:
    place = home.root / path
    if not place.exists():
        place.write_text("")
    place.chmod(place.stat().st_mode | mode)
    said = refused(home, "serve", "--listen", "127.0.0.1:0")
    assert said.startswith(f"error: {path or home.root} is writable by others (mode ")
    remedy = f"chmod go-w {place}"
    assert said.rstrip().endswith(f"run: {remedy}")
    assert unfolded(remedy) in unfolded(telnetsd(home, "check").stdout)
    subprocess.run(remedy.split(), check=True)
    assert unfolded("no other user can write") in unfolded(telnetsd(home, "check").stdout)


def test_files_reached_through_a_link_are_checked_as_well(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    home.trust_folder.rename(elsewhere)
    home.trust_folder.symlink_to(elsewhere)
    (elsewhere / "x.pem").write_text("")
    (elsewhere / "x.pem").chmod(0o666)
    assert "certs/trust/x.pem is writable by others" in refused(home, "serve", "--listen", "127.0.0.1:0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_owner_is_not_served(home: Home) -> None:
    os.chown(home.state_file, 12345, -1)
    said = refused(home, "serve", "--listen", "127.0.0.1:0")
    assert said.startswith(
        "error: state.db belongs to uid 12345, not to uid 0, which runs the server, or to root; run: chown 0"
    )


def test_a_file_that_becomes_writable_by_others_is_not_reloaded(start: Callable[..., RunningServer]) -> None:
    server = start()
    server.home.config_file.write_text('[session]\nmotd = "x"\n')
    server.home.config_file.chmod(0o664)
    assert "telnetsd.toml is writable by others" in refused(server.home, "reload")
    server.wait_for(lambda one: action_of(one) == "reload-failed")


def test_init_sets_modes_whatever_the_umask_and_also_on_existing_files(tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    root.chmod(0o775)
    root.joinpath("telnetsd.toml").touch()
    root.joinpath("telnetsd.toml").chmod(0o664)
    init = [sys.executable, "-m", "telnetsd", "--home", str(root), "init"]
    subprocess.run(init, check=True, capture_output=True, umask=0o002, timeout=DEADLINE_S)
    server = RunningServer(Home(root))
    assert server.stop() == ""


def test_check_warns_about_programs_that_run_as_the_servers_user(home: Home) -> None:
    home.config_file.write_text(line("box", "exec:/bin/sh") + program("today", "/bin/date"))
    said = unfolded(telnetsd(home, "check").stdout)
    for what in ("line box", "command today"):
        assert unfolded(f"{what} runs a program as the server's user, who can read the CA's key") in said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_user_who_loses_the_connect_command_loses_the_line(
    workers: int, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        box = line("switch", f"tcp://127.0.0.1:{upstream.port}")
        server = start(box, workers=workers)
        bob = terminal(server, "bob")
        bob.connect("switch")
        server.home.config_file.write_text(box + '[roles.user]\ncommands = ["echo", "quit"]\n')
        done(server.home, "reload")
        bob.until(b"*** you may no longer use switch\r\n")
        ended = server.wait_for(lambda one: action_of(one) == "line-disconnected")
    assert (ended["event"]["reason"], get(ended, "user.name")) == ("line-withdrawn", "bob")


def test_a_read_only_participant_never_becomes_the_writer(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch", f"tcp://127.0.0.1:{upstream.port}", shared=True))
        bob, ed = terminal(server, "bob"), terminal(server, "ed")
        bob.connect("switch")
        ed.connect("--read-only switch")
        ed.send(b"\r~a")
        ed.until(b"*** you are connected read-only: leave with ~. and connect to write\r\n")
        bob.send(b"\r~h")
        bob.until(b"*** no session has asked to write\r\n")
        bob.leave()
        ed.send(b"\r~a")
        ed.until(b"*** you are connected read-only")
    assert [get(one, "user.name") for one in server.events() if one["event"]["reason"] == "handed-over"] == []


@pytest.mark.parametrize(
    "request_line",
    [
        b'{"verb":"session-list","verb":"session-watch"}',
        b'{"verb":"session-list","id":"session-watch"}',
        b'{"verb":"session-watch","verb":"session-list"}',
        b'{"verb":"counts","id":"\\"session-watch\\""}',
        b'{"verb":["session-watch"]}',
        b"\xff\xfe",
        b"",
    ],
)
def test_no_request_on_the_operators_socket_causes_a_traceback(request_line: bytes, server: RunningServer) -> None:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(DEADLINE_S)
        asking.connect(str(server.home.control_socket))
        asking.sendall(request_line + b"\n")
        answer = json.loads(asking.makefile("rb").readline())
    assert answer.keys() <= {"ok", "error"}
    # The server's standard error is checked when the module's server ends.


def test_a_lost_ca_key_can_be_replaced(start: Callable[..., RunningServer]) -> None:
    server = start()
    home = server.home
    assert "or rotate without --lost-key" in refused(home, "ca", "rotate", "--lost-key")
    home.ca_key.unlink()
    said = done(home, "ca", "rotate", "--lost-key")
    assert "no longer signs CRLs" in said
    done(home, "user", "add", "carol")
    event = server.wait_for(lambda one: action_of(one) == "ca-rotated")
    assert "is lost" in event["message"]
    server.wait_for(lambda one: action_of(one) == "server-reloaded")
    # Users with a certificate of the old CA are still recognised, and so is carol with one of the new CA.
    for user in ("bob", "carol"):
        with connect_as(server, user) as client:
            assert f"you are {user}" in client.read_until()
    assert telnetsd(home, "check").returncode == 0
