"""Several workers serve as one server: it makes no difference which worker a session is on."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from support.client import Client, connect_as
from support.command_line import refused, telnetsd
from support.lines import OpenTerminal, Terminal, line
from support.machine import DEADLINE_S
from support.processes import children, workers_of
from support.server import RunningServer, action_of, get, wait_until
from support.upstreams import Upstream
from telnetsd.control.client import ask
from telnetsd.daemon.workers.supervisor import HUNG_S
from telnetsd.files.home import Home
from telnetsd.rpc.messages import ListSessionsRequest


class Supervisor:
    """A server with two workers; a test can choose which one accepts the next connection."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    @property
    def workers(self) -> list[int]:
        """The workers, the oldest first."""
        return workers_of(self.server)

    def wait_for_others(self, before: list[int]) -> None:
        """Wait until there are two workers besides the previous ones, which may still be running."""
        wait_until(lambda: len([pid for pid in self.workers if pid not in before]) == 2, "new workers")

    @contextlib.contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Let only this worker accept connections."""
        others = [one for one in self.workers if one != worker]
        for one in others:
            os.kill(one, signal.SIGSTOP)
        try:
            yield
        finally:
            for one in others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGCONT)


@pytest.fixture
def supervisor(start: Callable[..., RunningServer]) -> Callable[..., Supervisor]:
    return lambda toml="": Supervisor(start(toml, workers=2))


def on_each(supervisor: Supervisor, terminal: OpenTerminal, *users: str) -> list[Terminal]:
    """Log each user in on a separate worker."""
    terminals = []
    for worker, user in zip(supervisor.workers, users, strict=True):
        with supervisor.only(worker):
            terminals.append(terminal(supervisor.server, user))
    return terminals


def verified(home: Home) -> None:
    assert telnetsd(home, "audit", "verify").returncode == 0


def test_sessions_of_every_worker_are_listed_notified_watched_and_ended_from_any_of_them(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    one = supervisor()
    alice, bob = on_each(one, terminal, "alice", "bob")
    shown = alice.client.command("sessions")
    assert "alice" in shown
    assert "bob" in shown
    assert "bob" in telnetsd(home, "session", "list").stdout
    assert alice.client.command("wall good evening") == "sent to 1 other session"
    assert b"*** alice to all: good evening" in bob.until(b"bob> ")
    session = get(one.server.session_from(bob.client.port), "telnetsd.session.id")
    assert "has ended" in alice.client.command(f"kick {session[-8:]}")
    assert "alice has ended this session" in bob.client.read_to_end()
    ended = one.server.session_from(bob.client.port, "session-ended")
    assert ended["event"]["reason"] == "kicked"


def test_sessions_of_a_hung_worker_are_listed_and_reported_as_not_ended(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    one = supervisor()
    _, bob = on_each(one, terminal, "alice", "bob")
    event = one.server.session_from(bob.client.port)
    first, hung = one.workers
    with one.only(first), ThreadPoolExecutor() as threads:
        listing = threads.submit(ask, home.control_socket, ListSessionsRequest())
        refused_kick = refused(home, "session", "kick", get(event, "telnetsd.session.id"))
        rows = {row.user: row for row in listing.result()}
    assert refused_kick == f"error: worker {hung} has not ended it: it does not answer; try again"
    assert rows["alice"].idle_s is not None
    assert rows["bob"] == msgspec.structs.replace(
        rows["bob"],
        id=get(event, "telnetsd.session.id"),
        roles=("user",),
        source=f"127.0.0.1:{bob.client.port}",
        certificate_sha256=get(event, "tls.client.hash.sha256").lower(),
        certificate_status="verified",
        idle_s=None,
    )
    # The worker carries out what it was told while it hung as soon as it can.
    assert "has ended this session" in bob.client.read_to_end()


@pytest.mark.first
@pytest.mark.timeout(4 * DEADLINE_S + HUNG_S)
def test_a_worker_that_hangs_for_half_a_minute_is_ended_and_replaced(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    one = supervisor()
    alice, bob = on_each(one, terminal, "alice", "bob")
    _, hung = one.workers
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: hung not in one.workers and len(one.workers) == 2, "another worker", HUNG_S + DEADLINE_S)
    assert bob.client.tls.recv(1) == b""
    ended = one.server.session_from(bob.client.port, "session-ended")
    assert ended["event"]["reason"] == "worker-lost"
    assert "alice" in alice.client.command("whoami")
    with one.only(one.workers[-1]):
        assert "ed" in terminal(one.server, "ed").client.command("whoami")
    assert f"worker {hung} hangs, and is killed" in one.server.stop()
    verified(home)


def test_a_tls_session_is_resumed_by_another_worker_only_while_its_user_has_access(
    supervisor: Callable[..., Supervisor], home: Home
) -> None:
    one = supervisor()
    first, second = one.workers
    with one.only(first), connect_as(one.server, "bob") as client:
        client.read_until()
        context, ticket = client.context, client.tls.session
    with one.only(second), Client(one.server.port, home.ca_certificate, context=context, session=ticket) as client:
        assert client.tls.session_reused
        client.read_until()
        assert one.server.session_from(client.port)["tls"]["resumed"] is True
        ticket = client.tls.session
    telnetsd(home, "user", "revoke", "bob")
    with one.only(first), Client(one.server.port, home.ca_certificate, context=context, session=ticket) as client:
        assert "was revoked" in client.read_to_end()
        refused = one.server.session_from(client.port, "session-refused")
        assert (refused["tls"]["resumed"], refused["event"]["reason"]) == (True, "certificate-revoked")


def test_sessions_on_different_workers_share_one_line(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        one = supervisor(line("switch-1", f"tcp://127.0.0.1:{upstream.port}", shared=True, record=True))
        alice, bob = on_each(one, terminal, "alice", "bob")
        bob.connect("switch-1")
        assert "bob writes to switch-1" in alice.client.command("lines")
        assert b"bob writes to switch-1; watched by alice" in alice.connect("switch-1")
        bob.send(b"show version\r")
        bob.until(b"SHOW VERSION")
        alice.until(b"SHOW VERSION")
        alice.send(b"~a")
        bob.until(b"alice asks to write")
        bob.send(b"~h")
        alice.until(b"you now write to switch-1")
        alice.send(b"reload\r")
        bob.until(b"RELOAD")
        bob.leave()
        alice.leave()
        one.server.wait_for(lambda event: action_of(event) == "recording-closed")
    recordings = telnetsd(home, "recording", "verify")
    assert recordings.returncode == 0, recordings
    verified(home)


def test_a_line_that_is_not_shared_is_in_use_on_every_worker_and_can_be_taken_over(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        one = supervisor(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        alice, bob = on_each(one, terminal, "alice", "bob")
        bob.connect("switch-1")
        assert "switch-1 is in use by bob" in alice.ask("switch-1")
        alice.connect("--force switch-1")
        bob.until(b"*** alice has taken over switch-1\r\n")
        bob.until(b"bob> ")


def test_a_worker_that_dies_ends_only_its_own_sessions(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream() as upstream:
        one = supervisor(line("switch-1", f"tcp://127.0.0.1:{upstream.port}"))
        first, _ = one.workers
        bob, alice = on_each(one, terminal, "bob", "alice")
        bob.connect("switch-1")
        os.kill(first, signal.SIGKILL)
        ended = one.server.session_from(bob.client.port, "session-ended")
        assert (ended["event"]["reason"], get(ended, "user.name")) == ("worker-lost", "bob")
        left = one.server.session_from(bob.client.port, "line-disconnected")
        assert left["event"]["reason"] == "worker-lost"
        assert alice.client.command("echo still here") == "still here"
        assert b"connected to switch-1" in alice.connect("switch-1")
        wait_until(lambda: len(one.workers) == 2 and first not in one.workers, "another worker")
        with connect_as(one.server, "ed") as client:
            client.read_until()
    assert f"worker {first} has ended, and 1 session with it" in one.server.stop()
    verified(home)


def test_when_the_first_process_is_killed_its_workers_end_and_the_server_can_restart(
    supervisor: Callable[..., Supervisor], start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    one = supervisor()
    workers = one.workers
    (alice, _) = on_each(one, terminal, "alice", "bob")
    one.server.kill()
    wait_until(lambda: not any(map(is_running, workers)), "the end of the workers")
    with contextlib.suppress(OSError):
        alice.client.send(b"echo unrecorded\r\n")
    again = start(workers=2)
    with connect_as(again, "alice") as client:
        client.read_until()
    assert not [event for event in again.events() if "unrecorded" in event["message"]]
    verified(home)


def test_a_hangup_signal_starts_new_workers_without_refusing_a_connection_or_losing_a_session(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    one = supervisor()
    before = one.workers
    (alice, bob) = on_each(one, terminal, "alice", "bob")
    refused: list[OSError] = []
    is_over = threading.Event()

    def keep_coming() -> None:
        while not is_over.is_set():
            try:
                with connect_as(one.server, "ed") as client:
                    client.read_until()
            except OSError as error:
                refused.append(error)

    coming = threading.Thread(target=keep_coming)
    coming.start()
    try:
        one.server.process.send_signal(signal.SIGHUP)
        one.server.wait_for(lambda event: action_of(event) == "server-reloaded")
        one.wait_for_others(before)
    finally:
        is_over.set()
        coming.join()
    assert refused == []
    assert alice.client.command("echo still here") == "still here"
    telnetsd(home, "user", "revoke", "bob")
    assert "was revoked" in bob.client.read_to_end()
    alice.client.send(b"quit\r\n")
    wait_until(lambda: not any(map(is_running, before)), "the end of the retired workers")
    with connect_as(one.server, "ed") as client:
        client.read_until()
    verified(home)


def test_a_reload_reaches_every_worker(
    supervisor: Callable[..., Supervisor], home: Home, terminal: OpenTerminal
) -> None:
    one = supervisor()
    sessions = on_each(one, terminal, "alice", "bob")
    home.config_file.write_text('[session]\nmotd = "the new word"\n')
    assert telnetsd(home, "reload").returncode == 0
    assert [each.client.command("motd") for each in sessions] == ["the new word"] * 2
    home.config_file.write_text("[session]\nmotd = 5\n")
    assert telnetsd(home, "reload").returncode == 1
    assert [each.client.command("motd") for each in sessions] == ["the new word"] * 2


def test_a_replacement_worker_has_the_reloaded_configuration(
    supervisor: Callable[..., Supervisor], home: Home
) -> None:
    """Its forker has loaded the previous configuration, and a user may have lost access since then."""
    one = supervisor()
    first, second = one.workers
    home.config_file.write_text("[identity]\nrequire_certificate = true\n")
    assert telnetsd(home, "reload").returncode == 0
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(one.workers) == 2 and first not in one.workers, "another worker")
    (replacement,) = [pid for pid in one.workers if pid != second]
    with one.only(replacement), connect_as(one.server) as guest:
        assert "this server requires one" in guest.read_to_end()
    # A new worker does not use a configuration that the server has refused.
    home.config_file.write_text("[identity]\nrequire_certificat = false\n")
    assert telnetsd(home, "reload").returncode == 1
    before = one.workers
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(one.workers) == 2 and not set(before) & set(one.workers), "other workers")
    with connect_as(one.server) as guest:
        assert "this server requires one" in guest.read_to_end()
    with connect_as(one.server, "bob") as client:
        client.read_until()
    assert "Traceback" not in one.server.stop()


def kill_the_next_nursery(server: RunningServer, before: list[int]) -> None:
    """Kill the process that is to start the next workers before it has started any."""
    new = wait_until(lambda: [pid for pid in children(server.process.pid) if pid not in before], "another forker")
    os.kill(new[0], signal.SIGKILL)


def test_when_new_workers_do_not_start_the_existing_ones_go_on(
    supervisor: Callable[..., Supervisor], terminal: OpenTerminal
) -> None:
    one = supervisor()
    before = one.workers
    alice, _ = on_each(one, terminal, "alice", "bob")
    forkers = children(one.server.process.pid)
    one.server.process.send_signal(signal.SIGHUP)
    kill_the_next_nursery(one.server, forkers)
    wait_until(lambda: children(one.server.process.pid) == forkers, "the end of the new forker")
    assert alice.client.command("echo still here") == "still here"
    with connect_as(one.server, "ed") as client:
        client.read_until()
    assert one.workers == before
    one.server.process.send_signal(signal.SIGHUP)
    one.wait_for_others(before)
    said = one.server.stop()
    assert said == "WARNING: the workers do not start; the cause is logged above; the existing workers continue\n"


def test_a_forker_that_dies_is_replaced_and_so_is_a_replacement_that_dies(
    supervisor: Callable[..., Supervisor],
) -> None:
    one = supervisor()
    before = one.workers
    (forker,) = children(one.server.process.pid)
    os.kill(forker, signal.SIGKILL)
    kill_the_next_nursery(one.server, [forker])
    one.wait_for_others(before)
    with connect_as(one.server, "ed") as client:
        client.read_until()
    said = one.server.stop()
    assert said.count("the process that starts workers has ended; another one replaces it") == 2
    assert said.count("the workers do not start") == 1
    assert "Traceback" not in said


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("count", ["0", "65", "-1", "many", "1.5"])
def test_an_invalid_number_of_workers_is_a_usage_error(count: str, home: Home) -> None:
    finished = telnetsd(home, "serve", "--workers", count)
    assert finished.returncode == 2
    assert "a number from 1 to 64, or auto" in finished.stderr
