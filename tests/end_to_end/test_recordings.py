"""Recordings: what a line showed, byte for byte, vouched for by the log, and harmless to play."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from support.audit import read_log
from support.client import connect_as
from support.command_line import telnetsd
from support.lines import OpenTerminal, line
from support.server import RunningServer, action_of, get, wait_until
from support.upstreams import Upstream
from telnetsd.files.home import Home

SHOWN = (
    "größer ✓\r\n".encode()
    + b"\x1b[31mred\x1b[0m \x1b]52;c;b3duZWQ=\x07\x1b[c raw: \xff\xfe\x80 "
    + bytes(range(1, 256))
)

EVENT_MAX_BYTES = 16384 + 100
"""The most that one read of the upstream adds to a recording, if it is text."""


def show(connection: socket.socket) -> None:
    for start in range(0, len(SHOWN), 7):
        connection.sendall(SHOWN[start : start + 7])
    connection.recv(100)
    connection.sendall(b"the end")


def record(start: Callable[..., RunningServer], terminal: OpenTerminal, **options: object) -> RunningServer:
    with Upstream(show) as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", record=True, **options))
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.until(b"\xfd\xfe\xff\xff")
        bob.send(b"secret\r")
        bob.until(b"*** switch-1 has closed")
        server.wait_for(lambda event: action_of(event) == "recording-closed")
    return server


def the_recording(home: Home) -> Path:
    (file,) = home.recordings_folder.glob("*.cast")
    return file


def test_a_recording_is_replayed_byte_for_byte_and_the_log_vouches_for_it(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    record(start, terminal).stop()
    file = the_recording(home)
    assert telnetsd(home, "recording", "play", "--raw", file.stem).output == SHOWN + b"the end"
    assert file.stat().st_mode & 0o777 == 0o600
    assert home.recordings_folder.stat().st_mode & 0o777 == 0o700
    closed = next(one for one in read_log(home.audit_file) if action_of(one) == "recording-closed")
    assert get(closed, "telnetsd.recording.file") == file.name
    assert get(closed, "telnetsd.recording.bytes") == file.stat().st_size
    assert get(closed, "user.name") == "bob"
    (row,) = json.loads(telnetsd(home, "recording", "list", "--json").stdout)
    assert (row["line"], row["user"], row["file"], row["is_whole"]) == ("switch-1", "bob", file.name, True)
    done = telnetsd(home, "recording", "verify")
    assert done.returncode == 0
    assert f"{file.name}  intact" in done.stdout


def test_a_recording_is_an_asciicast_of_version_3(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    record(start, terminal).stop()
    header, *events = [json.loads(row) for row in the_recording(home).read_text(encoding="utf-8").splitlines()]
    assert header["version"] == 3
    assert header["term"] == {"cols": 80, "rows": 24, "type": "vt100"}
    assert header["title"] == "switch-1: bob"
    assert {code for _, code, _ in events} <= {"o", "b", "m"}
    assert all(isinstance(delay, int | float) and delay >= 0 for delay, _, _ in events)
    assert "secret" not in the_recording(home).read_text(encoding="utf-8")
    assert "größer ✓" in "".join(data for _, code, data in events if code == "o")


def test_input_is_recorded_only_where_the_line_says_so(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    record(start, terminal, record_input=True).stop()
    events = [json.loads(row) for row in the_recording(home).read_text(encoding="utf-8").splitlines()[1:]]
    assert [data for _, code, data in events if code == "i"] == ["secret\r"]


def test_playing_shows_text_and_colours_and_nothing_that_controls_the_terminal(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    record(start, terminal).stop()
    played = telnetsd(home, "recording", "play", "--speed", "1000", the_recording(home).name).stdout
    assert "größer ✓" in played
    assert "\x1b[31mred\x1b[0m" in played
    assert "\x1b]" not in played
    assert "\x1b[c" not in played


@pytest.mark.parametrize("change", ["a byte", "gone"])
def test_a_changed_or_missing_recording_is_detected(
    change: str, start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    record(start, terminal).stop()
    file = the_recording(home)
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b"red", b"rod"))
    done = telnetsd(home, "recording", "verify")
    assert done.returncode == 1
    assert ("missing" if change == "gone" else "changed") in done.stdout


@pytest.mark.parametrize("words", [("play", "--speed", "1000"), ("export",)])
def test_who_plays_or_exports_a_changed_recording_is_warned(
    words: tuple[str, ...], start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    record(start, terminal).stop()
    file = the_recording(home)
    assert telnetsd(home, "recording", *words, file.name).stderr == ""
    file.write_bytes(file.read_bytes().replace(b"the end", b"THE END"))
    shown = telnetsd(home, "recording", *words, file.name)
    assert shown.stderr == f"warning: {file.name} was changed after the audit log vouched for it\n"
    assert "THE END" in shown.stdout
    home.audit_file.unlink()
    shown = telnetsd(home, "recording", *words, file.name)
    assert shown.stderr.startswith("warning: the audit log does not say whether this recording was changed: ")


def test_a_long_recording_continues_in_further_files_and_the_log_vouches_for_each(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"x" * 100_000 + b"the end")
        connection.recv(1)

    with Upstream(flood) as upstream:
        server = start(line("a", f"tcp://127.0.0.1:{upstream.port}", record=True, recording_max_bytes=20_000))
        bob = terminal(server, "bob")
        bob.connect("a")
        bob.until(b"the end")
        bob.leave()
        server.wait_for(lambda event: action_of(event) == "line-disconnected")
    assert server.stop() == ""
    files = sorted(home.recordings_folder.iterdir())
    assert len(files) > 3
    assert all(file.stat().st_size < 20_000 + EVENT_MAX_BYTES for file in files)
    shown = b"".join(telnetsd(home, "recording", "play", "--raw", file.name).output for file in files)
    assert shown == b"x" * 100_000 + b"the end"
    rows = json.loads(telnetsd(home, "recording", "list", "--json").stdout)
    assert {(row["file"], row["is_whole"], row["user"]) for row in rows} == {(one.name, True, "bob") for one in files}
    assert telnetsd(home, "recording", "verify").stdout.count("intact") == len(files)


def test_a_line_that_must_be_recorded_and_cannot_be_is_not_connected(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        home.recordings_folder.write_text("in the way")
        server = start(line("a", f"tcp://127.0.0.1:{upstream.port}", record=True))
        bob = terminal(server, "bob")
        assert bob.ask("a") == "a must be recorded, but cannot be: file exists"
        wait_until(lambda: upstream.closed.acquire(blocking=False), "the end of the upstream")
        assert bob.client.command("lines") == "a  tcp     free"


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]\n", b'{"version":2,"term":{"cols":1,"rows":1}}\n', b"\xff"])
def test_an_invalid_recording_is_refused_with_a_message(content: bytes, home: Home) -> None:
    home.recordings_folder.mkdir(mode=0o700)
    (home.recordings_folder / "x.cast").write_bytes(content)
    done = telnetsd(home, "recording", "play", "x")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert telnetsd(home, "recording", "play", "y").stderr.startswith("error: no recordings end with 'y'")


def test_an_auditor_reads_everything_and_changes_nothing(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    assert telnetsd(home, "user", "add", "vera", "--role", "auditor").returncode == 0
    server = start(line("shell", "exec:/bin/cat", record=True))
    bob = terminal(server, "bob")
    bob.connect("shell")
    bob.send(b"show version\r")
    bob.until(b"show version\r\nshow version\r\n")
    bob.leave()
    with connect_as(server, "vera") as vera:
        vera.read_until()
        assert [row.split()[0] for row in vera.command("help").splitlines()] == [
            "audit", "ca", "collect", "enroll", "help", "motd", "quit", "recordings", "sessions", "whoami",
        ]  # fmt: skip
        assert "bob" in vera.command("sessions")
        assert "connect shell" in vera.command("audit 50")
        listed = vera.command("recordings")
        name = listed.split()[-1]
        assert "  shell " in listed
        assert name.endswith(".cast")
        assert "show version" in vera.command(f"recordings {name}")
        for refused in ("kick 12345678", "connect shell", "wall hello", "renew"):
            assert vera.command(refused).startswith("permission denied: ")
        for wrong in ("recordings ../../state.db", "recordings -h", "recordings nothing.cast"):
            said = vera.command(wrong)
            assert said.endswith("see `recordings`")
            assert str(home.root) not in said
    denied = [one for one in read_log(home.audit_file) if get(one, "user.name") == "vera"]
    assert [get(one, "event.reason") for one in denied if action_of(one) == "command-denied"] == ["role-missing"] * 4
    assert [get(one, "event.reason") for one in denied if action_of(one) == "command-failed"] == ["not-found"] * 3
