"""Commands that run a program of the operator's: their arguments, their output, and how they end."""

import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from support.audit import read_log
from support.client import connect_as
from support.command_line import telnetsd
from support.processes import is_running, unique_sleep
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.files.home import Home


def program(name: str, words: str, **options: object) -> str:
    rows = {"name": name, "exec": words, "summary": "a program", **options}
    return "\n".join(["[[command]]", *(f"{key} = {json.dumps(value)}" for key, value in rows.items()), ""])


@pytest.fixture(scope="module")
def shared_settings() -> str:
    """A program that prints each of its arguments separately."""
    return program("show", """sh -c 'for word; do printf "[%s] " "$word"; done' show""", arguments_max=2)


def test_a_program_runs_with_a_clean_environment_and_its_output_is_shown(start: Callable[..., RunningServer]) -> None:
    server = start(program("environment", "env"), SECRET="do not tell")
    with connect_as(server, "bob") as bob:
        bob.read_until()
        said = dict(row.split("=", 1) for row in bob.command("environment").splitlines())
        assert set(said) == {"PATH", "TELNETSD_USER", "TELNETSD_SESSION"}
        assert said["TELNETSD_USER"] == "bob"
        assert "environment" in bob.command("help")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("show one two", "[one] [two]"),
        ("show", ""),
        ("show a b c", "usage: show [ARGUMENT … 2]"),
        ("show -x", "show accepts arguments of "),
        ("show $(id)", "show accepts arguments of "),
        ("show ;id", "show accepts arguments of "),
        ("show ä", "show accepts arguments of "),
    ],
)
def test_arguments_are_checked_and_never_reach_a_shell(typed: str, said: str, server: RunningServer) -> None:
    with connect_as(server, "bob") as bob:
        bob.read_until()
        assert bob.command(typed).strip().startswith(said)


def test_a_failed_program_is_reported_and_logged_with_its_exit_status(
    start: Callable[..., RunningServer], home: Home
) -> None:
    toml = program("broken", "sh -c 'echo oh; exit 7'") + program(
        "slow", "sh -c 'echo begun; sleep 60'", timeout_s=0.3
    )
    server = start(toml + program("endless", "yes", output_max_bytes=2000))
    with connect_as(server, "bob") as bob:
        bob.read_until()
        assert bob.command("broken") == "oh\nbroken failed: exit status 7"
        assert bob.command("slow") == "begun\nslow exceeded its time limit of 0.3 s and was stopped"
        assert bob.command("endless").endswith("endless exceeded its output limit of 2000 bytes and was stopped")
    server.stop()
    failed = [one for one in read_log(home.audit_file) if action_of(one) == "command-failed"]
    assert [one["event"]["reason"] for one in failed] == [
        "program-failed",
        "program-timeout",
        "program-output-too-long",
    ]
    assert get(failed[0], "telnetsd.command.exit_status") == 7


def test_program_output_cannot_control_the_terminal(start: Callable[..., RunningServer]) -> None:
    server = start(program("hostile", r"printf '\033]0;owned\007\377\n'"))
    with connect_as(server, "bob") as bob:
        bob.read_until()
        assert bob.command("hostile") == "\\x1b]0;owned\\x07\ufffd"


def test_a_configured_command_requires_its_roles_and_its_class(start: Callable[..., RunningServer]) -> None:
    toml = program("reboot", "true", roles=["operator"]) + program("vault", "true", min_class=3)
    server = start(toml + program("public", "echo hi", roles=["guest"]))
    with connect_as(server, "bob") as bob, connect_as(server, "alice") as alice, connect_as(server) as guest:
        for client in (bob, alice, guest):
            client.read_until()
        assert bob.command("reboot").startswith(
            "permission denied: `reboot` requires the role operator; you have the role user"
        )
        assert bob.command("vault").startswith("permission denied: `vault` requires class 3; you have class 1")
        assert alice.command("reboot") == ""
        assert guest.command("public") == "hi"


def test_a_program_ends_when_its_client_disconnects(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    note = tmp_path / "pid"
    server = start(program("slow", f"sh -c 'echo $$ > {note}; sleep 1000'"))
    with connect_as(server, "bob") as bob:
        bob.read_until()
        bob.send(b"slow\r\n")
        process = wait_until(lambda: note.read_text().strip() if note.exists() else "", "the program")
        # Disconnected, and not only silent: a client that closes one side may still want to read the answer.
        bob.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: not Path(f"/proc/{process}").exists(), "the end of the program")
    ended = server.wait_for(lambda event: action_of(event) == "command-failed")
    assert ended["event"]["reason"] == "session-ended"
    assert server.stop() == ""


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            program("a", "no-such-program"),
            "wrong [[command]] 'a' in telnetsd.toml: program 'no-such-program' not found or not executable",
        ),
        (program("a", "'"), "wrong [[command]] 'a' in telnetsd.toml: No closing quotation"),
        (program("a", "true", roles=["boss"]), "'a' in telnetsd.toml: no role 'boss'; define [roles.boss]"),
        (program("echo", "true"), "two commands are named 'echo'"),
    ],
)
def test_an_invalid_configured_command_is_refused(toml: str, said: str, home: Home) -> None:
    home.config_file.write_text(toml)
    done = telnetsd(home, "serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_program_that_closed_its_output_ends_when_its_client_disconnects(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    script = tmp_path / "quiet.sh"
    sleep = unique_sleep()
    script.write_text(f"exec >/dev/null 2>&1\nexec {sleep}\n")
    server = start(program("quiet", f"sh {script}"))
    with connect_as(server, "bob") as bob:
        bob.read_until()
        bob.send(b"quiet\r\n")
        wait_until(lambda: is_running(sleep), "the program")
        bob.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: not is_running(sleep), "its end")
