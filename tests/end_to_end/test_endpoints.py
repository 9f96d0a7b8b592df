"""Several addresses of one server, one of them behind a real HAProxy, and the requirements of each address."""

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.client import Client, client_context, connect_as
from support.command_line import done, refused, telnetsd
from support.machine import DEADLINE_S
from support.processes import open_files, workers_of
from support.rsyslog import free_port
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

HEADER = "PROXY TCP4 192.0.2.77 192.0.2.1 4711 992\r\n"
PROXIED = '[listener]\nproxies = ["127.0.0.1"]\n'


@contextlib.contextmanager
def haproxy(folder: Path, server_port: int, option: str) -> Iterator[int]:
    """Run an HAProxy that forwards its input to a server, with a PROXY header before it."""
    port, configuration = free_port(), folder / "haproxy.cfg"
    configuration.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        f"listen telnets\n bind 127.0.0.1:{port}\n server one 127.0.0.1:{server_port} {option}\n"
    )
    process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_open(port), "HAProxy")
        yield port
    finally:
        process.terminate()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def log_in_over(raw: socket.socket, home: Home) -> ssl.SSLSocket:
    files = user_files(home, "bob")
    context = client_context(home.ca_certificate, (files.certificate, files.key))
    tls = context.wrap_socket(raw, server_hostname="localhost")
    received = b""
    while b"bob> " not in received:
        received += tls.recv(4096)
    return tls


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_behind_haproxy_the_log_shows_the_source_and_the_proxy(
    option: str, tmp_path: Path, start: Callable[..., RunningServer]
) -> None:
    server = start(PROXIED)
    with (
        haproxy(tmp_path, server.port, option) as port,
        socket.create_connection(("127.0.0.1", port), DEADLINE_S, source_address=("127.0.0.9", 0)) as raw,
        log_in_over(raw, server.home) as client,
    ):
        mine = client.getsockname()[1]
        event = server.session_from(mine)
        assert event["source"] == {"ip": "127.0.0.9", "port": mine}
        assert event["telnetsd"]["proxy"] == {"ip": "127.0.0.1"}
        assert event["user"]["name"] == "bob"
        assert f"127.0.0.9:{mine}" in done(server.home, "session", "list")


def test_limits_count_the_source_and_not_the_proxy(start: Callable[..., RunningServer]) -> None:
    server = start(PROXIED + "[limits]\nexempt = []\nper_source = 1\n")
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as one:
        one.sendall(HEADER.encode())
        with log_in_over(one, server.home):
            with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as two:
                two.sendall(HEADER.replace("4711", "4712").encode())
                assert two.recv(1) == b""
            event = server.session_from(4712, "connection-refused")
            assert (event["event"]["reason"], event["source"]["ip"]) == ("too-many-from-source", "192.0.2.77")
            with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as other:
                other.sendall(HEADER.replace("192.0.2.77", "192.0.2.78").encode())
                log_in_over(other, server.home).close()


@pytest.mark.parametrize("header", [b"GET / HTTP/1.0\r\n\r\n", b"PROXY TCP4 1.2.3 4\r\n", b"\x16\x03\x01\x02\x00"])
def test_a_connection_with_an_invalid_proxy_header_is_closed_and_logged(
    header: bytes, start: Callable[..., RunningServer]
) -> None:
    server = start(PROXIED)
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        port = raw.getsockname()[1]
        raw.sendall(header)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(1) == b""
    event = server.session_from(port, "connection-refused")
    assert (event["event"]["reason"], event["source"]["ip"]) == ("wrong-proxy-header", "127.0.0.1")


def test_a_silent_proxy_is_disconnected_at_the_timeout_and_a_health_check_is_not_logged(
    start: Callable[..., RunningServer],
) -> None:
    server = start(PROXIED + "[tls]\nhandshake_timeout_s = 2\n")
    with socket.create_connection(("127.0.0.1", server.port)):
        pass
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        port = raw.getsockname()[1]
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(1) == b""
    event = server.session_from(port, "connection-refused")
    assert "did not arrive in time" in event["message"]
    assert [action_of(one) for one in server.events()].count("connection-refused") == 1


def test_a_silent_proxy_does_not_prevent_the_server_from_stopping(start: Callable[..., RunningServer]) -> None:
    server = start(PROXIED)
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        wait_until(lambda: is_accepted(server, raw), "a proxy that is heard")
        assert server.stop() == ""


def is_accepted(server: RunningServer, raw: socket.socket) -> bool:
    """Return whether a process of the server holds the server's end of a connection, that is, has accepted it."""
    port = f":{raw.getsockname()[1]:04X} 01"
    inodes = [line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if port in line]
    processes = (server.process.pid, *workers_of(server))
    links = {link for process in processes for link in open_files(process)}
    return any(f"socket:[{inode}]" in links for inode in inodes)


@pytest.mark.parametrize("check", [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"PROXY UNKNOWN\r\n"])
def test_a_health_check_with_a_local_proxy_header_is_not_logged(
    check: bytes, start: Callable[..., RunningServer]
) -> None:
    server = start(PROXIED)
    before = len(server.events())
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        raw.sendall(check)
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        raw.sendall(check)
        with log_in_over(raw, server.home) as client:
            assert server.session_from(client.getsockname()[1])["source"]["ip"] == "127.0.0.1"
    assert action_of(server.events()[before]) == "session-started"


def test_an_ipv4_proxy_is_recognised_on_an_address_that_also_serves_ipv6(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    server = start(f'[[listener.also]]\nlisten = "[::]:{port}"\nproxies = ["127.0.0.1"]\n')
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as raw:
        raw.sendall(HEADER.encode())
        with log_in_over(raw, server.home):
            event = server.session_from(4711)
    assert (event["source"]["ip"], event["telnetsd"]["proxy"]["ip"]) == ("192.0.2.77", "127.0.0.1")


def test_a_proxy_header_from_an_unlisted_address_is_not_believed(start: Callable[..., RunningServer]) -> None:
    server = start('[listener]\nproxies = ["127.0.0.200"]\n')
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        port = raw.getsockname()[1]
        raw.sendall(HEADER.encode())
        assert raw.recv(100).startswith(b"this is a TLS port")
    event = server.session_from(port, "handshake-failed")
    assert (event["event"]["reason"], event["source"]["ip"]) == ("plain-text", "127.0.0.1")
    assert not any(get(one, "source.ip") == "192.0.2.77" for one in server.events())


def test_each_address_of_a_server_has_its_own_requirements(start: Callable[..., RunningServer]) -> None:
    strict, operators = free_port(), free_port()
    server = start(
        f'[[listener.also]]\nlisten = "127.0.0.1:{strict}"\nrequire_certificate = true\n'
        f'[[listener.also]]\nlisten = "127.0.0.1:{operators}"\nroles = ["operator"]\n'
    )
    with connect_as(server) as guest:
        guest.read_until()
    with Client(strict, server.home.ca_certificate) as guest:
        assert guest.read_to_end().startswith("refused: your client presented no certificate")
        assert server.session_from(guest.port, "session-refused")["event"]["reason"] == "no-certificate"
    with log_in(operators, server.home, "bob") as bob:
        assert bob.read_to_end().startswith("refused: this address of the server is closed to your roles")
        assert server.session_from(bob.port, "session-refused")["event"]["reason"] == "role-not-taken-here"
    with log_in(operators, server.home, "alice") as alice:
        alice.read_until()
        done(server.home, "user", "change", "alice", "--role", "user")
        assert "this address of the server is closed to your roles" in alice.read_to_end()
        assert server.session_from(alice.port, "session-ended")["event"]["reason"] == "role-not-taken-here"


def log_in(port: int, home: Home, user: str) -> Client:
    files = user_files(home, user)
    return Client(port, home.ca_certificate, (files.certificate, files.key))


def test_ipv6_and_unix_sockets_accept_logins(tmp_path: Path, start: Callable[..., RunningServer]) -> None:
    port, path = free_port(), tmp_path / "in.sock"
    server = start(f'[[listener.also]]\nlisten = "[::1]:{port}"\n[[listener.also]]\nlisten = "unix:{path}"\n')
    with socket.create_connection(("::1", port), DEADLINE_S) as raw, log_in_over(raw, server.home) as client:
        assert server.session_from(client.getsockname()[1])["source"]["ip"] == "::1"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        with log_in_over(raw, server.home):
            event = server.wait_for(lambda one: action_of(one) == "session-started" and "source" not in one)
            assert event["user"]["name"] == "bob"
            assert "local" in done(server.home, "session", "list")
    server.stop()
    assert not path.exists()


def test_stopping_does_not_remove_a_unix_socket_that_another_program_has_put_in_its_place(
    tmp_path: Path, start: Callable[..., RunningServer]
) -> None:
    path = tmp_path / "in.sock"
    server = start(f'[[listener.also]]\nlisten = "unix:{path}"\n')
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        server.stop()
        assert path.is_socket()


def test_a_unix_socket_does_not_replace_a_file(tmp_path: Path, home: Home) -> None:
    (tmp_path / "file").write_text("precious")
    assert "a file that is not a socket is there" in refused(home, "serve", "--listen", f"unix:{tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "precious"


def test_connect_reports_that_the_server_may_have_refused_the_address(start: Callable[..., RunningServer]) -> None:
    server = start(PROXIED)
    done = telnetsd(server.home, "connect", "--guest", f"localhost:{server.port}")
    assert done.returncode == 255
    said = done.stderr
    assert "closed the connection before it identified itself: it may have rejected this address; try again" in said
    assert server.wait_for(lambda one: action_of(one) == "connection-refused")


def test_check_examines_every_address(tmp_path: Path, home: Home) -> None:
    home.config_file.write_text(f'[[listener.also]]\nlisten = "unix:{tmp_path}/no-folder/in.sock"\n')
    assert f"folder {tmp_path}/no-folder not found;" in " ".join(done(home, "check", COLUMNS="500").split())
    home.config_file.write_text(f'[[listener.also]]\nlisten = "unix:{home.config_file}"\n')
    finished = telnetsd(home, "check", COLUMNS="500")
    assert finished.returncode == 1
    assert "a file that is not a socket is there" in finished.stdout


@pytest.mark.parametrize(
    "settings",
    [
        '[[listener.also]]\nlisten = "127.0.0.1:1"\nroles = ["operatr"]\n',
        f'[[cert_to_name]]\nid = "x"\nfingerprint = "SHA256:{"0" * 64}"\nmap_type = "subject"\nroles = ["operatr"]\n',
    ],
)
def test_an_undefined_role_cannot_be_required_or_granted(settings: str, home: Home) -> None:
    home.config_file.write_text(settings)
    assert "no role 'operatr'; define [roles.operatr]" in refused(home, "serve")
    finished = telnetsd(home, "check", COLUMNS="500")
    assert finished.returncode == 1
    assert finished.stdout.count("no role 'operatr'") == 1
