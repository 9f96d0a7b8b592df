"""Rule 3: no peer delays another. Work that a session, upstream or program causes is done in small parts."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from support.bystander import undisturbed
from support.certificates import Pair, Recipe, ca_extensions, name, now
from support.client import Client, connect_as
from support.command_line import done
from support.lines import OpenTerminal, line
from support.server import ELSEWHERE, RunningServer, action_of, get, wait_until
from support.upstreams import Upstream
from telnetsd.control.client import watch
from telnetsd.files.home import Home

FLOODS = {
    "IAC NOP": b"\xff\xf1" * 32768,
    "DO and WILL of every option": b"".join(b"\xff\xfd%c\xff\xfb%c" % (opt, opt) for opt in range(255)) * 40,
    "a subnegotiation without end": b"\xff\xfa\x18" + b"x" * 65536,
    "IAC IAC": b"\xff\xff" * 32768,
    "plain text": b"all work and no play\r\n" * 3000,
}


@contextlib.contextmanager
def reading(client: Client) -> Iterator[None]:
    """Read everything that arrives, as fast as it arrives."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while client.tls.recv(2**20):
                pass

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            client.tls.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(("flood", "workers"), [*((flood, 1) for flood in FLOODS), ("IAC NOP", 2)])
def test_a_flooding_upstream_delays_no_other_session(
    flood: str, workers: int, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"# ")
        while True:
            connection.sendall(FLOODS[flood])

    with Upstream(pour) as upstream:
        server = start(line("switch", f"telnet://127.0.0.1:{upstream.port}"), workers=workers)
        bob = terminal(server, "bob")
        bob.connect("switch")
        with reading(bob.client), undisturbed(server, commands=10):
            pass


def test_twenty_busy_lines_that_are_recorded_delay_no_session(start: Callable[..., RunningServer]) -> None:
    def pour(connection: socket.socket) -> None:
        while True:
            connection.sendall(FLOODS["plain text"])

    with Upstream(pour) as upstream:
        target = f"tcp://127.0.0.1:{upstream.port}"
        server = start("".join(line(f"line-{number}", target, keep_open=True, record=True) for number in range(20)))
        server.wait_for(lambda event: action_of(event) == "line-up" and get(event, "telnetsd.line.name") == "line-19")
        with undisturbed(server, commands=10):
            pass


def test_a_user_and_an_upstream_that_make_typed_commands_expensive_delay_no_other_session(
    start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"A" * 1900)
        while True:
            connection.sendall(b"\x1b[A\n\x1b[?2004h\x1b[?2004l" * 1000)

    with Upstream(pour) as upstream:
        server = start(line("switch", f"tcp://127.0.0.1:{upstream.port}", record=True))
        bob = terminal(server, "bob")
        bob.connect("switch")
        with reading(bob.client), undisturbed(server, commands=10):
            for _ in range(50):
                bob.send(b"x\ra\x01\r" * 50)


@pytest.mark.parametrize("workers", [1, 2])
def test_programs_with_endless_output_delay_no_other_session(
    workers: int, start: Callable[..., RunningServer], terminal: OpenTerminal
) -> None:
    command = '[[command]]\nname = "yes"\nexec = "/usr/bin/yes"\nsummary = "yes"\noutput_max_bytes = 1000000000\n'
    server = start(line("busy", "exec:/usr/bin/yes", shared=True) + command, workers=workers)
    with contextlib.ExitStack() as stack:
        writer = terminal(server, "bob")
        writer.connect("busy")
        stack.enter_context(reading(writer.client))
        for _ in range(40):
            watcher = terminal(server, "alice")
            watcher.connect("--read-only busy")
            stack.enter_context(reading(watcher.client))
        runner = terminal(server, "bob")
        runner.send(b"yes\r\n")
        runner.until(b"y\r\ny\r\n")
        stack.enter_context(reading(runner.client))
        stack.enter_context(undisturbed(server, commands=10))


def namesakes(count: int) -> Pair:
    """Return a self-signed leaf named like several CAs that share one name and key, each with another certificate."""
    key = ec.generate_private_key(ec.SECP384R1())
    authorities = [
        Recipe(name("Same"), key, not_after=now().replace(year=2035), extensions=ca_extensions()).self_signed()
        for _ in range(count)
    ]
    leaf = Recipe(name("Same"), key, extensions=Recipe().extensions).self_signed()
    leaf.chain = [one.certificate for one in authorities]
    return leaf


def long_names(count: int) -> Pair:
    """Return a leaf whose certificate is long because of its many short names."""
    names = [x509.DNSName(chr(97 + number % 26)) for number in range(count)]
    return Recipe(extensions=[*Recipe().extensions, (x509.SubjectAlternativeName(names), False)]).self_signed()


@pytest.mark.parametrize("what", ["namesakes", "short names"])
def test_guests_with_expensive_certificates_delay_no_other_session(
    what: str, start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """Twelve guests present the most expensive input, and each change of state makes the server check all again."""
    server = start("[limits]\nexempt = []\nper_source = 1000\nguests_per_source = 100\npenalty_guest_s = 0\n")
    pair = namesakes(8) if what == "namesakes" else long_names(4000)
    credentials = pair.save(tmp_path, "presented")
    assert len(pair.certificate.public_bytes(Encoding.DER)) < 65536
    with contextlib.ExitStack() as guests, undisturbed(server, commands=20):
        for _ in range(12):
            client = guests.enter_context(Client(server.port, server.home.ca_certificate, credentials))
            with contextlib.suppress(OSError):
                client.tls.recv(65536)
        for number in range(5):
            done(server.home, "user", "add", f"new{number}")


def test_a_guest_that_floods_and_disconnects_frees_its_place(start: Callable[..., RunningServer]) -> None:
    server = start("[limits]\nexempt = []\nguests_per_source = 1\n")
    with connect_as(server, source=ELSEWHERE) as guest:
        guest.read_until(b"guest> ")
        guest.send(b"\r\n" * 20_000)
    event = server.wait_for(lambda one: action_of(one) == "session-ended")
    assert (event["event"]["reason"], get(event, "source.ip")) == ("connection-closed", ELSEWHERE)
    with connect_as(server, source=ELSEWHERE) as another:
        another.read_until(b"guest> ")


def test_revoking_a_user_causes_no_reload(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as bob:
        bob.read_until()
        done(server.home, "user", "revoke", "bob")
        assert "revoked" in bob.read_to_end()
    # A second change of files causes a reload. A reload for the revocation would have been logged before it.
    (server.home.root / "telnetsd.toml").write_text("")
    server.wait_for(lambda event: action_of(event) == "server-reloaded")
    reloads = [event for event in server.events() if action_of(event) == "server-reloaded"]
    assert len(reloads) == 1


def test_watching_a_session_needs_no_further_requests_and_ends_with_the_session(
    home: Home, start: Callable[..., RunningServer]
) -> None:
    server = start()
    with connect_as(server, "bob") as bob:
        bob.read_until()
        (session,) = [event for event in server.events() if action_of(event) == "session-started"]
        shown = watch(home.control_socket, get(session, "telnetsd.session.id"))
        seen: list[bytes] = []
        watching = threading.Thread(target=lambda: seen.extend(shown))
        watching.start()
        server.wait_for(lambda event: action_of(event) == "session-watched")
        bob.command("echo hello")
        wait_until(lambda: b"hello" in b"".join(seen), "what bob was shown")
    watching.join()
