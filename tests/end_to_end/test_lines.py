"""Lines: access, data, and how a connection ends; what the client sees, and what the log says."""

import json
import os
import re
import socket
import ssl
import termios
import tty
from collections.abc import Callable
from pathlib import Path

import pytest

from support.audit import line_events, read_log
from support.client import connect_as
from support.command_line import telnetsd
from support.lines import AGREEMENT, BACK_TO_LINES, CONNECTED, NEGOTIATION, OpenTerminal, line
from support.machine import DEADLINE_S
from support.processes import open_files, resident_kib
from support.server import Event, RunningServer, action_of, wait_until
from support.upstreams import Upstream, echo_upper
from telnetsd.files.home import Home


def last(home: Home, action: str) -> Event:
    return [one for one in read_log(home.audit_file) if action_of(one) == action][-1]


@pytest.fixture(scope="module")
def shared_settings() -> str:
    """Lines whose targets are never reached: a refused command does not connect."""
    lines = line("open", "tcp://127.0.0.1:1") + line("secret", "tcp://127.0.0.1:1", roles=["operator"])
    return lines + line("vault", "tcp://127.0.0.1:1", min_class=3)


def test_a_connection_to_a_line_is_logged_when_it_begins_and_when_it_ends(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", description="rack 7"))
        bob = terminal(server, "bob")
        bob.send(b"lines\r\n")
        assert b"switch-1  tcp     free  (rack 7)\r\n" in bob.until(b"bob> ")
        bob.send(b"connect switch-1\r\n")
        assert bob.until(NEGOTIATION) == NEGOTIATION
        bob.send(AGREEMENT)
        assert bob.until(CONNECTED) == b"\r\n*** connected to switch-1" + CONNECTED
        assert bob.until(b"# ") == b"switch-1 console\r\n# "
        bob.send(b"show version\r")
        assert bob.until(b"\r") == b"SHOW VERSION\r"
        bob.send(b"\r")
        bob.until(b"\r")
        assert json.loads(telnetsd(home, "session", "list", "--json").stdout)[0]["line"] == "switch-1"
        bob.send(b"~.")
        assert bob.until(b"> ") == b"\r\n*** left switch-1\r\n" + BACK_TO_LINES + b"bob> "
        assert upstream.closed.acquire(timeout=DEADLINE_S)
        assert bob.client.command("echo again") == "again"
        server.stop()
    assert line_events(home) == [("line-connected", "writing", "bob"), ("line-disconnected", "left", "bob")]
    passed = last(home, "line-disconnected")["telnetsd"]["line"]
    listed = json.loads(telnetsd(home, "audit", "sessions", "--line", "switch-*", "--json").stdout)
    assert [(one["line"], one["user"], bool(one["closed_at"])) for one in listed] == [("switch-1", "bob", True)]
    shown = telnetsd(home, "audit", "sessions", "--line", "switch-1", "--since", "1h").stdout
    assert listed[0]["session"][-8:] in shown
    nothing = telnetsd(home, "audit", "sessions", "--line", "switch-1", "--until", "yesterday")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "error: no session was on such a line then; use fewer filters\n"
    assert passed["name"] == "switch-1"
    assert passed["kind"] == "tcp"
    assert passed["bytes_sent"] == len(b"show version\r\r")
    assert passed["bytes_received"] == len(b"switch-1 console\r\n# SHOW VERSION\r\r")


def test_input_reaches_a_unix_socket_line_which_is_down_when_the_socket_is_missing(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal, tmp_path: Path
) -> None:
    path = tmp_path / "console.sock"
    server = start(line("vm-1", f"unix:{path}"))
    bob = terminal(server, "bob")
    bob.send(b"connect vm-1\r\n")
    bob.until(b"vm-1 cannot be reached: no such file or directory\r\n")
    with Upstream(path=path) as upstream:
        bob.send(b"lines\r\n")
        bob.until(b"vm-1  unix    down: no such file or directory\r\n")
        bob.connect("vm-1")
        bob.until(b"# ")
        bob.send(b"show version\r")
        bob.until(b"SHOW VERSION\r")
        bob.send(b"\r~.")
        bob.until(b"bob> ")
        assert upstream.closed.acquire(timeout=DEADLINE_S)
        server.stop()
    assert last(home, "line-connected")["telnetsd"]["line"]["kind"] == "unix"


def test_a_script_without_a_terminal_can_use_a_line(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        bob.send(b"connect switch-1\r\nshow clock\r\n")
        bob.until(b"SHOW CLOCK\r")
        bob.send(b"~.\r\nwhoami\r\nquit\r\n")
        bob.until(b"user         bob\r\n")
        bob.until(b"goodbye\r\n")


@pytest.mark.parametrize(
    ("words", "said", "reason"),
    [
        ("nowhere", "no line nowhere that you may use; see: lines", "not-found"),
        ("secret", "no line secret that you may use; see: lines", "role-missing"),
        ("vault", "permission denied: `vault` requires class 3; you have class 1", "class-too-low"),
        ("open vault", "usage: connect NAME [--read-only | --force]", "wrong-usage"),
        ("open --quickly", "usage: connect NAME [--read-only | --force]", "wrong-usage"),
        ("\x1b[2J", "no line \\x1b[2J that you may use; see: lines", "not-found"),
    ],
)
def test_a_user_without_access_to_a_line_is_denied_with_a_message(
    words: str, said: str, reason: str, server: RunningServer
) -> None:
    with connect_as(server, "bob") as bob:
        bob.read_until()
        assert bob.command(f"connect {words}") == said
        assert "secret" not in bob.command("lines")
        assert server.session_from(bob.port, "command-denied")["event"]["reason"] == reason
    assert line_events(server.home) == []


def test_a_guest_has_no_access_to_lines(server: RunningServer) -> None:
    with connect_as(server) as guest:
        guest.read_until()
        assert guest.command("connect open").startswith("permission denied: `connect` requires the role user")
        assert guest.command("lines").startswith("permission denied: `lines` requires the role user")
        assert server.session_from(guest.port, "command-denied")["event"]["reason"] == "role-missing"
    assert line_events(server.home) == []


def test_an_operator_has_the_lines_of_users_and_those_of_operators(server: RunningServer) -> None:
    with connect_as(server, "alice") as alice:
        alice.read_until()
        assert [row.split()[0] for row in alice.command("lines").splitlines()] == ["open", "secret"]


@pytest.mark.parametrize(
    ("target", "why"),
    [("tcp", "connection refused"), ("telnet", "connection refused"), ("serial", "no such file or directory")],
)
def test_an_unreachable_line_is_reported_and_shown_as_down(
    target: str, why: str, start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        where = "serial:///dev/nowhere" if target == "serial" else f"{target}://127.0.0.1:{unused.getsockname()[1]}"
        server = start(line("switch-1", where))
        bob = terminal(server, "bob")
        bob.send(b"connect switch-1\r\n")
        bob.until(NEGOTIATION)
        bob.send(AGREEMENT)
        answer = bob.until(b"bob> ")
        assert answer == BACK_TO_LINES + f"switch-1 cannot be reached: {why}\r\nbob> ".encode()
        assert f"down: {why}" in bob.client.command("lines")
        server.stop()
    assert last(home, "command-failed")["event"]["reason"] == "line-unreachable"
    assert line_events(home) == []


def test_connecting_to_an_unresponsive_upstream_times_out(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    # The queue of a listener that accepts nothing is filled, so that the next connection hangs.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        server = start(line("switch-1", f"tcp://127.0.0.1:{listener.getsockname()[1]}", connect_timeout_s=0.5))
        bob = terminal(server, "bob")
        bob.send(b"connect switch-1\r\n")
        assert b"switch-1 cannot be reached: no answer within 0.5 s\r\n" in bob.until(b"bob> ")
        for filler in fillers:
            filler.close()


def close_amidst(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"half a li")


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


@pytest.mark.parametrize(
    ("serve", "said", "reason"),
    [
        (close_amidst, b"*** switch-1 has closed\r\n", "upstream-closed"),
        (reset, b"*** switch-1 is lost: connection reset by peer\r\n", "upstream-lost"),
    ],
)
def test_the_user_returns_to_the_prompt_when_the_upstream_ends(
    serve: Callable[[socket.socket], None],
    said: bytes,
    reason: str,
    start: Callable[..., RunningServer],
    home: Home,
    terminal: OpenTerminal,
) -> None:
    with Upstream(serve) as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        bob.send(b"connect switch-1\r\n")
        bob.until(NEGOTIATION)
        bob.send(AGREEMENT)
        bob.until(CONNECTED)
        bob.send(b"x")
        bob.until(said)
        assert bob.until(b"bob> ") == BACK_TO_LINES + b"bob> "
        assert bob.client.command("echo here") == "here"
        server.stop()
    assert line_events(home)[1] == ("line-disconnected", reason, "bob")


def test_a_client_that_disconnects_leaves_no_upstream_connection(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.client.tls.close()
        assert upstream.closed.acquire(timeout=DEADLINE_S)
        server.wait_for(lambda event: action_of(event) == "session-ended")
        server.stop()
    assert line_events(home)[1] == ("line-disconnected", "session-ended", "bob")


FLOOD_BYTES = 64 * 2**20


def flood(connection: socket.socket) -> None:
    connection.sendall(b"begin ")
    for _ in range(FLOOD_BYTES // 65536):
        connection.sendall(b"x" * 65536)
    connection.sendall(b" end")


def test_a_flooding_upstream_is_read_no_faster_than_the_client_reads(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    with Upstream(flood) as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.until(b"begin ")
        with connect_as(server, "ed") as other:
            other.read_until()
            before = resident_kib(server)
            for number in range(50):
                assert other.command(f"echo {number}") == f"{number}"
            assert resident_kib(server) - before < 16_384
        received = len(bob.client.received)
        bob.client.received = b""
        while received < FLOOD_BYTES:
            data = bob.client.tls.recv(2**20)
            assert data
            received += len(data)
        assert not upstream.closed.acquire(timeout=0) or received >= FLOOD_BYTES


IAC, SB, SE, NEW_ENVIRON = b"\xff", b"\xfa", b"\xf0", b"\x27"


def storm(connection: socket.socket) -> None:
    """Request every option repeatedly, and begin a subnegotiation that is slow to end."""
    everything = b"".join(IAC + command + bytes([option]) for command in (b"\xfb", b"\xfd") for option in range(256))
    connection.sendall(everything * 20)
    connection.sendall(IAC + SB + NEW_ENVIRON + b"\x01" * 2**20)
    connection.sendall(IAC + SE + IAC + SB + IAC + SE + IAC + b"\x01" + IAC + SE + b"still here")
    while connection.recv(65536):
        pass


def test_a_telnet_server_that_floods_options_is_refused_and_disturbs_no_session(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream(storm) as upstream:
        server = start(line("switch-1", f"telnet://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        with connect_as(server, "ed") as other:
            other.read_until()
            bob.connect("switch-1")
            assert other.command("echo here") == "here"
            assert bob.until(b"still here").endswith(b"still here")
            assert other.command("echo here") == "here"
        bob.leave()
    assert line_events(home)[-1] == ("line-disconnected", "left", "bob")


def test_tls_upstreams_are_verified_and_may_ask_for_a_certificate(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server_certificate, home.server_key)
    context.load_verify_locations(home.ca_certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with Upstream(echo_upper, context) as upstream:
        where = f"tls://localhost:{upstream.port}"
        files = {"ca": "certs/ca.pem", "certificate": "certs/users/ed.pem", "key": "certs/users/ed.key"}
        server = start(line("good", where, **files) + line("untrusted", where))
        bob = terminal(server, "bob")
        bob.connect("good")
        bob.until(b"switch-1 console\r\n# ")
        bob.leave()
        bob.send(b"connect untrusted\r\n")
        assert b"untrusted cannot be reached: its certificate is not trusted (" in bob.until(b"bob> ")


def test_a_serial_line_opens_its_port_with_the_configured_settings(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    device = os.ttyname(theirs)
    server = start(line("console", f"serial://{device}?baud=19200&stop=2"))
    bob = terminal(server, "bob")
    bob.connect("console")
    bob.send(b"hello\r")
    assert os.read(ours, 100) == b"hello\r"
    os.write(ours, b"login: ")
    assert bob.until(b"login: ") == b"login: "
    speed = termios.tcgetattr(theirs)
    assert speed[4] == speed[5] == termios.B19200
    bob.send(b"\r~#~w")
    bob.until(b"*** bob writes to console\r\n")
    bob.leave()
    for descriptor in (ours, theirs):
        os.close(descriptor)


@pytest.mark.parametrize("unsent", [b"", b"x" * 2**17])
def test_an_unplugged_serial_port_is_reported_as_a_lost_line(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal, unsent: bytes
) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    server = start(line("console", f"serial://{os.ttyname(theirs)}"))
    bob = terminal(server, "bob")
    bob.connect("console")
    bob.send(b"here" + unsent)
    assert os.read(ours, 4) == b"here"
    os.close(theirs)
    os.close(ours)
    assert b"\r\n*** console is lost: " in bob.until(b"bob> ")
    assert line_events(home)[-1] == ("line-disconnected", "upstream-lost", "bob")


def test_a_program_has_a_clean_environment_and_ends_with_the_session(
    start: Callable[..., RunningServer], tmp_path: Path, terminal: OpenTerminal
) -> None:
    script = tmp_path / "program.sh"
    script.write_text("env; tty; stty size; sleep 1000 & echo child $!; trap '' HUP; cat\n")
    server = start(line("program", f"exec:sh {script}"), SECRET="do not tell")
    bob = terminal(server, "bob")
    bob.connect("program")
    assert "/dev/ptmx" in open_files(server.process.pid)
    said = bob.until(b"child ").decode()
    child = int(bob.until(b"\r\n"))
    environment = dict(row.split("=", 1) for row in said.splitlines() if "=" in row)
    assert environment["TELNETSD_USER"] == "bob"
    assert re.fullmatch(r"[0-9a-f-]{36}", environment["TELNETSD_SESSION"])
    assert environment["TERM"] == "vt100"
    assert "SECRET" not in environment
    assert "/dev/pts/" in said
    assert "24 80" in said
    bob.client.tls.close()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the end of the program's child")
    wait_until(lambda: "/dev/ptmx" not in open_files(server.process.pid), "the end of the pty")


def test_a_program_runs_as_the_configured_user(start: Callable[..., RunningServer], terminal: OpenTerminal) -> None:
    server = start(line("program", "exec:id -un", run_as="nobody"))
    bob = terminal(server, "bob")
    bob.connect("program")
    assert b"nobody\r\n" in bob.until(b"*** program has closed\r\n")


def test_the_window_size_the_terminal_type_and_a_resize_reach_the_program(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    server = start(line("program", "exec:sh"))
    bob = terminal(server, "bob")
    bob.send(b"connect program\r\n")
    bob.until(NEGOTIATION)
    will, sb, se = b"\xff\xfb", b"\xff\xfa", b"\xff\xf0"
    bob.send(b"\xff\xfd\x01\xff\xfd\x03" + will + b"\x18" + will + b"\x1f")
    bob.until(sb + b"\x18\x01" + se)
    bob.send(sb + b"\x18\x00XTERM-256COLOR" + se + sb + b"\x1f\x00\x64\x00\x28" + se)
    bob.until(CONNECTED)
    bob.send(b"echo $TERM; stty size\r")
    bob.until(b"xterm-256color\r\n40 100\r\n")
    bob.send(sb + b"\x1f\x00\x50\x00\x19" + se + b"stty size\r")
    bob.until(b"25 80\r\n")
    bob.send(sb + b"\x1f\xff\xff\xff\xff\xff\xff\xff\xff" + se + b"stty size\r")
    bob.until(b"1000 1000\r\n")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            line("a", "gopher://x:1"),
            "wrong [[line]] 'a' in telnetsd.toml: not a target: 'gopher://x:1'; write one of telnet://",
        ),
        (line("a", "tcp://x"), "wrong [[line]] 'a' in telnetsd.toml: not an address: 'x'"),
        (line("a", "exec:no-such-program"), "'a' in telnetsd.toml: program 'no-such-program' not found"),
        (line("a", "exec:'"), "wrong [[line]] 'a' in telnetsd.toml: No closing quotation"),
        (line("a", "exec:true", run_as="nobody-here"), "no user 'nobody-here' on this machine"),
        (line("a", "serial:///dev/ttyS0?baud=12"), "'a' in telnetsd.toml: not a baud rate: '12'"),
        (line("a", "serial:///dev/ttyS0?speed=9600"), "unknown option 'speed'; known: baud, bits, parity, stop"),
        (line("a", "serial:///etc/passwd"), "'a' in telnetsd.toml: /etc/passwd is not a device"),
        (line("a", "unix:console.sock"), "a Unix socket is an absolute path, as in unix:/run/vm/console.sock"),
        (line("a", f"unix:/{'x' * 107}"), "the path of a Unix socket has at most 107 bytes"),
        (line("a", "tcp:x:1"), "no host in 'tcp:x:1'; write two slashes before it"),
        (line("a", "tls://x:1", ca="nowhere.pem"), "'a' in telnetsd.toml: no file at "),
        (line("a", "tcp://x:1", ca="certs/ca.pem"), "ca is only for targets like tls://HOST:PORT"),
        (line("a", "tcp://x:1", roles=["boss"]), "no role 'boss'; define [roles.boss]"),
        (line("a", "tcp://x:1") * 2, "two [[line]] entries in telnetsd.toml are named 'a'; rename one"),
        ('[[line]]\nname = "a"\ntarget = "tcp://x:1"\nshred = true\n', "unknown key 'shred' in telnetsd.toml line 4"),
    ],
)
def test_check_and_serve_refuse_an_invalid_line(toml: str, said: str, home: Home) -> None:
    home.config_file.write_text(toml)
    done = telnetsd(home, "serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert telnetsd(home, "check").returncode == 1


def test_a_line_removed_by_a_reload_ends_with_a_message(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.until(b"# ")
        home.config_file.write_text("")
        assert telnetsd(home, "reload").returncode == 0
        bob.until(b"*** switch-1 was removed or changed by the operator\r\n")
        bob.until(b"bob> ")
        assert bob.client.command("lines") == "you have access to no lines"
        server.stop()
    assert line_events(home)[1] == ("line-disconnected", "line-removed", "bob")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"idle_timeout_s": 0.5}, b"*** nothing was typed on switch-1 for too long\r\n"),
        ({"max_time_s": 0.5}, b"*** switch-1 was open for its maximum time\r\n"),
    ],
)
def test_a_line_has_its_own_timeouts(
    options: dict[str, float], said: bytes, start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", **options))
        bob = terminal(server, "bob")
        bob.connect("switch-1")
        bob.until(said)
        bob.until(b"bob> ")
        server.stop()


def test_no_line_is_connected_while_the_log_cannot_be_written(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    import fcntl

    with Upstream() as upstream:
        server = start(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        bob = terminal(server, "bob")
        with home.audit_file.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            bob.send(b"connect switch-1\r\n")
            assert b"refused: the audit log cannot be written" in bob.until(b"bob> ")
    assert line_events(home) == []


def test_stopping_the_server_ends_its_lines(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path, terminal: OpenTerminal
) -> None:
    server = start(line("program", "exec:cat"))
    bob = terminal(server, "bob")
    bob.connect("program")
    assert server.stop() == ""
    assert line_events(home)[1] == ("line-disconnected", "session-ended", "bob")


def test_the_console_server_of_the_readme_works_by_copy_and_paste(
    start: Callable[..., RunningServer], terminal: OpenTerminal, home: Home
) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    toml = readme.partition("cat >> telnetsd.toml <<'LINES'\n")[2].partition("LINES\n")[0]
    assert toml.count("[[line]]") == 2
    server = start(toml)
    alice = terminal(server, "alice")
    listed = readme.partition("alice> lines\n")[2].partition("\nalice> connect this-host\n")[0]
    assert alice.client.command("lines") == listed
    alice.connect("this-host")
    alice.send(b"echo $((6 * 7))\r")
    alice.until(b"42\r\n")
    alice.leave()
    server.wait_for(lambda event: action_of(event) == "recording-closed")
    assert telnetsd(home, "recording", "verify").returncode == 0
