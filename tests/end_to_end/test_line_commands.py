"""What is typed on a recorded line is in the audit log as a command, if the line shows it, and only then."""

import json
import sys
from collections.abc import Callable

import pytest

from support.command_line import telnetsd
from support.dialogues import FOLDER
from support.lines import OpenTerminal, Terminal, line
from support.server import Event, RunningServer, action_of, get
from telnetsd.files.home import Home

SHELL = "exec:/usr/bin/env PS1='# ' /bin/bash --noprofile --norc -i"
EQUIPMENT = f"exec:{sys.executable} {FOLDER.parent / 'support' / 'equipment.py'}"


def commands(server: RunningServer) -> list[str]:
    return [get(event, "telnetsd.line.command") for event in server.events() if action_of(event) == "line-command"]


def wait_for_command(server: RunningServer, command: str) -> Event:
    return server.wait_for(
        lambda event: action_of(event) == "line-command" and get(event, "telnetsd.line.command") == command
    )


def run(terminal: Terminal, command: str) -> bytes:
    """Type a command, and return what is shown up to the next prompt."""
    terminal.send(command.encode() + b"\r")
    return terminal.until(b"\r\n") + terminal.until(b"# ")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_command_is_logged_with_its_user_its_prompt_and_where_to_see_it(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal, workers: int
) -> None:
    server = start(line("shell", SHELL, record=True), workers=workers)
    bob = terminal(server, "bob")
    bob.connect("shell")
    bob.until(b"# ")

    run(bob, "echo hello")

    event = wait_for_command(server, "echo hello")
    assert get(event, "user.name") == "bob"
    assert get(event, "telnetsd.line.name") == "shell"
    assert get(event, "telnetsd.line.prompt") == "#"
    assert event["event"]["reason"] == "typed"
    assert event["message"] == "bob typed on shell: echo hello"
    assert (home.recordings_folder / get(event, "telnetsd.recording.file")).exists()
    assert get(event, "telnetsd.recording.offset_s") >= 0
    assert get(event, "telnetsd.session.id") == get(server.session_from(bob.client.port), "telnetsd.session.id")


def test_each_line_of_a_paste_is_logged(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("sw1", f"{EQUIPMENT} noisy_console", record=True))
    bob = terminal(server, "bob")
    bob.connect("sw1")
    bob.until(b"# ")

    bob.send(b"".join(b"command %d\r" % number for number in range(100)))

    bob.until(b"sh: command 99: done\r\n")
    wait_for_command(server, "command 99")
    assert commands(server) == [f"command {number}" for number in range(100)]


def test_a_password_that_is_not_echoed_is_nowhere_on_disk(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("sw1", f"{EQUIPMENT} ios", record=True))
    bob = terminal(server, "bob")
    bob.connect("sw1")
    bob.until(b"Username: ")
    bob.send(b"admin\r")
    bob.until(b"Password: ")
    bob.send(b"hunter2-geheim\r")
    bob.until(b"sw1>")
    bob.send(b"show clock\r")

    wait_for_command(server, "show clock")

    assert commands(server) == ["admin", "show clock"]
    bob.leave()
    assert server.stop() == ""
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2-geheim" in path.read_bytes()]
    assert "hunter2" not in "".join(
        telnetsd(home, "recording", "play", "--raw", one.name).stdout for one in home.recordings_folder.glob("*.cast")
    )


def test_what_a_pattern_matches_is_left_out_of_a_logged_command(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    patterns = [r"(?i)(?:secret|password) (\S+)"]
    server = start(line("sw1", f"{EQUIPMENT} noisy_console", record=True, redact=patterns))
    bob = terminal(server, "bob")
    bob.connect("sw1")
    bob.until(b"# ")

    bob.send(b"username admin privilege 15 SECRET hunter2 now\r")

    wait_for_command(server, "username admin privilege 15 SECRET [redacted] now")
    assert not [event for event in server.events() if "hunter2" in json.dumps(event)]


def test_a_command_is_logged_for_the_user_who_typed_it_when_another_takes_over(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("sw1", f"{EQUIPMENT} noisy_console", record=True, shared=True))
    bob, alice = terminal(server, "bob"), terminal(server, "alice")
    bob.connect("sw1")
    bob.until(b"# ")
    bob.send(b"rm -r")
    bob.until(b"rm -r")
    alice.connect("--force sw1")
    alice.send(b"\x15uname\r")
    alice.until(b"sh: uname: done")
    alice.send(b"\r~.")
    bob.until(b"alice has left")
    bob.send(b"\r~a")
    bob.until(b"you now write to sw1")

    bob.send(b"date\r")

    wait_for_command(server, "date")
    found = [event for event in server.events() if action_of(event) == "line-command"]
    assert [(get(one, "user.name"), get(one, "telnetsd.line.command")) for one in found] == [
        ("alice", "uname"),
        ("bob", "date"),
    ]


def test_keys_to_a_full_screen_program_are_marked_and_not_logged(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("shell", SHELL, record=True))
    bob = terminal(server, "bob")
    bob.connect("shell")
    bob.until(b"# ")
    bob.send(b"printf '\\033[?1049h'; read x; printf '\\033[?1049l'\r")
    bob.until(b"\x1b[?1049h")
    bob.send(b"typed to an editor\r")
    bob.until(b"\x1b[?1049l")
    bob.until(b"# ")

    run(bob, "uname")

    wait_for_command(server, "uname")
    found = [event for event in server.events() if action_of(event).startswith("line-") and get(event, "user.name")]
    assert [event["event"]["reason"] for event in found if action_of(event) == "line-fullscreen"] == [
        "full-screen",
        "full-screen-ended",
    ]
    assert "typed to an editor" not in json.dumps(found)


def test_nothing_is_logged_of_what_is_typed_on_a_line_that_is_not_recorded(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("shell", SHELL))
    bob = terminal(server, "bob")
    bob.connect("shell")
    bob.until(b"# ")

    run(bob, "echo hello")

    bob.leave()
    server.wait_for(lambda event: action_of(event) == "line-disconnected")
    assert commands(server) == []


def test_a_command_with_control_characters_cannot_reach_a_terminal_that_shows_the_log(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = start(line("sw1", f"{EQUIPMENT} noisy_console", record=True))
    bob = terminal(server, "bob")
    bob.connect("sw1")
    bob.until(b"# ")

    bob.send("echo \u202eevil\u200b\r".encode())

    wait_for_command(server, "echo \\u202eevil\\u200b")


@pytest.mark.parametrize("pattern", ["(", "a" * 1001, ""])
def test_a_pattern_that_cannot_be_used_is_refused(home: Home, pattern: str) -> None:
    home.config_file.write_text(line("sw1", "tcp://127.0.0.1:1", record=True, redact=[pattern]))

    result = telnetsd(home, "check")

    assert result.returncode == 1
    assert "redact" in result.stdout
