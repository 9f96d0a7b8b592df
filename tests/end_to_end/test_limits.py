"""Limits on connections, sources, users and lines: what the client sees, what the log says, the effect on others."""

import os
import resource
import signal
import socket
import statistics
from collections.abc import Callable

import pytest

from support.bystander import DELAY_MAX_S, undisturbed
from support.client import closed_at_once, connect_as, turned_away
from support.cpu import LoopCpu
from support.lines import OpenTerminal
from support.machine import DEADLINE_S
from support.processes import workers_of
from support.server import Event, RunningServer, action_of, get, wait_until

TOO_MANY_SESSIONS = "refused: bob has too many sessions open\r\nend one of them first\r\n"
TOO_MANY_GUESTS = "refused: too many guests are connected\r\nconnect with a certificate, or try again later\r\n"
NO_EXEMPTION = "[limits]\nexempt = []\n"


def refused_in_words(server: RunningServer, user: str | None, words: str) -> Event | None:
    """Connect, and return the event if the session is refused with this message; None if it is not refused."""
    with connect_as(server, user) as client:
        said = client.read_until(b"\r\n")
        if not said.startswith("refused: "):
            return None
        assert said + client.read_to_end() == words
        return server.session_from(client.port, "session-refused")


def is_taken(server: RunningServer) -> bool:
    try:
        with connect_as(server, "bob") as client:
            return "bob" in client.read_until()
    except OSError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_the_connections_of_a_source_are_limited_and_another_source_is_admitted(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    server = start(NO_EXEMPTION + "per_source = 3\n", workers=workers)
    with undisturbed(server):
        clients = [connect_as(server, "bob") for _ in range(3)]
        for client in clients:
            client.read_until()
        event = wait_until(lambda: turned_away(server), "a connection that is turned away")
        assert event["event"]["reason"] == "too-many-from-source"
        assert event["telnetsd"]["connections"] == 1
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S, source_address=("127.0.0.2", 0)) as raw:
            raw.sendall(b"hello\r\n")
            assert raw.recv(100).startswith(b"this is a TLS port")
        clients[0].command("who")
        for client in clients:
            client.tls.close()
        wait_until(lambda: is_taken(server), "a place for another connection")


def test_connections_counted_for_a_worker_are_forgotten_when_it_dies(start: Callable[..., RunningServer]) -> None:
    server = start(NO_EXEMPTION + "per_source = 2\n", workers=2)
    clients = [connect_as(server, "bob") for _ in range(2)]
    for client in clients:
        client.read_until()
    wait_until(lambda: turned_away(server), "a connection that is turned away")
    for worker in workers_of(server):
        os.kill(worker, signal.SIGKILL)
    for client in clients:
        server.session_from(client.port, "session-ended")
        client.tls.close()
    wait_until(lambda: is_taken(server), "a place for another connection")
    with connect_as(server, "bob") as one, connect_as(server, "bob") as two:
        one.read_until()
        two.read_until()


def test_connections_beyond_the_descriptor_limit_are_refused_and_open_sessions_go_on(
    start: Callable[..., RunningServer],
) -> None:
    # The descriptor limit applies to each process.
    server = start(before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (70, 70)), workers=1)
    with undisturbed(server):
        clients = [connect_as(server, "bob") for _ in range(5)]
        for client in clients:
            client.read_until()
        event = turned_away(server)
        assert event is not None
        assert event["event"]["reason"] == "too-many-connections"
        assert all("bob" in client.command("whoami") for client in clients)
        for client in clients:
            client.tls.close()
    assert "more than 6 connections of a process are rejected" in server.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_refused_connection_is_logged_at_once_and_later_ones_are_counted(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    server = start(NO_EXEMPTION + "per_source = 1\n", workers=workers)
    with undisturbed(server), connect_as(server, "bob") as client:
        client.read_until()
        wait_until(lambda: turned_away(server), "a connection that is turned away")
        for _ in range(20):
            # Another process may not yet know of the open connection.
            wait_until(lambda: closed_at_once(server), "another connection that is turned away")
    server.stop()
    refused = [one for one in server.events() if action_of(one) == "connection-refused"]
    counts = [one["telnetsd"]["connections"] for one in refused]
    assert sum(counts) == 21
    # Each process logs its first refusal at once, and counts the later ones.
    assert counts[0] == 1
    assert len(counts) <= 2 * workers
    assert refused[-1]["source"] == {"ip": "127.0.0.1"}
    assert f"{counts[-1]} more such connections" in refused[-1]["message"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_source_with_repeated_failures_is_refused_for_a_while(
    workers: int, start: Callable[..., RunningServer]
) -> None:
    toml = NO_EXEMPTION + "penalty_handshake_s = 1000\npenalty_threshold_s = 3000\npenalty_max_s = 5000\n"
    server = start(toml, workers=workers)
    with undisturbed(server):
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as raw:
                raw.sendall(b"hello\r\n")
                assert raw.recv(100).startswith(b"this is a TLS port")
        event = wait_until(lambda: turned_away(server), "a penalty")
        assert event["event"]["reason"] == "source-penalised"


def test_the_sessions_per_user_are_limited_with_a_message(start: Callable[..., RunningServer]) -> None:
    server = start("[limits]\nsessions_per_user = 2\n")
    with undisturbed(server), connect_as(server, "bob") as one, connect_as(server, "bob") as two:
        one.read_until()
        two.read_until()
        event = wait_until(lambda: refused_in_words(server, "bob", TOO_MANY_SESSIONS), "a session too many")
        assert (event["event"]["reason"], event["user"]["name"]) == ("too-many-sessions", "bob")
        with connect_as(server, "ed") as other:
            other.read_until(b"ed> ")


@pytest.mark.parametrize("toml", ["[limits]\nguests = 1\n", NO_EXEMPTION + "guests_per_source = 1\n"])
def test_guests_do_not_use_up_the_places_of_users(toml: str, start: Callable[..., RunningServer]) -> None:
    server = start(toml)
    with undisturbed(server), connect_as(server) as one:
        one.read_until()
        event = wait_until(lambda: refused_in_words(server, None, TOO_MANY_GUESTS), "a guest too many")
        assert event["event"]["reason"] == "too-many-sessions"
        with connect_as(server, "bob") as user:
            user.read_until(b"bob> ")


def test_guests_that_reconnect_repeatedly_are_refused_for_a_while(start: Callable[..., RunningServer]) -> None:
    server = start(NO_EXEMPTION + "penalty_guest_s = 2000\npenalty_threshold_s = 5000\npenalty_max_s = 6000\n")
    with undisturbed(server):
        for _ in range(3):
            with connect_as(server) as guest:
                guest.read_until()
        event = wait_until(lambda: turned_away(server), "a penalty")
        assert event["event"]["reason"] == "source-penalised"


def test_a_long_unknown_command_of_a_guest_is_truncated_in_the_log(start: Callable[..., RunningServer]) -> None:
    server = start()
    with undisturbed(server), connect_as(server) as guest, connect_as(server, "bob") as bob:
        for client in (guest, bob):
            client.read_until()
            client.command("no-such-command " + "x" * 4000)
        kept = [get(server.session_from(one.port, "command-denied"), "telnetsd.command.line") for one in (guest, bob)]
    assert len(kept[0]) <= 256
    assert len(kept[1]) > 4000


def test_all_guests_share_one_limit_on_lines(start: Callable[..., RunningServer]) -> None:
    server = start("[limits]\nall_guests_lines_per_s = 1\n")
    with undisturbed(server), connect_as(server) as one, connect_as(server) as other:
        one.read_until()
        other.read_until()
        one.send(b"\r\n" * 12)
        other.send(b"\r\n")
        # Each guest has typed less than its own limit, but together they have exceeded the shared one.
        assert server.session_from(one.port, "session-slowed")["event"]["reason"] == "too-many-lines"


def test_a_guest_is_slowed_down_before_a_user_is(start: Callable[..., RunningServer]) -> None:
    server = start("[limits]\nguest_lines_per_s = 1\nguest_lines_burst = 1\n")
    with undisturbed(server), connect_as(server) as guest:
        guest.read_until()
        guest.send(b"who\r\n" * 3)
        for _ in range(3):
            guest.read_until()
        assert server.session_from(guest.port, "session-slowed")["event"]["reason"] == "too-many-lines"


def test_handshakes_beyond_the_limit_are_refused(start: Callable[..., RunningServer]) -> None:
    server = start("[limits]\nhandshakes_begin = 2\nhandshakes_refused = 100\nhandshakes_full = 3\n")
    with undisturbed(server):
        with connect_as(server, "bob") as client:
            client.read_until()
            silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
            event = wait_until(lambda: turned_away(server), "a handshake too many")
            assert event["event"]["reason"] == "too-many-handshakes"
            assert "bob" in client.command("who")
            for raw in silent:
                raw.close()
        wait_until(lambda: is_taken(server), "a place for a handshake")


def test_only_the_session_that_types_too_fast_is_slowed_down(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    server = start("[limits]\nlines_per_s = 1\nlines_burst = 1\n")
    with undisturbed(server), connect_as(server, "bob") as fast, connect_as(server, "ed") as other:
        fast.read_until()
        other.read_until()
        fast.send(b"echo x\r\n" * 3)
        assert "ed" in other.command("whoami")
        for _ in range(3):
            fast.read_until()
        event = server.session_from(fast.port, "session-slowed")
        assert event["event"]["reason"] == "too-many-lines"
    assert server.actions_from(other.port).count("session-slowed") == 0
    assert server.actions_from(fast.port).count("session-slowed") == 1


def test_a_flood_of_connections_does_not_delay_the_logins_of_others(start: Callable[..., RunningServer]) -> None:
    server = start(NO_EXEMPTION + "per_source = 50\n")
    flood: list[socket.socket] = []
    loops, delays = LoopCpu(server), []

    def pour() -> None:
        for _ in range(200):
            raw = socket.socket()
            raw.setblocking(False)
            raw.bind(("127.0.0.2", 0))
            raw.connect_ex(("127.0.0.1", server.port))
            flood.append(raw)

    with undisturbed(server):
        for _ in range(9):
            pour()
            before = loops.now()
            with connect_as(server, "bob") as client:
                client.read_until()
            delays.append(loops.most_since(before))
        for raw in flood:
            raw.close()
    assert statistics.median(delays) < 2 * DELAY_MAX_S
    assert get(server.wait_for(lambda one: action_of(one) == "connection-refused"), "source.ip") == "127.0.0.2"
