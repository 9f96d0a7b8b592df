"""Nothing runs unrecorded, and the log records no more than necessary."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from support.audit import assert_intact, read_log
from support.certificates import Recipe
from support.client import Client, connect_as
from support.command_line import done, refused, telnetsd
from support.lines import OpenTerminal, line
from support.machine import DEADLINE_S
from support.server import ELSEWHERE, RunningServer, action_of, get, wait_until
from support.upstreams import Upstream
from telnetsd.audit.key import load_audit_key
from telnetsd.audit.who import CLAIMED_MAX_BYTES
from telnetsd.files.home import Home


@pytest.mark.parametrize("space", ["\v" * 2050, " " * 300], ids=["vertical tabs", "spaces"])
@pytest.mark.parametrize("user", ["bob", None])
def test_whitespace_cannot_push_an_argument_out_of_the_record(
    user: str | None, space: str, server: RunningServer
) -> None:
    command = "echo" if user else "help"
    with connect_as(server, user) as client:
        client.read_until()
        client.command(f"{command}{space}who")
        lines = [
            get(event, "telnetsd.command.line")
            for event in server.events()
            if action_of(event).startswith("command-") and get(event, "source.port") == client.port
        ]
    assert lines[0] == f"{command} who"


def test_a_command_whose_record_would_be_cut_is_refused_and_the_refusal_is_logged(server: RunningServer) -> None:
    with connect_as(server, "bob") as client:
        client.read_until()
        said = client.command("echo x" + "\v" * 2050 + "hidden")
        assert said == ("too long: the log accepts 8192 characters, with unprintable ones escaped; shorten the line")
        event = server.session_from(client.port, "command-denied")
    assert event["event"]["reason"] == "line-too-long"


def certificates_in(home: Home) -> list[tuple[str, str]]:
    """Return the action of each event with a full certificate, and the end of its session id."""
    return [
        (action_of(event), get(event, "telnetsd.session.id")[-8:])
        for event in read_log(home.audit_file)
        if get(event, "tls.client.x509") and get(event, "telnetsd.session.id")
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_certificate_is_recorded_in_full_once_per_session_and_all_events_are_found_by_it(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    server = start(workers=workers)
    with connect_as(server, "bob") as client:
        client.read_until()
        for number in range(3):
            client.command(f"echo {number}")
        client.send(b"quit\r\n")
        client.read_to_end()
    server.wait_for(lambda event: action_of(event) == "session-ended")
    ((action, session),) = certificates_in(server.home)
    assert action == "session-started"
    (started,) = [event for event in server.events() if action_of(event) == "session-started"]
    sha256, number = get(started, "tls.client.hash.sha256"), get(started, "tls.client.x509.serial_number")
    for certificate in (sha256, sha256[:16].lower(), number):
        found = done(server.home, "audit", "search", "--certificate", certificate, "--json").splitlines()
        in_session = [one for one in map(json.loads, found) if get(one, "telnetsd.session.id")]
        assert {get(one, "telnetsd.session.id")[-8:] for one in in_session} == {session}
        assert [action_of(one) for one in in_session] == [
            "session-started",
            *["command-executed"] * 4,
            "session-ended",
        ]
    rows = done(server.home, "audit", "export", "--format", "csv", "--session", session).splitlines()
    assert all("CN=bob" in row and number in row for row in rows[1:])
    figures = json.loads(done(server.home, "audit", "stats", "--certificate", sha256, "--json"))
    assert figures["events_by_action"]["command-executed"] == 4
    assert "CN=bob" in done(server.home, "audit", "show", session)
    assert refused(server.home, "audit", "search", "--certificate", "0" * 64).startswith("error: no matching events")


def test_each_log_file_begins_with_the_open_sessions(start: Callable[..., RunningServer]) -> None:
    server = start("[audit]\nrotate_bytes = 20000\n")
    with connect_as(server, "bob") as client:
        client.read_until()
        wait_until(lambda: client.command("echo on") and _files(server.home) > 2, "rotated files")
        names = [name for name, _ in certificates_in(server.home)]
        assert names[0] == "session-continued" or "session-continued" in names
    server.stop()
    assert_intact(server.home.audit_file, load_audit_key(server.home))
    newest = [json.loads(one) for one in server.home.audit_file.read_text().splitlines()]
    continued = [one for one in newest if action_of(one) == "session-continued"]
    assert all(get(one, "tls.client.subject") == "CN=bob" for one in continued)
    # The repeated events are not actions of bob.
    found = done(server.home, "audit", "search", "--user", "bob", "--json").splitlines()
    assert "session-continued" not in {action_of(json.loads(one)) for one in found}


def _files(home: Home) -> int:
    return len(list(home.audit_file.parent.glob("audit*.jsonl*")))


def test_a_guests_certificate_uses_at_most_two_kilobytes_of_the_log(server: RunningServer, tmp_path: Path) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName(f"host-{number}.example.com") for number in range(300)])
    pair = Recipe(extensions=[*Recipe().extensions, (names, False)]).self_signed()
    with Client(server.port, server.home.ca_certificate, pair.save(tmp_path, "long")) as client:
        client.read_until(b"guest> ")
        client.command("x")
        events = [one for one in server.events() if get(one, "source.port") == client.port]
    sizes = [len(json.dumps(get(one, "tls.client"), separators=(",", ":")).encode()) for one in events]
    assert sizes[0] <= CLAIMED_MAX_BYTES
    assert len(json.dumps(events[1])) < 2000


def test_guests_of_a_source_can_fill_only_their_share_of_the_log_and_users_beside_them_are_served(
    start: Callable[..., RunningServer],
) -> None:
    limits = "exempt = []\nguest_log_bytes_per_hour = 16384\npenalty_guest_s = 0\nguest_lines_per_s = 1000\n"
    server = start(f"[limits]\n{limits}guest_lines_burst = 10000\nall_guests_lines_per_s = 100000\n")
    with connect_as(server, source=ELSEWHERE) as guest:
        guest.read_until(b"guest> ")
        said = ""
        while "used up their share" not in said:
            said = guest.command("nothing")
        assert said.splitlines() == [
            "refused: guests from your network have used up their share of the audit log",
            "connect with a certificate, or in an hour",
        ]
        size = server.home.audit_file.stat().st_size
        for _ in range(50):
            assert guest.command("help") == said
        assert server.home.audit_file.stat().st_size == size
        with connect_as(server, source=ELSEWHERE) as another:
            assert another.read_to_end().splitlines() == said.splitlines()
        # A user at the same address is served and logged.
        with connect_as(server, "bob", source=ELSEWHERE) as bob:
            bob.read_until()
            assert bob.command("echo here") == "here"
        with connect_as(server) as elsewhere:
            elsewhere.read_until(b"guest> ")
    event = server.wait_for(lambda one: action_of(one) == "guests-refused")
    assert (event["event"]["reason"], event["event"]["outcome"]) == ("log-filled", "failure")
    assert get(event, "source.ip") == ELSEWHERE
    assert get(event, "telnetsd.commands") >= 50
    assert get(event, "telnetsd.connections") == 1


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ["asked", "handed over"])
def test_the_writer_of_a_line_does_not_change_while_the_log_cannot_be_written(
    how: str, workers: int, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch", f"tcp://127.0.0.1:{upstream.port}", shared=True), workers=workers)
        bob, alice = terminal(server, "bob"), terminal(server, "alice")
        bob.connect("switch")
        alice.connect("switch")
        if how == "asked":
            bob.leave()
            alice.until(b"lets you write\r\n")
        else:
            alice.send(b"\r~a")
            bob.until(b"~h hands over switch\r\n")
        folder = server.home.audit_file.parent
        moved = folder.rename(folder.with_name("away"))
        folder.write_bytes(b"")
        sentence = b"the writer of switch does not change"
        if how == "asked":
            alice.send(b"\r~a")
            assert sentence in alice.until(b"try again later\r\n")
        else:
            bob.send(b"\r~h")
            assert sentence in bob.until(b"try again later\r\n")
        alice.send(b"not sent\r")
        folder.unlink()
        moved.rename(folder)
        alice.until(b"the audit log can be written again\r\n")
    connected = [
        (get(one, "user.name"), one["event"]["reason"])
        for one in server.events()
        if action_of(one) == "line-connected"
    ]
    assert ("alice", "handed-over") not in connected


def test_the_next_server_closes_the_sessions_and_vouches_for_the_recordings_of_a_killed_server(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch", f"tcp://127.0.0.1:{upstream.port}", record=True))
        home = server.home
        bob = terminal(server, "bob")
        bob.connect("switch")
        bob.until(b"# ")
        server.kill()
    (recording,) = home.audit_file.parent.glob("recordings/*.cast")
    again = start()
    ended = again.wait_for(lambda one: action_of(one) == "session-ended")
    assert (ended["event"]["reason"], get(ended, "user.name")) == ("server-lost", "bob")
    assert get(ended, "tls.client.x509") is None
    closed = again.wait_for(lambda one: action_of(one) == "recording-closed")
    assert (closed["event"]["reason"], get(closed, "telnetsd.recording.is_whole")) == ("server-lost", False)
    assert get(closed, "telnetsd.recording.file") == recording.name
    assert "not ended" not in done(home, "audit", "show", get(ended, "telnetsd.session.id"))
    assert "server-lost" in done(home, "audit", "show", get(ended, "telnetsd.session.id"))
    assert telnetsd(home, "recording", "verify").returncode == 0
    again.stop()
    # Only once: the next server finds nothing open.
    third = start()
    third.stop()
    reasons = [one["event"]["reason"] for one in third.events() if action_of(one) == "session-ended"]
    assert reasons == ["server-lost"]


def test_a_removed_log_is_reported_by_verify_by_check_and_by_the_next_event(home: Home) -> None:
    done(home, "user", "add", "carol")
    shutil.rmtree(home.audit_file.parent)
    said = telnetsd(home, "audit", "verify")
    assert said.returncode == 1
    assert said.stdout.startswith("removed: the log: ")
    assert "missing, according to state.db" in said.stdout
    assert "the audit log is missing: it had " in telnetsd(home, "check").stdout
    done(home, "user", "add", "dora")
    damaged = [one for one in read_log(home.audit_file) if action_of(one) == "audit-damaged"]
    assert [one["event"]["reason"] for one in damaged] == ["log-missing"]
    assert telnetsd(home, "audit", "verify").returncode == 1


def test_the_event_of_a_new_audit_key_says_that_the_previous_one_was_lost(home: Home) -> None:
    home.audit_key.unlink()
    done(home, "audit", "key", "--new")
    (event,) = [one for one in read_log(home.audit_file) if action_of(one) == "audit-key-changed"]
    assert event["message"].endswith("; the previous one was lost")


def test_the_logged_operator_is_the_system_user_whatever_the_environment_says(home: Home) -> None:
    done(home, "user", "add", "carol", LOGNAME="mallory", USER="mallory", SUDO_USER="al\x1bice")
    (event,) = [one for one in read_log(home.audit_file) if action_of(one) == "user-added"][-1:]
    assert get(event, "telnetsd.operator.name") != "mallory"
    assert get(event, "telnetsd.operator.sudo_user") == r"al\x1bice"


@pytest.mark.parametrize("verb", ["tail", "search", "stats", "export"])
def test_output_does_not_fail_on_a_character_that_the_terminal_lacks(
    verb: str, server: RunningServer, tmp_path: Path
) -> None:
    pair = Recipe(subject=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "guest \U0001f600")])).self_signed()
    with Client(server.port, server.home.ca_certificate, pair.save(tmp_path, "emoji")) as client:
        client.read_until(b"guest> ")
    command = [sys.executable, "-m", "telnetsd", "--home", str(server.home.root), "audit", verb]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    finished = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=DEADLINE_S)
    assert (finished.returncode, finished.stderr) == (0, b"")
    if verb != "stats":
        assert rb"\U0001f600" in finished.stdout or "\U0001f600".encode() in finished.stdout
