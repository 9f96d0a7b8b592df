"""A session from its first byte to its last: lines, limits, clocks, and the effects of other sessions."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bystander import DELAY_MAX_S
from support.client import Client, connect_as, turned_away
from support.cpu import LoopCpu
from support.homes import issue_until
from support.machine import DEADLINE_S, SLOWNESS
from support.processes import resident_kib
from support.server import RunningServer, action_of, get, wait_until

IAC = b"\xff"
FAST_CLOCKS = f"[session]\nidle_timeout_s = {2 * SLOWNESS}\nidle_warning_s = {1.5 * SLOWNESS}\n"


def denied_reasons(server: RunningServer, port: int) -> list[str]:
    return [event["event"]["reason"] for event in server.denials_from(port)]


@pytest.mark.parametrize("user", ["bob", None])
def test_no_telnet_command_is_sent_to_a_client_that_sends_none(
    user: str | None, connect: Callable[..., Client]
) -> None:
    client = connect(user)
    client.send(b"whoami\r\nhelp\r\nnonsense\r\nquit\r\n")
    received = b""
    while data := client.tls.recv(65536):
        received += data
    assert received.startswith(b"you are ")
    assert received.endswith(b"goodbye\r\n")
    assert IAC not in received


def test_the_first_bytes_of_a_session_are_ascii_and_include_the_prompt(connect: Callable[..., Client]) -> None:
    client = connect("bob")
    first = client.tls.recv(65536)
    assert first.startswith(b"you are bob")
    assert first.endswith(b"bob> "), "greeting and prompt come in one record"
    assert IAC not in first


@pytest.mark.parametrize("end", [b"\r\n", b"\r\x00", b"\n", b"\r"])
def test_every_line_end_ends_one_line(end: bytes, connect: Callable[..., Client]) -> None:
    client = connect("bob")
    client.read_until()
    client.send(b"echo one" + end + b"echo two" + end)
    assert client.read_until() == "one\r\nbob> "
    assert client.read_until() == "two\r\nbob> "


def test_a_line_end_split_between_packets_ends_one_line(connect: Callable[..., Client]) -> None:
    client = connect("bob")
    client.read_until()
    client.send(b"echo one\r")
    assert client.read_until() == "one\r\nbob> "
    client.send(b"\necho two\r\n")
    assert client.read_until() == "two\r\nbob> "


def test_typing_mistakes_can_be_corrected_with_keys_and_with_telnet_commands(connect: Callable[..., Client]) -> None:
    client = connect("bob")
    client.read_until()
    client.send(b"rm -rf\x15echo hxx\x08\x7fello" + IAC + b"\xf7" + b"o\r\n")
    assert client.read_until() == "hello\r\nbob> "
    client.send(b"rm -rf" + IAC + b"\xf8" + b"echo again\r\n")
    assert client.read_until() == "again\r\nbob> "
    client.send(b"rm -rf\x03")
    assert client.read_until() == "\r\nbob> "


def test_control_d_ends_the_session(connect: Callable[..., Client], server: RunningServer) -> None:
    client = connect("bob")
    client.read_until()
    client.send(b"\x04")
    assert client.read_to_end() == "goodbye\r\n"
    assert server.session_from(client.port, "session-ended")["event"]["reason"] == "end-of-input"


def test_input_sent_before_the_peer_closed_its_side_is_answered(
    connect: Callable[..., Client], server: RunningServer
) -> None:
    client = connect("bob")
    client.send(b"echo the last words\r\n")
    socket.socket.shutdown(client.tls, socket.SHUT_WR)
    assert client.read_to_end().endswith("bob> the last words\r\nbob> ")
    assert server.session_from(client.port, "session-ended")["event"]["reason"] == "connection-closed"


def test_a_line_that_is_not_utf8_is_refused_and_the_next_one_runs(
    connect: Callable[..., Client], server: RunningServer
) -> None:
    client = connect("bob")
    client.read_until()
    client.send(b"echo \xfe\xfd\r\n")
    assert client.read_until() == "ignored: the line is not UTF-8\r\nbob> "
    assert client.command("echo ok") == "ok"
    assert denied_reasons(server, client.port) == ["line-not-utf8"]


def test_utf8_is_echoed_unchanged(connect: Callable[..., Client]) -> None:
    client = connect("bob")
    client.read_until()
    assert client.command("echo Zoë 王 😀") == "Zoë 王 😀"


def test_a_line_beyond_its_limit_is_refused_once_and_the_next_one_runs(
    connect: Callable[..., Client], server: RunningServer
) -> None:
    client = connect("bob")
    client.read_until()
    client.send(b"echo " + b"a" * 5000 + b"\r\n")
    assert client.read_until() == "ignored: the line is longer than 4096 bytes\r\nbob> "
    assert client.command("echo ok") == "ok"
    assert client.command("echo " + "a" * 4091) == "a" * 4091
    assert denied_reasons(server, client.port) == ["line-too-long"]


def test_ten_megabytes_without_a_line_end_end_the_session_while_others_are_served(
    server: RunningServer, connect: Callable[..., Client]
) -> None:
    other = connect("bob")
    other.read_until()
    # A stall caused by the flood comes with each flood; one caused by the machine does not come three times.
    delay_s = min(longest_delay_beside(connect("ed"), other, server) for _ in range(3))
    assert delay_s < DELAY_MAX_S


def longest_delay_beside(flooding: Client, other: Client, server: RunningServer) -> float:
    """Flood with 10 MB without a line end; return the most CPU time, in seconds, within another session's answer."""
    flooding.read_until()

    def flood() -> None:
        with contextlib.suppress(OSError):
            flooding.send(b"a" * 10_000_000)

    thread = threading.Thread(target=flood)
    loops, longest = LoopCpu(server), 0.0
    thread.start()
    while thread.is_alive():
        before = loops.now()
        assert other.command("echo here") == "here"
        longest = max(longest, loops.most_since(before))
    thread.join()
    said = flooding.read_to_end()
    assert "ignored: the line is longer than 4096 bytes" in said
    assert said.endswith("goodbye: 65536 bytes or more without a line end\r\n")
    assert server.session_from(flooding.port, "session-ended")["event"]["reason"] == "line-endless"
    return longest


def test_an_idle_session_is_warned_and_then_ended(start: Callable[..., RunningServer]) -> None:
    server = start(FAST_CLOCKS)
    with connect_as(server, "bob") as client:
        client.read_until()
        client.read_until(b"*** nothing was typed for a while: this session ends in ")
        client.read_until(b" seconds\r\nbob> ")
        assert client.command("echo still here") == "still here"
        said = client.read_to_end()
        assert said.startswith("\r\n*** nothing was typed for a while")
        assert said.endswith("\r\n*** nothing was typed for too long: this session ends\r\n")
        assert server.session_from(client.port, "session-ended")["event"]["reason"] == "idle-timeout"


def test_a_session_ends_at_its_maximum_time(start: Callable[..., RunningServer]) -> None:
    server = start("[session]\nmax_time_s = 1\n")
    with connect_as(server, "bob") as client:
        assert "this session has reached its maximum time" in client.read_to_end()
        assert server.session_from(client.port, "session-ended")["event"]["reason"] == "max-time"


def test_a_session_ends_when_its_certificate_expires(start: Callable[..., RunningServer]) -> None:
    from datetime import UTC, datetime, timedelta

    server = start()
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=round(3 * SLOWNESS))
    issue_until(server.home, "brief", end)
    with connect_as(server, "brief") as client:
        assert "ends in a few hours" in client.read_until(b"brief> ")
        assert client.read_to_end().endswith("*** your certificate has expired: this session ends\r\n")
        assert server.session_from(client.port, "session-ended")["event"]["reason"] == "certificate-expired"
    with connect_as(server, "brief") as client:
        assert "expired on" in client.read_to_end()


def test_a_client_that_does_not_read_is_not_written_to_without_end(start: Callable[..., RunningServer]) -> None:
    """Each `motd` of 6 bytes is answered by 4,000: a server that buffers all the answers grows by gigabytes."""
    server = start("[session]\nmotd = '" + "m" * 4000 + "'\n")
    with connect_as(server, "bob") as client:
        client.read_until()
        before = resident_kib(server)
        client.tls.settimeout(2 * SLOWNESS)
        with pytest.raises(TimeoutError):
            client.tls.sendall(b"motd\r\n" * 4_000_000)
        assert resident_kib(server) - before < 29_296


def test_stopping_the_server_ends_every_session_with_a_message(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client, connect_as(server) as guest:
        client.read_until()
        guest.read_until()
        assert server.stop() == ""
        for one in (client, guest):
            assert one.read_to_end().endswith("\r\n*** the server is stopping\r\n")
            assert server.session_from(one.port, "session-ended")["event"]["reason"] == "server-stopped"
    actions = [action_of(event) for event in server.events()]
    assert actions[-2:] == ["server-stopped", "audit-checkpoint"]
    assert not server.home.control_socket.exists()


def test_a_plain_text_client_gets_a_message_and_is_logged(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as raw:
        port = raw.getsockname()[1]
        raw.sendall(b"hello\r\n")
        with raw.makefile("rb") as file:
            assert file.read().startswith(b"this is a TLS port: connect with a TLS client, as in: openssl s_client")
    event = server.session_from(port, "handshake-failed")
    assert event["event"]["reason"] == "plain-text"
    assert get(event, "source.ip") == "127.0.0.1"


def test_connections_beyond_the_limit_are_closed_and_logged(start: Callable[..., RunningServer]) -> None:
    server = start("[listener]\nmax_connections = 2\n")
    with connect_as(server, "bob") as one, connect_as(server, "ed") as two:
        one.read_until()
        two.read_until()
        event = wait_until(lambda: turned_away(server), "a connection too many")
        assert event["event"]["reason"] == "too-many-connections"
        one.send(b"quit\r\n")
        one.read_to_end()
    with wait_until(lambda: connection_to(server), "a place for another connection") as again:
        again.read_until()


def connection_to(server: RunningServer) -> Client | None:
    try:
        return connect_as(server, "bob")
    except OSError:
        return None


def test_an_unfinished_handshake_does_not_prevent_the_server_from_stopping(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as raw, connect_as(server) as guest:
        raw.sendall(b"\x16\x03\x01")
        guest.read_until()
        assert server.stop() == ""
        port = raw.getsockname()[1]
    assert server.actions_from(port) == ["handshake-failed"]
    assert [action_of(event) for event in server.events()][-2:] == ["server-stopped", "audit-checkpoint"]


def test_a_vanished_client_is_logged_as_lost(connect: Callable[..., Client], server: RunningServer) -> None:
    client = connect("bob")
    client.read_until()
    client.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=client.tls.detach()).close()
    assert server.session_from(client.port, "session-ended")["event"]["reason"] == "connection-lost"


def test_a_command_that_runs_while_the_server_stops_ends_with_the_reason_of_the_stop(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    metadata = tmp_path / "sleeper-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeper\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[telnetsd.commands]\nwait = sleeper:wait\n")
    (tmp_path / "sleeper.py").write_text(
        "import asyncio\n"
        "from telnetsd.commands.table import command\n"
        "@command('wait', summary='wait', role='guest')\n"
        "async def wait(caller, arguments):\n"
        "    await asyncio.Event().wait()\n"
    )
    server = start(PYTHONPATH=str(tmp_path))
    with connect_as(server) as guest:
        guest.read_until()
        guest.send(b"wait\r\n")
        server.session_from(guest.port, "command-executed")
        server.stop()
        assert server.session_from(guest.port, "session-ended")["event"]["reason"] == "server-stopped"
