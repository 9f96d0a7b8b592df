"""telnetsd's own client: what a user at a terminal, and a script, see and get."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from socket import gethostname

import pytest

from support.audit import read_log
from support.client import client_context, connect_as
from support.command_line import telnetsd
from support.homes import add
from support.lines import line
from support.machine import DEADLINE_S
from support.pty_program import PtyProgram
from support.requests import field, make_csr, paste, pem
from support.server import RunningServer, action_of, get
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

PROGRAM = """
[session]
line_max_bytes = 1024
[[command]]
name = "three"
summary = "ends with 3"
roles = ["user"]
exec = "/bin/sh -c 'echo out; exit 3'"
"""
LOST = 255


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's configuration."""
    folder = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    return folder


@pytest.fixture
def logged_in(start: Callable[..., RunningServer], home: Home, config: Path) -> RunningServer:
    """A server for which bob has a profile."""
    server = start(PROGRAM + line("shell", "exec:/bin/cat", keep_open=True))
    log_in(server, "bob")
    return server


def own(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb of the user, who has no home folder of a server."""
    return subprocess.run(
        [sys.executable, "-m", "telnetsd", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        cwd=home.root.parent,
        stdin=subprocess.DEVNULL,
    )


def log_in(server: RunningServer, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    p12 = str(server.home.users_folder / f"{user}.p12")
    done = own(server.home, "login", f"localhost:{server.port}", p12, "--ca", str(server.home.ca_certificate), *words)
    assert done.returncode == 0, done.stderr
    return done


def run_context(home: Home) -> ssl.SSLContext:
    files = user_files(home, "bob")
    context = client_context(home.ca_certificate, (files.certificate, files.key), ssl.TLSVersion.TLSv1_3)
    context.set_alpn_protocols(["telnetsd-run/1"])
    return context


def at_terminal(server: RunningServer, *words: str) -> PtyProgram:
    command = [sys.executable, "-m", "telnetsd", "connect", "localhost", *words]
    return PtyProgram(command, server.home.root.parent)


def seen(program: PtyProgram, text: bytes) -> None:
    """Wait until the screen shows a text."""
    program.wait_for(re.escape(text))


def is_cooked(program: PtyProgram) -> bool:
    return bool(termios.tcgetattr(program._master)[3] & termios.ICANON)


def finish(program: PtyProgram, status: int) -> None:
    assert program.process.wait(DEADLINE_S) == status
    assert is_cooked(program), "the terminal was not restored"


# A script.


def test_run_returns_the_output_and_the_exit_status(logged_in: RunningServer, home: Home) -> None:
    done = own(home, "run", "localhost", "--", "echo", "hello", "world")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello world\n", "")
    denied = own(home, "run", "localhost", "--", "kick", "abcd")
    assert denied.returncode == 1
    assert denied.stdout.startswith("permission denied: `kick` requires the role operator")
    failed = own(home, "run", "localhost", "--", "three")
    assert (failed.returncode, failed.stdout) == (3, "out\nthree failed: exit status 3\n")
    refused = own(home, "run", "localhost", "--", "connect", "shell")
    assert (refused.returncode, refused.stdout) == (1, "a line needs a terminal; use: telnetsd connect HOST shell\n")
    unanswered = own(home, "run", "localhost", "--", "renew")
    assert (unanswered.returncode, unanswered.stdout.splitlines()[-1]) == (1, "cancelled")
    events = [one for one in read_log(home.audit_file) if get(one, "user.name") == "bob"]
    assert [get(one, "telnetsd.command.line") for one in events if action_of(one) == "command-executed"][1:] == [
        "echo hello world",
        "three",
        "connect shell",
        "renew",
    ]
    assert [action_of(one) for one in events].count("session-started") == 6
    assert [action_of(one) for one in events].count("session-ended") == 6


def test_run_refuses_a_control_character_at_both_ends(logged_in: RunningServer, home: Home) -> None:
    done = own(home, "run", "localhost", "--", "echo", "one\ntwo")
    assert done.returncode == 2
    assert "an argument has a control character" in done.stderr
    for sent, said in (
        (b'{"line":"who\\u0007"}\n', "not a request: it is not JSON of the right form, or has a control character"),
        (b"who\r\n", "not a request: it is not JSON of the right form, or has a control character"),
        (b'{"line":"who","other":1}\n', "not a request"),
        (b"x" * 70_000, "the request is longer than 65536 bytes"),
        (json.dumps({"line": "echo " + "x" * 2000}).encode() + b"\n", "the line is longer than 1024 bytes"),
    ):
        with connect_as(logged_in, "bob", context=run_context(home)) as client:
            client.send(sent)
            answers = [json.loads(one) for one in client.read_to_end().splitlines()]
        assert said in answers[0]["text"]
        assert (answers[-1]["type"], answers[-1]["exit_status"]) == ("over", 1)
        denied = [one for one in read_log(home.audit_file) if action_of(one) == "command-denied"][-1]
        assert get(denied, "event.reason") in {"wrong-usage", "line-too-long"}


def test_run_and_connect_return_255_for_a_client_that_is_refused_or_a_server_that_is_not_there(
    logged_in: RunningServer, home: Home
) -> None:
    assert telnetsd(home, "user", "revoke", "bob").returncode == 0
    done = own(home, "run", "localhost", "--", "who")
    assert done.returncode == LOST
    assert done.stdout == ""
    assert "refused: your certificate (CN=bob) was revoked on " in done.stderr
    refused = own(home, "connect", "localhost")
    assert refused.returncode == LOST
    assert refused.stdout.startswith("refused: your certificate (CN=bob) was revoked on ")
    assert refused.stderr == "connection to localhost closed\n"
    logged_in.stop()
    for words in (("run", "localhost", "--", "who"), ("connect", "localhost")):
        gone = own(home, *words)
        assert gone.returncode == LOST
        assert gone.stderr.startswith(f"error: cannot connect to localhost:{logged_in.port}: Connection refused; ")


# A user at a terminal.


def test_keys_are_edited_by_the_server_and_ctrl_c_drops_the_line_without_an_end(logged_in: RunningServer) -> None:
    bob = at_terminal(logged_in)
    seen(bob, b"bob> ")
    bob.type(b"who half\x03")
    seen(bob, b"^C\r\nbob> ")
    bob.type(b"echo one\x1b[D\x1b[D\x1b[Dn\r")
    seen(bob, b"\r\nnone\r\n")
    bob.type(b"\x1a\x1c")  # ^Z and ^\ are for the server, as in ssh
    bob.type(b"echo still here\r")
    seen(bob, b"\r\nstill here\r\n")
    bob.type(b"quit\r")
    seen(bob, b"goodbye\r\nconnection to localhost closed\r\n")
    finish(bob, 0)


def test_the_escape_key_disconnects_and_suspends(logged_in: RunningServer) -> None:
    bob = at_terminal(logged_in)
    seen(bob, b"bob> ")
    bob.type(b"\x1dx")
    seen(bob, b"\r\n^] then: . disconnects, ^Z suspends, ^] sends ^]\r\n")
    bob.type(b"\x1d\x1a")
    os.waitid(os.P_PID, bob.process.pid, os.WSTOPPED)
    assert is_cooked(bob)
    bob.process.send_signal(signal.SIGCONT)
    bob.type(b"echo back\r")
    seen(bob, b"\r\nback\r\n")
    bob.type(b"\x1d.")
    seen(bob, b"connection to localhost closed\r\n")
    finish(bob, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_client_leaves_the_terminal_as_it_was(
    number: signal.Signals, logged_in: RunningServer
) -> None:
    bob = at_terminal(logged_in)
    seen(bob, b"bob> ")
    bob.type(b"half")
    seen(bob, b"half")
    bob.process.send_signal(number)
    finish(bob, LOST)


def test_a_session_that_is_ended_says_why_on_a_line_of_its_own(logged_in: RunningServer, home: Home) -> None:
    bob = at_terminal(logged_in)
    seen(bob, b"bob> ")
    bob.type(b"half")
    seen(bob, b"half")
    assert telnetsd(home, "user", "revoke", "bob").returncode == 0
    seen(bob, b"\r\nconnection to localhost closed: your certificate (CN=bob) was revoked on ")
    seen(bob, b": this session ends\r\n")
    finish(bob, LOST)
    ended = [one for one in read_log(home.audit_file) if action_of(one) == "session-ended"][-1]
    assert get(ended, "event.reason") == "certificate-revoked"


def test_a_line_can_be_named_and_is_taken_up_again_after_a_lost_connection(
    logged_in: RunningServer, start: Callable[..., RunningServer]
) -> None:
    bob = at_terminal(logged_in, "shell", "--reconnect")
    seen(bob, b"connected to shell")
    bob.type(b"before\r")
    seen(bob, b"before\r\nbefore\r\n")
    logged_in.stop()
    seen(bob, b"*** connection to localhost closed: ")
    again = RunningServer(logged_in.home, listen=f"127.0.0.1:{logged_in.port}")
    try:
        seen(bob, b"connected to shell")
        bob.type(b"after\r")
        seen(bob, b"after\r\nafter\r\n")
        bob.type(b"~.")
        seen(bob, b"bob> ")
        bob.type(b"quit\r")
        finish(bob, 0)
    finally:
        assert again.stop() == ""


# Profiles.


def test_a_login_that_is_replaced_is_kept(logged_in: RunningServer, home: Home, config: Path) -> None:
    folder = config / "telnetsd" / "localhost"
    before = (folder / "identity.pem").read_bytes()
    p12 = str(home.users_folder / "alice.p12")
    done = own(home, "login", f"localhost:{logged_in.port}", p12, "--ca", str(home.ca_certificate))
    assert done.returncode == 0, done.stderr
    (kept,) = folder.glob("former-*.pem")
    assert f"the certificate and key that were there before are now in {kept}\n" in done.stdout
    assert kept.stat().st_mode & 0o777 == 0o600
    again = own(home, "login", f"localhost:{logged_in.port}", p12, "--ca", str(home.ca_certificate))
    assert "were there before" not in again.stdout, "nothing was replaced"
    ed = str(home.users_folder / "ed.p12")
    own(home, "login", f"localhost:{logged_in.port}", ed, "--ca", str(home.ca_certificate))
    assert kept.read_bytes() == before, "a second login does not take the place of the first one"


def test_a_profile_is_for_its_owner_alone(logged_in: RunningServer, home: Home, config: Path) -> None:
    folder = config / "telnetsd" / "localhost"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "identity.pem", "profile.toml"]
    folder.chmod(0o755)
    done = own(home, "run", "localhost", "--", "who")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: other users can open {folder} (mode 0755); run: chmod -R go= {folder}\n"


def test_a_ca_that_came_with_the_certificate_is_trusted_only_by_its_fingerprint(
    logged_in: RunningServer, home: Home, config: Path
) -> None:
    p12, host = str(home.users_folder / "bob.p12"), f"localhost:{logged_in.port}"
    shown = json.loads(telnetsd(home, "ca", "show", "--json").stdout)[0]["sha256"]
    (config / "telnetsd" / "localhost" / "profile.toml").unlink()
    done = own(home, "login", host, p12)
    assert done.returncode == 1
    assert f"  SHA256:{shown}\n" in done.stdout
    assert done.stderr == "error: to trust it, give its fingerprint with --fingerprint, or its file with --ca\n"
    other = own(home, "login", host, p12, "--fingerprint", f"SHA256:{'0' * 64}")
    assert other.stderr == (
        "error: no CA that came with the certificate has that fingerprint; ask the operator; nothing was stored\n"
    )
    assert not (config / "telnetsd" / "localhost" / "profile.toml").exists()
    done = own(home, "login", host, p12, "--fingerprint", f"sha256:{shown.lower()}")
    assert done.returncode == 0, done.stderr
    assert "logged in: user bob\nconnect with: telnetsd connect localhost\n" in done.stdout


def test_an_encrypted_key_stays_encrypted(logged_in: RunningServer, home: Home, config: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    assert telnetsd(home, "user", "add", "nina", "--password-file", password).returncode == 0
    log_in(logged_in, "nina", "--password-file", str(password))
    key = (config / "telnetsd" / "localhost" / "identity.pem").read_text()
    assert "-----BEGIN ENCRYPTED PRIVATE KEY-----" in key
    assert own(home, "run", "localhost", "--password-file", str(password), "--", "echo", "in").stdout == "in\n"
    locked = own(home, "run", "localhost", "--", "echo", "in")
    assert locked.returncode == 1
    assert "is encrypted; give its password with --password-file FILE" in locked.stderr
    password.write_text("wrong\n")
    wrong = own(home, "run", "localhost", "--password-file", str(password), "--", "echo", "in")
    assert (wrong.returncode, wrong.stderr.endswith("wrong password; try again\n")) == (1, True)
    bob = at_terminal(logged_in)
    seen(bob, b"identity.pem: ")
    bob.type(b"correct horse\r")
    seen(bob, b"nina> ")
    bob.type(b"quit\r")
    finish(bob, 0)


# Enrolling.


def ca_fingerprint(home: Home) -> str:
    shown: str = json.loads(telnetsd(home, "ca", "show", "--json").stdout)[0]["sha256"]
    return shown


def enrolling(home: Home, *words: str) -> PtyProgram:
    return PtyProgram([sys.executable, "-m", "telnetsd", "enroll", *words], home.root.parent, size=(120, 24))


def pending_id(home: Home) -> str:
    (found,) = [
        one for one in json.loads(telnetsd(home, "request", "list", "--json").stdout) if one["status"] == "pending"
    ]
    return str(found["id"])


def test_a_user_enrolls_without_openssl(logged_in: RunningServer, home: Home, config: Path) -> None:
    (config / "telnetsd" / "localhost" / "profile.toml").unlink()
    host = f"localhost:{logged_in.port}"
    with connect_as(logged_in, "alice") as operator:
        operator.read_until()
        nina = enrolling(home, host, "--name", "nina")
        seen(
            nina,
            f"CN=telnetsd CA {gethostname()} is shown by {host}:\r\n  SHA256:{ca_fingerprint(home)}\r\n".encode(),
        )
        seen(nina, b"Is this the fingerprint that the operator gave you? [y/N]: ")
        nina.type(b"y\r")
        seen(nina, b"read these to the operator over a channel you trust:\r\n")
        request = pending_id(home)
        seen(nina, f"  request  {request}\r\n  key      SHA256:".encode())
        shown = nina.wait_for(rb"[0-9a-f]{64}\r\n").decode().strip()
        assert shown in telnetsd(home, "request", "show", request).stdout
        told = operator.read_until(b"alice> ")
        assert f" requests a certificate for nina; see: telnetsd request show {request}" in told
    seen(nina, b"waiting for the operator; ^C ends this, and the same command goes on")
    nina.process.send_signal(signal.SIGINT)
    nina.process.wait(DEADLINE_S)
    assert telnetsd(home, "request", "approve", request).returncode == 0
    done = own(home, "enroll", host, "--name", "nina")
    assert done.returncode == 0, done.stderr
    assert f"  request  {request}\n" in done.stdout
    assert "logged in: user nina\nconnect with: telnetsd connect localhost\n" in done.stdout
    assert not (config / "telnetsd" / "localhost" / "waiting.json").exists()
    assert own(home, "run", "localhost", "--", "whoami").returncode == 0


def test_a_server_with_another_ca_than_the_operator_says_is_not_enrolled_at(
    logged_in: RunningServer, home: Home
) -> None:
    done = own(home, "enroll", f"localhost:{logged_in.port}", "--name", "nina", "--fingerprint", "0" * 64)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: no CA that is shown by localhost:{logged_in.port} has that fingerprint; ask the operator;"
        " nothing was stored\n"
    )
    assert json.loads(telnetsd(home, "request", "list", "--json").stdout) == []


def test_a_denied_request_ends_the_wait(logged_in: RunningServer, home: Home) -> None:
    host = f"localhost:{logged_in.port}"
    nina = enrolling(home, host, "--name", "nina", "--fingerprint", ca_fingerprint(home))
    seen(nina, b"read these to the operator")
    assert telnetsd(home, "request", "deny", pending_id(home)).returncode == 0
    seen(nina, b"error: nothing to collect: the operator has denied ")
    assert nina.process.wait(DEADLINE_S) == 1
    wrong = own(home, "enroll", host, "--name", "Not A Name", "--fingerprint", ca_fingerprint(home))
    assert (wrong.returncode, "--name takes 1 to 32 of a-z" in wrong.stderr) == (2, True), wrong.stderr


def test_an_enrolment_that_waits_is_not_given_another_name_or_another_ca(
    logged_in: RunningServer, home: Home, tmp_path: Path
) -> None:
    host = f"localhost:{logged_in.port}"
    nina = enrolling(home, host, "--name", "nina", "--fingerprint", ca_fingerprint(home))
    seen(nina, b"waiting for the operator")
    nina.process.send_signal(signal.SIGINT)
    nina.process.wait(DEADLINE_S)
    other = own(home, "enroll", host, "--name", "mona", "--fingerprint", ca_fingerprint(home))
    assert other.returncode == 1
    assert other.stderr.startswith(f"error: the name nina at {host} is still waiting; go on with that, or remove ")
    untrusted = own(home, "enroll", host, "--name", "nina", "--fingerprint", "0" * 64)
    assert untrusted.returncode == 1
    assert untrusted.stderr.startswith("error: the waiting request was made under another CA; remove ")


def test_an_enrolment_goes_on_after_the_server_was_away(logged_in: RunningServer, home: Home, config: Path) -> None:
    host = f"localhost:{logged_in.port}"
    nina = enrolling(home, host, "--name", "nina", "--fingerprint", ca_fingerprint(home))
    seen(nina, b"waiting for the operator")
    logged_in.stop()
    assert telnetsd(home, "request", "approve", pending_id(home)).returncode == 0
    again = RunningServer(home, listen=f"127.0.0.1:{logged_in.port}")
    try:
        seen(nina, b"logged in: user nina\r\n")
        assert nina.process.wait(DEADLINE_S) == 0
    finally:
        assert again.stop() == ""


def test_a_certificate_is_renewed_with_a_new_key(
    start: Callable[..., RunningServer], home: Home, config: Path
) -> None:
    server = start('[renewal]\npolicy = "auto"\nwindow_days = 3650\n')
    log_in(server, "bob")
    before = (config / "telnetsd" / "localhost" / "identity.pem").read_text()
    done = own(home, "renew", "localhost")
    assert done.returncode == 0, done.stderr
    assert "logged in: user bob\n" in done.stdout
    after = (config / "telnetsd" / "localhost" / "identity.pem").read_text()
    assert before.partition("-----BEGIN PRIVATE KEY")[2] != after.partition("-----BEGIN PRIVATE KEY")[2]
    early = own(home, "renew", "nowhere.example")
    assert early.stderr == (
        "error: nothing is stored for nowhere.example; run: telnetsd login nowhere.example FILE\n"
    )


def test_two_servers_on_one_host_have_a_profile_each(
    start: Callable[..., RunningServer], home: Home, config: Path, tmp_path: Path
) -> None:
    first, other = start(), Home(tmp_path / "other")
    initialise(other, ())
    add(other, "zoe")
    second = RunningServer(other)
    try:
        log_in(first, "bob")
        done = log_in(second, "zoe")
        assert done.stdout.endswith(f"connect with: telnetsd connect localhost:{second.port}\n")
        for where, user in (
            ("localhost", "bob"),
            (f"localhost:{first.port}", "bob"),
            (f"localhost:{second.port}", "zoe"),
        ):
            assert f"you are {user} (" in own(home, "connect", where).stdout
        # Another port of a server that is known: its profile counts.
        unknown = own(home, "connect", "localhost:1")
        assert unknown.returncode == LOST
        assert "cannot connect to localhost:1" in unknown.stderr
    finally:
        assert second.stop() == ""


def test_a_renamed_user_renews(start: Callable[..., RunningServer], home: Home, config: Path) -> None:
    server = start('[renewal]\npolicy = "auto"\nwindow_days = 3650\n')
    log_in(server, "bob")
    assert telnetsd(home, "user", "rename", "bob", "robert").returncode == 0
    done = own(home, "renew", "localhost")
    assert done.returncode == 0, done.stderr
    assert "you are robert" in own(home, "connect", "localhost").stdout


def test_a_script_that_ends_on_a_line_leaves_it_and_ends_nothing_there(logged_in: RunningServer) -> None:
    server = logged_in
    for words, typed in ((["shell"], "one two\n"), ([], "connect shell\none two\n")):
        before = len(server.events())
        done = subprocess.run(
            [sys.executable, "-m", "telnetsd", "connect", "localhost", *words],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
            cwd=server.home.root.parent,
        )
        assert (done.returncode, "one two" in done.stdout) == (0, True), done.stdout + done.stderr
        told = [(action_of(one), get(one, "event.reason")) for one in server.events()[before:]]
        assert ("line-disconnected", "left") in told
        assert ("session-ended", "end-of-input") in told
        assert not any(action == "line-down" for action, _ in told)


def test_a_renewal_waits_for_the_operator(start: Callable[..., RunningServer], home: Home, config: Path) -> None:
    server = start("[renewal]\nwindow_days = 3650\n")
    log_in(server, "bob")
    bob = PtyProgram([sys.executable, "-m", "telnetsd", "renew", "localhost"], home.root.parent)
    seen(bob, b"waiting for the operator")
    before = (config / "telnetsd" / "localhost" / "identity.pem").read_text()
    assert telnetsd(home, "request", "approve", pending_id(home)).returncode == 0
    seen(bob, b"logged in: user bob\r\n")
    assert bob.process.wait(DEADLINE_S) == 0
    assert (config / "telnetsd" / "localhost" / "identity.pem").read_text() != before


def test_a_guest_who_waits_is_told_what_to_type(logged_in: RunningServer, home: Home) -> None:
    with connect_as(logged_in) as nina:
        nina.read_until()
        told = paste(nina, "enroll nina csr", pem(make_csr("nina")))
        assert "connect again in any way, and fetch the certificate with this code," in told
        request = field(told, "request")
        assert telnetsd(home, "request", "approve", request).returncode == 0
        assert f"*** your request was granted; type: collect {request}\r\n" in nina.read_until()
