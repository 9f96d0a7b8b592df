"""A server as a service: drained by a signal, started by systemd's tools, reported by sd_notify, without root."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.client import Client, connect_as
from support.command_line import refused
from support.machine import DEADLINE_S
from support.processes import children
from support.rsyslog import free_port
from support.server import MEASURING, RunningServer, action_of, read_events, wait_for_event, wait_until
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

UNIT = Path(__file__).parents[2] / "scripts" / "telnetsd.service"
TOLD = "\r\n*** the server is stopping: this session ends in 10 seconds\r\nbob> "


def is_refused(server: RunningServer) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) != 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_stops_new_connections_and_waits_for_open_sessions(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    server = start(workers=workers)
    with connect_as(server, "bob") as client:
        client.read_until()
        server.process.send_signal(signal.SIGTERM)
        assert client.read_until() == TOLD
        wait_until(lambda: is_refused(server), "a closed port")
        assert "bob" in client.command("whoami")
        client.send(b"quit\r\n")
        assert client.read_to_end() == "goodbye\r\n"
    _, words = server.process.communicate(timeout=DEADLINE_S)
    assert words == "stopped\n"
    ends = [one["event"]["reason"] for one in server.events() if action_of(one) == "session-ended"]
    assert ends == ["quit"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_session_that_does_not_end_in_time_is_disconnected(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    server = start("[listener]\ndrain_timeout_s = 0.6\n", workers=workers)
    with connect_as(server, "bob") as client:
        client.read_until()
        server.process.send_signal(signal.SIGTERM)
        assert client.read_to_end().endswith("*** the server is stopping\r\n")
        assert server.session_from(client.port, "session-ended")["event"]["reason"] == "server-stopped"
    assert server.process.communicate(timeout=DEADLINE_S)[1] == "stopped\n"


def test_a_server_stopped_while_its_workers_start_does_not_wait_for_them(home: Home) -> None:
    command = [*serve_command(home), "--listen", "127.0.0.1:0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        (forker,) = wait_until(lambda: children(process.pid), "the process that starts workers")
        os.kill(forker, signal.SIGSTOP)
        wait_for_event(home, lambda one: action_of(one) == "server-started")
        process.terminate()
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert said.endswith("stopped\n")
    assert "server-stopped" in map(action_of, read_events(home))


def test_a_second_signal_ends_the_drain(start: Callable[..., RunningServer]) -> None:
    server = start("[listener]\ndrain_timeout_s = 600\n")
    with connect_as(server, "bob") as client:
        client.read_until()
        server.process.send_signal(signal.SIGTERM)
        client.read_until()
        server.process.send_signal(signal.SIGTERM)
        assert client.read_to_end().endswith("*** the server is stopping\r\n")
    assert server.process.communicate(timeout=DEADLINE_S)[1] == "stopped\n"


class NotifySocket:
    """The socket on which systemd would listen."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(DEADLINE_S)

    def read_until(self, beginning: str) -> list[str]:
        """Return the lines of the first message that begins with this line."""
        while True:
            lines = self._socket.recv(4096).decode().splitlines()
            if lines[0] == beginning:
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[NotifySocket]:
    notify = NotifySocket(tmp_path)
    yield notify
    notify.close()


def test_the_service_manager_is_notified_of_readiness_watchdog_reloads_and_stopping(
    heard: NotifySocket, start: Callable[..., RunningServer]
) -> None:
    server = start(NOTIFY_SOCKET=str(heard.path), WATCHDOG_USEC="400000")
    assert heard.read_until("READY=1")[1] == f"STATUS=listening on 127.0.0.1:{server.port}"
    heard.read_until("WATCHDOG=1")
    heard.read_until("WATCHDOG=1")
    server.process.send_signal(signal.SIGHUP)
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    began_us = int(heard.read_until("RELOADING=1")[1].removeprefix("MONOTONIC_USEC="))
    assert abs(began_us - before_us) < DEADLINE_S * 1_000_000
    assert "trust anchor" in heard.read_until("READY=1")[1]
    server.home.config_file.write_text("x =")
    assert "not valid TOML" in refused(server.home, "reload")
    heard.read_until("RELOADING=1")
    assert heard.read_until("READY=1")[1].startswith("STATUS=nothing was reloaded: ")
    server.stop()
    heard.read_until("STOPPING=1")


def test_sockets_opened_by_systemd_are_served(home: Home) -> None:
    port = free_port()
    listen = ["--listen", f"127.0.0.1:{port}"]
    command = [*behind_sockets(home, f"127.0.0.1:{port}"), *listen]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        files = user_files(home, "bob")
        client = wait_until(
            lambda: try_connecting(port, home, (files.certificate, files.key)), "a server behind the socket"
        )
        with client:
            assert "you are bob" in client.read_until()
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert f"listening on 127.0.0.1:{port}" in process.stderr.read()
        assert process.wait(DEADLINE_S) == 0


def test_a_number_of_systemd_sockets_other_than_that_of_the_addresses_is_refused(home: Home) -> None:
    port = free_port()
    command = behind_sockets(home, f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: knock(port), "systemd's socket")
        assert process.stderr is not None
        assert "the service manager passes 2 sockets for 1 addresses" in process.stderr.read()
        assert process.wait(DEADLINE_S) == 1


def serve_command(home: Home) -> list[str]:
    return [sys.executable, "-m", "telnetsd", "serve", "--home", str(home.root)]


def behind_sockets(home: Home, *addresses: str) -> list[str]:
    """Return the command of a server whose sockets systemd opens; it passes on the variables that it is told to."""
    passed = [word for name in MEASURING for word in ("-E", name)]
    sockets = [word for address in addresses for word in ("-l", address)]
    return ["systemd-socket-activate", *passed, *sockets, *serve_command(home)]


def knock(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as raw:
        return raw.connect_ex((host, port)) == 0


def try_connecting(port: int, home: Home, credentials: tuple[Path, Path]) -> Client | None:
    with contextlib.suppress(ConnectionError):
        return Client(port, home.ca_certificate, credentials)
    return None


@pytest.mark.usefixtures("unmeasured")  # its user may not write where coverage is recorded
def test_root_privileges_are_dropped_when_the_sockets_are_open(home: Home) -> None:
    """Only root can open port 992; what is written later belongs to the user, in a folder that others may enter."""
    folder = Path(tempfile.mkdtemp(prefix="telnetsd-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        shutil.copytree(home.root, folder / "home")
        mine = Home(folder / "home")
        mine.config_file.write_text('[listener]\nuser = "nobody"\n')
        subprocess.run(["chown", "-R", "nobody:", folder / "home"], check=True)
        server = RunningServer(mine)
        with connect_as(server, "bob") as client:
            client.read_until()
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            assert len(set(uids)) == 1
            assert uids[0] != "0"
            assert mine.control_socket.owner() == "nobody"
        assert server.stop() == ""
    finally:
        shutil.rmtree(folder)


def test_root_does_not_serve_a_home_folder_of_another_owner(home: Home) -> None:
    os.chown(home.root, 65534, 65534)
    assert "belongs to uid 65534, and would be served as root" in refused(home, "serve", "--listen", "127.0.0.1:0")
    os.chown(home.root, 0, 0)
    home.config_file.write_text('[listener]\nuser = "nobody"\n')
    assert "belongs to uid 0, and would be served as nobody" in refused(home, "serve", "--listen", "127.0.0.1:0")


@pytest.mark.parametrize(("socket_host", "host"), [("127.0.0.2", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])  # noqa: S104
def test_a_systemd_socket_for_another_host_is_refused(socket_host: str, host: str, home: Home) -> None:
    port = free_port()
    command = [*behind_sockets(home, f"{socket_host}:{port}"), "--listen", f"{host}:{port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: knock(port, "127.0.0.2"), "systemd's socket")
        assert process.stderr is not None
        said = process.stderr.read()
        assert f"socket is for {socket_host}:{port}, but the address is {host}:{port}" in said
        assert process.wait(DEADLINE_S) == 1


def test_a_systemd_socket_for_another_address_is_refused(home: Home) -> None:
    port = free_port()
    command = [*behind_sockets(home, f"127.0.0.1:{port}"), "--listen", "127.0.0.1:9"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: knock(port), "systemd's socket")
        assert process.stderr is not None
        assert f"socket is for 127.0.0.1:{port}, but the address is 127.0.0.1:9" in process.stderr.read()


def test_an_unknown_system_user_is_reported(home: Home) -> None:
    home.config_file.write_text('[listener]\nuser = "nobody-here"\n')
    assert "no user 'nobody-here' on this machine" in refused(home, "serve", "--listen", "127.0.0.1:0")


@pytest.mark.parametrize("name", ["telnetsd.service", "telnetsd-init.service"])
def test_a_systemd_unit_is_valid_and_restricts_its_process(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    # systemd looks for the program in the folders of its own PATH, where it is not on this machine.
    unit.write_text((UNIT.parent / name).read_text().replace("ExecStart=telnetsd", f"ExecStart={sys.executable}"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    bounded = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bounded.returncode == 0, bounded.stdout
