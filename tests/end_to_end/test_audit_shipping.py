"""Collectors get every event, and none of them delays a session."""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.audit import assert_intact, read_log
from support.client import connect_as
from support.command_line import telnetsd
from support.machine import DEADLINE_S
from support.rsyslog import Rsyslog, free_port
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.audit.file import seal_path
from telnetsd.audit.key import load_audit_key
from telnetsd.audit.shipping.collector import JOURNALD_SOCKET
from telnetsd.files.home import Home


def shipping_to(to: str, **options: object) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": "collector", "to": to, **options}.items()]
    return "\n".join(["[[audit.shipping]]", *lines, ""])


def lines_of(home: Home) -> list[str]:
    return home.audit_file.read_text().splitlines()


def type_words(server: RunningServer, *words: str) -> None:
    with connect_as(server, "bob") as client:
        client.read_until()
        for word in words:
            assert client.command(f"echo {word}").endswith(word)


@pytest.mark.parametrize("kind", ["udp", "tcp", "tls"])
def test_a_syslog_collector_gets_every_line_unchanged(
    kind: str, start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    already = lines_of(home)
    options = {"ca": "certs/ca.pem", "certificate": "certs/users/bob.pem", "key": "certs/users/bob.key"}
    with Rsyslog(tmp_path / "rsyslog", kind, home) as collector:
        server = start(shipping_to(f"syslog+{kind}://localhost:{collector.port}", **options if kind == "tls" else {}))
        type_words(server, "one", "two", "x" * 3000, '\\ and " and é')
        assert server.stop() == ""
        received = collector.wait_for('"reason":"server-stopped"')
    assert [one.content.strip() for one in received] == lines_of(home)[len(already) :]
    for one in received:
        event = json.loads(one.content)
        severity = 4 if event["event"]["outcome"] == "failure" else 5
        assert one.priority == str(10 * 8 + severity)
        assert one.program == "telnetsd"
        assert one.message_id == event["event"]["action"]
        assert one.host == socket.gethostname()
        assert one.time[:19] == event["@timestamp"][:19]


def test_an_unreachable_collector_gets_the_missed_events_when_it_is_back(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    port = free_port()
    server = start(shipping_to(f"syslog+tcp://127.0.0.1:{port}"))
    type_words(server, "while-away")
    said = server.process.stderr
    assert said is not None
    assert re.fullmatch(
        r"WARNING: the collector collector \(syslog\+tcp://127.0.0.1:\d+\) is unreachable: .*Connection refused; "
        r"it gets the missed events when it is back\n",
        said.readline(),
    )
    with Rsyslog(tmp_path / "first", "tcp", home, port) as collector:
        collector.wait_for("while-away")
        assert said.readline() == "WARNING: the collector collector is reachable again\n"
        type_words(server, "while-there")
        collector.wait_for("while-there")
    type_words(server, "while-away-again")
    with Rsyslog(tmp_path / "second", "tcp", home, port) as collector:
        collector.wait_for("while-away-again")
    server.stop()
    assert not [one for one in read_log(home.audit_file) if action_of(one) == "audit-not-shipped"]


def test_events_that_verbs_write_while_no_server_runs_are_shipped_by_the_next_server(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    with Rsyslog(tmp_path / "rsyslog", "tcp", home) as collector:
        toml = shipping_to(f"syslog+tcp://127.0.0.1:{collector.port}")
        start(toml).stop()
        assert telnetsd(home, "user", "add", "carol").returncode == 0
        start(toml).stop()
        received = collector.wait_for("user carol was added")
        sequences = [json.loads(one.content)["event"]["sequence"] for one in received]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_the_log_is_shipped_across_rotation_and_compression(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    port = free_port()
    toml = "[audit]\nrotate_bytes = 4096\n" + shipping_to(f"syslog+tcp://127.0.0.1:{port}")
    server = start(toml)
    type_words(server, *(f"early-{number}" for number in range(15)))
    server.stop()
    server = start(toml)
    wait_until(lambda: not list(home.audit_file.parent.glob("audit-*.jsonl")), "the compression")
    with Rsyslog(tmp_path / "rsyslog", "tcp", home, port) as collector:
        type_words(server, *(f"late-{number}" for number in range(15)))
        received = collector.wait_for("late-14")
        sequences = [json.loads(one.content)["event"]["sequence"] for one in received]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        assert any("early-0" in one.content for one in received)


def test_a_collector_too_far_behind_misses_the_oldest_events_and_the_log_says_which(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    port = free_port()
    server = start(shipping_to(f"syslog+tcp://127.0.0.1:{port}", queue_events=5))
    type_words(server, *(f"word-{number}" for number in range(20)))
    with Rsyslog(tmp_path / "rsyslog", "tcp", home, port) as collector:
        missed = server.wait_for(lambda event: action_of(event) == "audit-not-shipped")
        received = collector.wait_for("audit-not-shipped")
    assert missed["event"]["reason"] == "too-far-behind"
    assert get(missed, "telnetsd.collector.name") == "collector"
    first, last = (get(missed, f"telnetsd.audit.{key}_sequence") for key in ("first", "last"))
    got = {json.loads(one.content)["event"]["sequence"] for one in received}
    assert min(got) == last + 1
    assert first <= last
    server.stop()
    assert_intact(home.audit_file, load_audit_key(home))


@pytest.fixture
def hung_collector() -> Iterator[int]:
    """A collector that accepts a connection and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as held:
        threading.Thread(target=lambda: held.enter_context(listener.accept()[0]), daemon=True).start()
        yield listener.getsockname()[1]


def test_a_hung_collector_delays_no_session(
    hung_collector: int, start: Callable[..., RunningServer], home: Home
) -> None:
    server = start(shipping_to(f"syslog+tcp://127.0.0.1:{hung_collector}"))
    type_words(server, *(f"{number}-" + "x" * 3500 for number in range(400)))
    server.kill()
    assert_intact(home.audit_file, load_audit_key(home))


def test_a_collector_with_an_untrusted_certificate_gets_nothing(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    with Rsyslog(tmp_path / "rsyslog", "tls", home) as collector:
        server = start(shipping_to(f"syslog+tls://localhost:{collector.port}"))
        type_words(server, "secret")
        said = server.stop()
        assert "CERTIFICATE_VERIFY_FAILED" in said
        assert collector.received() == []


def test_standard_output_gets_every_line_and_an_unread_pipe_delays_no_session(
    start: Callable[..., RunningServer], home: Home
) -> None:
    already = len(lines_of(home))
    server = start(shipping_to("stdout"), stdout=subprocess.PIPE)
    # The output is not read yet, and a pipe holds 64 KiB.
    type_words(server, *(f"{number}-" + "x" * 3500 for number in range(40)))
    assert server.process.stdout is not None
    got = [server.process.stdout.readline().rstrip("\n") for _ in range(40)]
    assert got == lines_of(home)[already : already + 40]
    server.process.terminate()
    assert server.process.stdout.read().splitlines() == lines_of(home)[already + 40 :]
    server.process.communicate(timeout=DEADLINE_S)
    assert server.process.returncode == 0


@pytest.fixture
def journald() -> Iterator[None]:
    """The journal of this machine, or one that is started for the test."""
    if Path(JOURNALD_SOCKET).exists() and _is_answered(JOURNALD_SOCKET):
        yield
        return
    Path(JOURNALD_SOCKET).parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["/lib/systemd/systemd-journald"], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: _is_answered(JOURNALD_SOCKET), "systemd-journald")
        yield
        process.terminate()


def _is_answered(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(path)
        return True
    return False


def test_the_journal_gets_every_event_with_its_fields(
    journald: None, start: Callable[..., RunningServer], home: Home
) -> None:
    word = f"word-{os.getpid()}-{home.root.stat().st_ino}"
    server = start(shipping_to("journald"))
    type_words(server, word)
    server.stop()
    event = next(one for one in read_log(home.audit_file) if word in one["message"])

    def find() -> list[dict[str, str]]:
        command = ["journalctl", "--output=json", "--no-pager", "SYSLOG_IDENTIFIER=telnetsd", "--since=-10min"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        return [entry for entry in entries if word in entry["MESSAGE"]]

    (entry,) = wait_until(find, "the entry")
    assert entry["MESSAGE"] == f"bob: echo {word}"
    assert entry["PRIORITY"] == "5"
    assert entry["TELNETSD_ACTION"] == "command-executed"
    assert json.loads(entry["TELNETSD_EVENT"]) == event


def test_an_invalid_collector_is_refused_with_a_message(home: Home) -> None:
    for toml, words in (
        (
            shipping_to("syslog://x:1"),
            "wrong value of to in telnetsd.toml line 3: expected stdout, journald, or syslog+udp:",
        ),
        (shipping_to("stdout") * 2, "two [[audit.shipping]] entries have the same name"),
        (
            shipping_to("syslog+tls://x:1", key="k"),
            "'collector' has a certificate without a key, or a key without one",
        ),
        (shipping_to("syslog+tcp://x:1", ca="c"), "'collector' has a ca or a certificate, but is not syslog+tls"),
    ):
        home.config_file.write_text(toml)
        done = telnetsd(home, "check")
        assert done.returncode == 1
        assert words in " ".join(done.stdout.split())
    home.config_file.write_text(shipping_to("syslog+tls://x:1", ca="nowhere.pem"))
    done = telnetsd(home, "serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr.startswith("error: wrong [[audit.shipping]] 'collector' in telnetsd.toml: its ca, certificate")


def test_lines_removed_before_they_were_shipped_are_named_in_the_log(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    port = free_port()
    toml = "[audit]\nrotate_bytes = 4096\ncompress = false\n" + shipping_to(f"syslog+tcp://127.0.0.1:{port}")
    server = start(toml)
    type_words(server, *(f"early-{number}" for number in range(15)))
    server.stop()
    rotated = sorted(home.audit_file.parent.glob("audit-*.jsonl"))
    for file in rotated[1:3]:
        file.unlink()
    with Rsyslog(tmp_path / "rsyslog", "tcp", home, port):
        server = start(toml)
        missed = server.wait_for(lambda event: action_of(event) == "audit-not-shipped")
        server.stop()
    assert missed["event"]["reason"] == "lines-missing"


@pytest.mark.parametrize("place", ["", "not a number", "-5"])
def test_an_unreadable_shipping_position_loses_no_events(
    place: str, start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    home.shipping_folder.mkdir(mode=0o700)
    (home.shipping_folder / "collector").write_text(place)
    with Rsyslog(tmp_path / "rsyslog", "tcp", home) as collector:
        server = start(shipping_to(f"syslog+tcp://127.0.0.1:{collector.port}"))
        type_words(server, "word")
        received = collector.wait_for("word")
        server.stop()
    sequences = [json.loads(one.content)["event"]["sequence"] for one in received]
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_forged_seal_does_not_change_the_position_of_a_collector(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    with Rsyslog(tmp_path / "rsyslog", "tcp", home) as collector:
        server = start(shipping_to(f"syslog+tcp://127.0.0.1:{collector.port}"))
        type_words(server, "before")
        collector.wait_for("before")
        seal = json.loads(seal_path(home.audit_file).read_bytes())
        forged = {**seal, "sequence": 10**9, "next_sequence": 10**9}
        seal_path(home.audit_file).write_text(json.dumps(forged).ljust(511) + "\n")
        type_words(server, "behind")
        collector.wait_for("behind")
        server.stop()


def test_hung_collectors_do_not_prevent_the_server_from_stopping(
    start: Callable[..., RunningServer], hung_collector: int
) -> None:
    one = shipping_to(f"syslog+tcp://127.0.0.1:{hung_collector}")
    server = start("".join(one.replace('"collector"', f'"collector-{number}"') for number in range(4)))
    type_words(server, *(f"{number}-" + "x" * 3900 for number in range(1200)))
    # The server prints this only for a thread that it stopped waiting for.
    assert "has not received the last lines yet" in server.stop()
