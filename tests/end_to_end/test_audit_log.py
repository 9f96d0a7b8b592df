"""The audit log of a running server: no seen event is lost, nothing happens unrecorded, no line can be forged."""

import contextlib
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.audit import assert_intact
from support.certificates import Recipe, make_ca, name
from support.client import Client, connect_as
from support.machine import DEADLINE_S
from support.server import RunningServer, action_of, all_leaves, get
from telnetsd.audit.key import load_audit_key
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured


def telnetsd(home: Home, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "telnetsd", "--home", str(home.root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S, **options)  # type: ignore[call-overload,no-any-return]


def test_every_event_has_the_fields_that_the_schema_promises(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client, connect_as(server) as guest:
        client.read_until()
        client.command("echo hello")
        client.command("kick 1234")
        guest.read_until()
    server.stop()
    events = server.events()
    assert_intact(server.home.audit_file, load_audit_key(server.home))
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["@timestamp"])
        assert event["ecs"] == {"version": "9.4.0"}
        assert event["event"]["kind"] == "event"
        assert event["event"]["dataset"] == "telnetsd.audit"
        assert event["event"]["outcome"] in {"success", "failure"}
        assert re.fullmatch(r"[a-z0-9-]+", event["event"]["reason"])
        assert event["message"]
    executed = next(event for event in events if action_of(event) == "command-executed")
    assert get(executed, "telnetsd.command") == {"name": "echo", "line": "echo hello"}
    assert get(executed, "user") == {"name": "bob", "roles": ["user"]}
    assert get(executed, "event.category") == ["api"]
    assert get(executed, "source.ip") == "127.0.0.1"
    session = get(executed, "telnetsd.session.id")
    started = next(event for event in events if action_of(event) == "session-started" and session in str(event))
    assert get(started, "tls.client.x509.public_key_size") == 256
    assert get(started, "tls.client.x509.not_after").endswith("Z")
    # The certificate is recorded in full once per session, and only by its fingerprint after that.
    assert get(executed, "tls.client") == {"hash": get(started, "tls.client.hash"), "server_name": "localhost"}
    assert session[14] == "7"
    assert {action_of(one) for one in events if get(one, "telnetsd.session.id") == session} == {
        "session-started",
        "command-executed",
        "command-denied",
        "session-ended",
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_in_a_burst_of_commands_loses_no_event_of_a_command_whose_output_was_seen(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    server = start(workers=workers)
    clients = [connect_as(server, user) for user in ("alice", "bob", "ed", "bob")]
    seen: list[str] = []
    lock, enough = threading.Lock(), threading.Event()

    def burst(client: Client, who: int) -> None:
        client.read_until()
        with contextlib.suppress(OSError, AssertionError):
            for number in range(100_000):
                word = f"w{who}-{number}"
                # A worker may briefly outlive the process that writes, and then refuses with a message.
                assert client.command(f"echo {word}") == word
                with lock:
                    seen.append(word)
                    if len(seen) > 300:
                        enough.set()

    threads = [threading.Thread(target=burst, args=(client, who)) for who, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    assert enough.wait(DEADLINE_S)
    server.kill()
    for thread in threads:
        thread.join(DEADLINE_S)
    for client in clients:
        client.tls.close()
    logged = {get(event, "telnetsd.command.line") for event in server.events()}
    lost = [word for word in seen if f"echo {word}" not in logged]
    assert lost == []
    again = start()
    with connect_as(again, "bob") as client:
        client.read_until()
    again.stop()
    assert_intact(server.home.audit_file, load_audit_key(server.home))


def test_a_full_disk_refuses_commands_and_logins_with_a_message_and_runs_nothing(
    start: Callable[..., RunningServer],
) -> None:
    server = start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)))
    with connect_as(server, "bob") as client:
        client.read_until()
        answer = ""
        for _ in range(200):
            answer = client.command("echo here")
            if answer != "here":
                break
        assert "\n*** the audit log cannot be written: logins and commands are refused until it can\n" in answer
        refused = "refused: the audit log cannot be written, and nothing may run unrecorded; try again later"
        assert answer.endswith(refused)
        assert client.command("whoami").startswith("refused: the audit log cannot be written")
        assert client.command("nonsense").startswith("refused: the audit log cannot be written")
        with connect_as(server, "ed") as late:
            assert late.read_to_end().startswith("refused: the audit log cannot be written")
        executed = [one for one in server.events() if action_of(one) == "command-executed"]
        assert len(executed) < 200
    make_room(server)
    assert_intact(server.home.audit_file, load_audit_key(server.home))


def make_room(server: RunningServer) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, infinite)


def test_logging_resumes_when_there_is_space_again(start: Callable[..., RunningServer]) -> None:
    server = start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY)))
    with connect_as(server, "bob") as client:
        client.read_until()
        while client.command("echo here") == "here":
            pass
        make_room(server)
        client.read_until(b"*** the audit log can be written again\r\n")
        client.read_until()
        assert client.command("echo again") == "again"
    assert_intact(server.home.audit_file, load_audit_key(server.home))


def test_peer_input_cannot_break_a_line_forge_a_field_or_control_a_terminal(
    server: RunningServer, tmp_path: Path
) -> None:
    hostile = 'x","user":{"name":"root"}}\n{"@timestamp":"\x1b]0;owned\x07\u202e'
    pair = Recipe(subject=name(hostile)).signed_by(make_ca(hostile))
    with Client(server.port, server.home.ca_certificate, pair.save(tmp_path, "c")) as client:
        client.read_to_end()
        server.session_from(client.port, "session-refused")
    with connect_as(server, "bob") as client:
        client.read_until()
        client.command("echo " + hostile.replace("\n", " "))
        client.command(hostile.replace("\n", " ").replace(" ", ""))
    assert_intact(server.home.audit_file, load_audit_key(server.home))
    for event in server.events():
        assert get(event, "user.name") in {"bob", None}
        assert all(leaf.isprintable() for leaf in all_leaves(event))
    shown = telnetsd(server.home, "audit", "tail", "-n", "1000").stdout
    assert all(line.isprintable() for line in shown.splitlines())
    assert "\x1b" not in shown


def test_audit_tail_shows_a_table_and_json_shows_the_lines(server: RunningServer) -> None:
    with connect_as(server, "bob") as client:
        client.read_until()
        client.command("echo for the tail")
        table = telnetsd(server.home, "audit", "tail").stdout.splitlines()
        assert table[0].split() == ["time", "(UTC)", "user", "session", "source", "event", "what"]
        where = rf"127\.0\.0\.1:{client.port}"
        pattern = rf"[\d-]+ [\d:]+ S bob +[0-9a-f]{{8}} +{where} +command-executed +echo for the tail"
        assert any(re.fullmatch(pattern, line) for line in table)
    raw = telnetsd(server.home, "audit", "tail", "-n", "3", "--json").stdout.splitlines()
    assert raw == server.home.audit_file.read_text().splitlines()[-3:]


def test_audit_tail_follows_until_its_output_is_closed(server: RunningServer) -> None:
    command = [sys.executable, "-m", "telnetsd", "--home", str(server.home.root), "audit", "tail", "-f", "-n", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert tail.stdout.readline().startswith("time ")
        with connect_as(server, "bob") as client:
            client.read_until()
            while " bob  " not in tail.stdout.readline():
                pass
            tail.stdout.close()
            client.command("echo the line that finds nobody")
        assert tail.wait(DEADLINE_S) == 1
        assert tail.stderr.read() == ""


def test_audit_tail_reports_a_missing_log(tmp_path: Path) -> None:
    done = telnetsd(Home(tmp_path), "audit", "tail")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: no audit log at {tmp_path}/audit/audit.jsonl yet; the first event creates it"
    )


def test_no_private_key_is_in_the_log(home: Home) -> None:
    assert telnetsd(home, "user", "add", "carol").returncode == 0
    secrets = [path.read_text() for path in (home.users_folder / "carol.key", home.ca_key, home.server_key)]
    log = home.audit_file.read_text()
    assert "carol" in log
    for pem in secrets:
        assert not any(line in log for line in pem.splitlines() if len(line) > 20)


@pytest.mark.parametrize("kind", ["version 4", "an unknown kind of name"])
def test_a_certificate_that_the_parser_fails_on_is_refused_with_a_message(
    kind: str, server: RunningServer, tmp_path: Path
) -> None:
    """OpenSSL accepts these; the X.509 library raises exceptions other than ValueError for them."""
    folder = tmp_path
    config = folder / "openssl.cnf"
    config.write_text(
        "[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n"
        + ("subjectAltName=DER:30:04:a3:02:30:00\n" if kind != "version 4" else "basicConstraints=CA:FALSE\n")
    )
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=odd", "-config", str(config)]
    subprocess.run([*make, "-keyout", folder / "c.key", "-out", folder / "c.pem"], check=True, capture_output=True)
    if kind == "version 4":
        _set_version(folder / "c.pem", 3)
    with Client(server.port, server.home.ca_certificate, (folder / "c.pem", folder / "c.key")) as client:
        assert client.read_to_end().startswith("refused: your certificate cannot be read: ")
        event = server.session_from(client.port, "session-refused")
    assert event["event"]["reason"] == "certificate-malformed"
    assert get(event, "telnetsd.certificate.status") == "rejected"
    assert len(get(event, "tls.client.hash.sha256")) == 64


def _set_version(path: Path, version: int) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificate

    der = load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    changed = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes([version]), 1)
    der_path = path.with_suffix(".der")
    der_path.write_bytes(changed)
    import base64

    body = base64.encodebytes(changed).decode()
    path.write_text(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
