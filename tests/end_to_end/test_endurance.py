"""A server under every kind of load at once: nothing is lost, nothing grows, and it recovers from every kill."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from support.client import Client
from support.command_line import telnetsd
from support.machine import DEADLINE_S
from support.processes import descriptors_of, grandchildren, resident_kib, workers_of
from support.rsyslog import free_port
from support.server import RunningServer, wait_until
from support.soak import LINE, Seen, soak, unaccounted
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

SOAK_S = float(os.environ.get("TELNETSD_SOAK_S", "120"))
SHORT_SOAK_S = 12.0
PROMPTS_MIN = 10
WORKERS = 4
SEED = int(os.environ.get("TELNETSD_SOAK_SEED", "0")) or random.randrange(2**31)
GROWTH_KIB = 20 * 1024


def settled(server: RunningServer) -> bool:
    """Return whether no session is open, and no worker is missing."""
    listed = telnetsd(server.home, "session", "list").stdout.splitlines()
    return len(listed) == 1 and len(workers_of(server)) == WORKERS


@pytest.mark.first
@pytest.mark.timeout(4 * DEADLINE_S + SOAK_S)
@pytest.mark.parametrize("seconds", [SHORT_SOAK_S, pytest.param(SOAK_S, marks=pytest.mark.long)])
def test_a_server_under_a_long_mixed_load_loses_no_event_and_does_not_grow(
    seconds: float, start: Callable[..., RunningServer]
) -> None:
    print(f"seed {SEED}")
    server = start(LINE, workers=WORKERS)
    begun = soak(server, seconds / 4, SEED)
    wait_until(lambda: settled(server), "a server at rest")
    descriptors, memory = descriptors_of(server) + 2, resident_kib(server)
    rest = soak(server, seconds * 3 / 4, SEED + 1)
    wait_until(lambda: settled(server), "a server at rest")
    # Every minute, the maintenance opens what it needs for a moment.
    wait_until(lambda: descriptors_of(server) <= descriptors, "no more descriptors than before")
    assert resident_kib(server) < memory + GROWTH_KIB
    words = server.stop()
    assert "Traceback" not in words
    seen = Seen(begun.prompts | rest.prompts, begun.answers + rest.answers)
    assert len(seen.prompts) > PROMPTS_MIN
    assert unaccounted(server.home, seen) == []
    assert telnetsd(server.home, "audit", "verify").stdout.startswith("intact")


class Caretaker:
    """Restarts a server whenever it dies, as systemd does with Restart=always."""

    def __init__(self, home: Home, port: int) -> None:
        self._command = [sys.executable, "-m", "telnetsd", "serve", "--home", str(home.root)]
        self._command += ["--listen", f"127.0.0.1:{port}", "--workers", "2"]
        self._is_over = False
        self.process = self._start()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    def _watch(self) -> None:
        while self.process.wait() is not None and not self._is_over:
            self.process = self._start()

    def stop(self) -> None:
        self._is_over = True
        self.process.send_signal(signal.SIGTERM)
        self._thread.join(DEADLINE_S)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def caretaker(home: Home, port: int) -> Iterator[Caretaker]:
    one = Caretaker(home, port)
    yield one
    one.stop()


def try_logging_in(home: Home, port: int) -> bool:
    files = user_files(home, "bob")
    try:
        with Client(port, home.ca_certificate, (files.certificate, files.key)) as client:
            return "you are bob" in client.read_until()
    except (OSError, AssertionError):
        return False


def gap_after(kill: Callable[[], None], home: Home, port: int) -> float:
    """Wait until a login succeeds after a kill, and return how many seconds that took."""
    begun = time.monotonic()
    kill()
    wait_until(lambda: try_logging_in(home, port), "the service")
    return time.monotonic() - begun


# If a server is killed between connect() and the handshake, Python's ssl does not close the socket that it has made.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_service_recovers_after_workers_and_the_first_process_are_killed_under_load(
    caretaker: Caretaker, home: Home, port: int
) -> None:
    dice = random.Random(SEED)
    wait_until(lambda: try_logging_in(home, port), "the first start")
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            try_logging_in(home, port)

    loads = [threading.Thread(target=load) for _ in range(2)]
    for one in loads:
        one.start()

    def kill_worker() -> None:
        workers = grandchildren(caretaker.process.pid)
        os.kill(dice.choice(workers), signal.SIGKILL)

    try:
        of_workers = [gap_after(kill_worker, home, port) for _ in range(4)]
        of_the_first = [gap_after(caretaker.process.kill, home, port) for _ in range(3)]
    finally:
        over.set()
        for one in loads:
            one.join()
    print(f"back after a worker's death: {of_workers}, after the supervisor's: {of_the_first}")
    caretaker.stop()
    assert telnetsd(home, "audit", "verify").stdout.startswith("intact")


def test_a_port_held_by_systemd_refuses_no_connection_while_the_first_process_restarts(home: Home, port: int) -> None:
    """The sockets outlive the server, as with telnetsd.socket: a client waits for the next one, and is admitted."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.set_inheritable(True)

    def start() -> subprocess.Popen[bytes]:
        code = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
            "os.execv(sys.executable, [sys.executable, '-m', 'telnetsd', 'serve', *sys.argv[2:]])"
        )
        command = [sys.executable, "-c", code, str(listener.fileno()), "--home", str(home.root)]
        command += ["--listen", f"127.0.0.1:{port}"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()])

    with listener:
        server = start()
        assert try_logging_in(home, port)
        server.kill()
        server.wait()
        server = start()
        assert try_logging_in(home, port)
        server.terminate()
        assert server.wait(DEADLINE_S) == 0
    assert telnetsd(home, "audit", "verify").stdout.startswith("intact")
