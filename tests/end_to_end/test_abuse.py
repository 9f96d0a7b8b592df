"""Hostile clients on a running server: bounded memory, an event, a message, and other users undisturbed."""

import contextlib
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bystander import DELAY_MAX_S, undisturbed
from support.client import Client, connect_as
from support.cpu import LoopCpu
from support.lines import OpenTerminal, line
from support.machine import DEADLINE_S, SLOWNESS
from support.server import Event, RunningServer, action_of, get, wait_until
from telnetsd.administration.users.credentials import user_files

pytestmark = pytest.mark.unmeasured

IAC, SB, SE, WILL, WONT, DO, DONT = (bytes([one]) for one in (255, 250, 240, 251, 252, 253, 254))
MIB = 2**20
EVERY_OPTION = [bytes([one]) for one in range(255)]

ANY_END = {"quit", "line-endless", "end-of-input", "connection-closed", "connection-lost"}

STREAMS: dict[str, tuple[bytes, set[str]]] = {
    "an endless line": (b"x" * 2 * MIB, {"line-endless"}),
    "an endless line of erasures": (b"x\b" * (MIB // 8), {"quit"}),
    "a storm of AYT": ((IAC + b"\xf6") * 20_000, {"quit", "connection-lost"}),
    "a storm of NOP": ((IAC + b"\xf1") * 100_000, {"quit"}),
    "a storm of escaped IAC": ((IAC + IAC) * 100_000, {"quit", "line-endless"}),
    "a storm of interrupts": ((IAC + b"\xf4") * 3000, {"quit", "connection-lost"}),
    "an unterminated subnegotiation": (IAC + SB + b"\x1f" + b"x" * MIB, ANY_END),
    "nested subnegotiations": ((IAC + SB + b"\x18\0") * 50_000 + IAC + SE, {"quit"}),
    "empty subnegotiations": ((IAC + SB + IAC + SE) * 50_000, {"quit"}),
    "a loop of options": (
        b"".join(IAC + verb + option for option in EVERY_OPTION for verb in (WILL, WONT, DO, DONT)) * 20, {"quit"},
    ),
    "a flood of LINEMODE and SLC": ((IAC + SB + b'"\x03' + bytes(range(1, 31)) * 3 + IAC + SE) * 2000, {"quit"}),
    "NEW-ENVIRON with a user": (
        IAC + WILL + b"'" + (IAC + SB + b"'\0\0USER\x01root\x03LD_PRELOAD\x01/x" + IAC + SE) * 1000, {"quit"},
    ),
    "windows of no and of every size": (
        IAC + WILL + b"\x1f" + b"".join(
            IAC + SB + b"\x1f" + size + IAC + SE for size in (b"\0\0\0\0", b"\xff\xff" * 4, b"", b"\0", b"\0" * 9)
        ) * 1000, {"quit"},
    ),
    "hostile terminal types": (
        IAC + WILL + b"\x18" + (IAC + SB + b"\x18\0" + b"\x1b]0;x\x07\r\n\xc0\x80" * 40 + IAC + SE) * 1000, {"quit"},
    ),
    "hostile character sets": (
        IAC + WILL + b"*" + (IAC + SB + b"*\x01;" + b"UTF-8;" * 100 + b"\xff\xff" + IAC + SE) * 1000, {"quit"},
    ),
    "compression": (
        (IAC + DO + b"V" + IAC + WILL + b"W" + IAC + SB + b"V" + IAC + SE + IAC + SB + b"W" + IAC + SE) * 2000,
        {"quit"},
    ),
    "bytes at random": (random.Random(7).randbytes(MIB), ANY_END),
}  # fmt: skip


ON_A_LINE = (
    "a storm of AYT",
    "a storm of NOP",
    "a storm of interrupts",
    "nested subnegotiations",
    "a loop of options",
    "a flood of LINEMODE and SLC",
    "windows of no and of every size",
    "hostile terminal types",
    "bytes at random",
)
"""Streams that are interpreted differently on a line: a line negotiates, and passes on each byte as it is typed."""


@pytest.fixture(scope="module")
def shared_settings() -> str:
    """A line to a program that echoes its input."""
    return line("program", "exec:cat")


def pour(client: Client, data: bytes, leave: bytes = b"") -> None:
    """Send the data, and read what arrives meanwhile, until the server closes."""
    left = memoryview(data + IAC + SE + leave + b"\r\nquit\r\n")
    client.tls.setblocking(False)
    is_open = True
    while is_open:
        _, writable, _ = select.select([client.tls], [client.tls] if left else [], [], DEADLINE_S)
        is_open = read_what_there_is(client)
        if writable:
            left = left[send_what_is_taken(client, left[:16384]) :]
            if leave and not left:
                # If the line ends in the middle, the input typed for it is discarded, and that may include the
                # `quit`.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(client.tls, socket.SHUT_WR)


def read_what_there_is(client: Client) -> bool:
    """Read and discard; return whether the server may still send more."""
    try:
        while client.tls.recv(65536):
            pass
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    except OSError:
        pass
    return False


def send_what_is_taken(client: Client, data: memoryview) -> int:
    """Return how many bytes were sent; a closed server accepts no more, but may have sent a message before that."""
    try:
        return client.tls.send(data)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return 0
    except OSError:
        return len(data)


def drain(client: Client) -> None:
    with contextlib.suppress(OSError):
        while client.tls.recv(65536):
            pass


@pytest.mark.parametrize(("data", "ends"), STREAMS.values(), ids=STREAMS.keys())
def test_a_hostile_stream_ends_with_an_allowed_reason_and_disturbs_no_other_user(
    data: bytes, ends: set[str], server: RunningServer
) -> None:
    with undisturbed(server), connect_as(server, "bob") as client:
        client.read_until()
        pour(client, data)
        event = server.session_from(client.port, "session-ended")
        assert event["event"]["reason"] in ends
        assert event["user"]["name"] == "bob"


@pytest.mark.parametrize("name", ON_A_LINE)
def test_a_hostile_stream_to_a_line_ends_with_an_allowed_reason_and_frees_the_line(
    name: str, server: RunningServer, terminal: OpenTerminal
) -> None:
    with undisturbed(server):
        bob = terminal(server, "bob")
        bob.connect("program")
        pour(bob.client, STREAMS[name][0], b"\r~.")
        assert server.session_from(bob.client.port, "session-ended")["event"]["reason"] in ANY_END
        assert {"line-connected", "line-disconnected"} <= set(server.actions_from(bob.client.port))
        alice = terminal(server, "alice")
        alice.connect("program")
        alice.leave()


@pytest.mark.parametrize("data", [b"ab\x7f\x7f" * 4000, b"\0\x15" * 8000, (IAC + b"\xf1") * 8000, b"who\r\n" * 3000])
def test_many_flooding_guests_delay_no_other_session(data: bytes, server: RunningServer) -> None:
    with contextlib.ExitStack() as guests:
        clients = [guests.enter_context(connect_as(server)) for _ in range(24)]
        pouring = [threading.Thread(target=pour_until_it_is_over, args=(one, data)) for one in clients]
        with undisturbed(server, commands=30):
            for one in pouring:
                one.start()
            loops = LoopCpu(server)
            before = loops.now()
            with connect_as(server, "bob") as bob:
                bob.read_until()
                # A login also includes a handshake, which takes some milliseconds.
                assert loops.most_since(before) < 2 * DELAY_MAX_S
        for client in clients:
            with contextlib.suppress(OSError):
                client.tls.shutdown(socket.SHUT_RDWR)
        for one in pouring:
            one.join()
    if IAC not in data:
        assert server.wait_for(lambda one: action_of(one) == "session-slowed" and "user" in one)


def pour_until_it_is_over(client: Client, data: bytes) -> None:
    with contextlib.suppress(OSError):
        send_without_end(client, data, DEADLINE_S)


def test_a_client_that_does_not_read_is_not_written_to_without_end(server: RunningServer) -> None:
    with undisturbed(server), connect_as(server, "bob") as client:
        client.read_until()
        client.tls.settimeout(SLOWNESS)
        with pytest.raises(TimeoutError):
            client.tls.sendall(b"help\r\n" * MIB)
        client.tls.close()
        server.session_from(client.port, "session-ended")


def test_a_client_that_does_not_read_gets_no_notices(start: Callable[..., RunningServer]) -> None:
    server = start("[session]\npending_max_bytes = 4096\n[limits]\nlines_per_s = 1000000\n")
    with connect_as(server, "alice") as alice, connect_as(server, "bob") as bob:
        alice.read_until()
        bob.read_until()
        # The answers are as long as the lines: when the server accepts no more lines, the answers are stuck.
        with pytest.raises(TimeoutError):
            send_without_end(bob, b"echo " + b"x" * 4000 + b"\r\n", 2 * SLOWNESS)
        assert alice.command("wall you are not to see this") == "sent to 1 other session"
        bob.tls.settimeout(DEADLINE_S)
        socket.socket.shutdown(bob.tls, socket.SHUT_WR)
        seen = bytearray()
        with contextlib.suppress(OSError):
            while data := bob.tls.recv(MIB):
                seen += data
        assert b"x" * 4000 in seen
        assert b"not to see this" not in seen


def send_without_end(client: Client, data: bytes, timeout_s: float) -> None:
    client.tls.settimeout(timeout_s)
    while True:
        client.tls.sendall(data)


def test_commands_sent_before_the_client_closes_its_side_are_answered(server: RunningServer) -> None:
    with undisturbed(server), connect_as(server, "bob") as client:
        client.read_until()
        client.send(b"echo last words\r\n")
        # Without a TLS close_notify, as when a program is killed instead of closing properly.
        socket.socket.shutdown(client.tls, socket.SHUT_WR)
        assert "last words" in client.read_until(b"last words\r\n")
        event = server.session_from(client.port, "session-ended")
        assert event["event"]["reason"] in {"connection-closed", "connection-lost"}


def test_a_reset_ends_only_its_own_session(server: RunningServer) -> None:
    with undisturbed(server):
        client = connect_as(server, "bob")
        client.read_until()
        client.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.tls.close()
        event = server.session_from(client.port, "session-ended")
        assert event["event"]["reason"] in {"connection-closed", "connection-lost"}


def test_tcp_urgent_data_does_not_bypass_tls(server: RunningServer) -> None:
    with undisturbed(server), connect_as(server, "bob") as client:
        client.read_until()
        for _ in range(100):
            os_level = socket.socket(fileno=os.dup(client.tls.fileno()))
            with os_level:
                os_level.send(b"\xf2", socket.MSG_OOB)
        with contextlib.suppress(OSError):
            client.send(b"quit\r\n")
        drain(client)
        assert server.session_from(client.port, "session-ended")["event"]["reason"] in {"quit", "connection-lost"}


def test_a_flood_of_key_updates_is_answered_or_ends_the_session(server: RunningServer) -> None:
    files = user_files(server.home, "bob")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-nbio"]
    command += ["-CAfile", str(server.home.ca_certificate), "-cert", str(files.certificate), "-key", str(files.key)]
    known = len(server.events())
    with undisturbed(server):
        # Each K requests new keys for both sides; each Q at the start of a line ends the client.
        done = subprocess.run(
            command, input=b"K\n" * 2000 + b"Q\n", capture_output=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode in {0, 1}
    wait_until(lambda: "session-ended" in actions_of("bob", server.events()[known:]), "the session's end")
    assert actions_of("bob", server.events()[known:])[0] == "session-started"


def actions_of(user: str, events: list[Event]) -> list[str]:
    return [action_of(one) for one in events if get(one, "user.name") == user]


def test_a_handshake_sent_byte_by_byte_is_cut_off_at_the_timeout(start: Callable[..., RunningServer]) -> None:
    server = start(f"[tls]\nhandshake_timeout_s = {2 * SLOWNESS}\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()
    with undisturbed(server), socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        port = raw.getsockname()[1]
        raw.settimeout(0.2)
        for byte in hello:
            with contextlib.suppress(TimeoutError):
                if raw.recv(4096) == b"":
                    break
            with contextlib.suppress(OSError):
                raw.send(bytes([byte]))
        assert server.session_from(port, "handshake-failed")["event"]["reason"] == "handshake-timeout"


def test_an_endless_certificate_chain_is_refused(server: RunningServer) -> None:
    files = user_files(server.home, "bob")
    chain = files.certificate.parent / "endless.pem"
    pem = files.certificate.read_text()
    chain.write_text(pem * 400)
    with (
        undisturbed(server),
        pytest.raises(OSError, match=r"(?i)alert|closed|reset|eof|excessive|pipe"),
        Client(server.port, server.home.ca_certificate, (chain, files.key)) as client,
    ):
        client.read_to_end()
    failed = server.wait_for(lambda one: "excessive" in one["message"])
    assert (failed["event"]["action"], failed["event"]["reason"]) == ("handshake-failed", "protocol-error")


def test_a_client_hello_in_one_byte_records_is_cut_off_at_the_limit(server: RunningServer) -> None:
    """The handshake gets a few records per turn; further ones stay in the network, and their total is bounded."""
    hello = b"\x01\x01\xff\xff" + b"\0" * 10_000
    records = b"".join(b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in hello)
    with undisturbed(server), socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as raw:
        port = raw.getsockname()[1]
        with contextlib.suppress(OSError):
            raw.sendall(records)
            raw.sendall(records[24:] * 1000)
        with contextlib.suppress(OSError):
            assert raw.recv(1) == b""
        assert server.session_from(port, "handshake-failed")["event"]["reason"] == "handshake-too-long"


def test_a_certificate_chain_may_be_as_long_as_the_configuration_allows(start: Callable[..., RunningServer]) -> None:
    server = start("[tls]\nhandshake_max_bytes = 20000\n")
    files = user_files(server.home, "bob")
    short, long = (files.certificate.parent / name for name in ("short.pem", "long.pem"))
    pem = files.certificate.read_text()
    short.write_text(pem * 10)
    long.write_text(pem * 100)
    assert is_greeted(server, short, files.key)
    assert not is_greeted(server, long, files.key)
    failed = server.wait_for(lambda one: action_of(one) == "handshake-failed")
    assert failed["event"]["reason"] == "handshake-too-long"
    assert "[tls] handshake_max_bytes" in failed["message"]


def is_greeted(server: RunningServer, certificate: Path, key: Path) -> bool:
    try:
        with Client(server.port, server.home.ca_certificate, (certificate, key)) as client:
            return "bob> " in client.read_until(b"bob> ")
    except (OSError, AssertionError):
        return False


def test_many_silent_connections_use_little_memory(start: Callable[..., RunningServer]) -> None:
    server = start("[limits]\nexempt = []\nper_source = 200\n[tls]\nhandshake_timeout_s = 30\n")
    with undisturbed(server), contextlib.ExitStack() as silent:
        for _ in range(400):
            raw = silent.enter_context(socket.socket())
            raw.bind(("127.0.0.3", 0))
            raw.connect(("127.0.0.1", server.port))
        event = server.wait_for(lambda one: one["event"]["action"] == "connection-refused")
        assert event["source"]["ip"] == "127.0.0.3"
