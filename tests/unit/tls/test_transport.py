"""The TLS transport on real sockets under uvloop; the other end is the standard library's TLS in blocking mode."""

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Recipe, make_ca, name
from support.client import client_context
from support.machine import DEADLINE_S, needs_openssl
from telnetsd.config.settings import TlsSettings
from telnetsd.events.reason import TlsReason
from telnetsd.pki.authority import create_root, to_pem, utc_now
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.tls.engine import ServerContext, TlsDetails, TlsError, make_server_context
from telnetsd.tls.transport import PLAIN_TEXT_ANSWER, TlsTransport


class Recorder(asyncio.Protocol):
    """The application: records what happens, and lets tests wait for it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.eofs = 0
        self.losses: list[Exception | None] = []
        self.is_writing_paused = False
        self.changed = asyncio.Event()
        self.transport: TlsTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport
        self.changed.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.changed.set()

    def eof_received(self) -> bool:
        self.eofs += 1
        self.changed.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.losses.append(exc)
        self.changed.set()

    def pause_writing(self) -> None:
        self.is_writing_paused = True
        self.changed.set()

    def resume_writing(self) -> None:
        self.is_writing_paused = False
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Connection:
    """What a transport reports about its life; see TlsEvents."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def established(self, _: TlsTransport) -> asyncio.Protocol:
        protocol = Recorder()
        self._server.protocols.put_nowait(protocol)
        return protocol

    def failed(self, error: TlsError) -> None:
        self._server.failures.put_nowait(error)

    def lost(self, transport: TlsTransport) -> None:
        self._server.open.discard(transport)
        self._server.lost.set()


class Server:
    """A listening socket whose connections are TlsTransports."""

    def __init__(self, context: ServerContext, folder: Path, handshake_timeout_s: float = 5.0) -> None:
        self._settings = TlsSettings(handshake_timeout_s=handshake_timeout_s)
        self.folder = folder
        self.protocols: asyncio.Queue[Recorder] = asyncio.Queue()
        self.failures: asyncio.Queue[TlsError] = asyncio.Queue()
        self.open: set[TlsTransport] = set()
        self.lost = asyncio.Event()
        self._context = context
        self.port = 0

    def make(self) -> TlsTransport:
        transport = TlsTransport(self._context, Connection(self), self._settings)
        self.open.add(transport)
        return transport

    async def close(self) -> None:
        """End every connection: uvloop does not close the server while one is open."""
        for transport in self.open:
            transport.abort()
        while self.open:
            self.lost.clear()
            await asyncio.wait_for(self.lost.wait(), DEADLINE_S)

    async def failure(self) -> TlsError:
        return await asyncio.wait_for(self.failures.get(), DEADLINE_S)

    async def connection(self) -> Recorder:
        return await asyncio.wait_for(self.protocols.get(), DEADLINE_S)

    def raw_socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    async def connect(self, **options: Any) -> tuple[ssl.SSLSocket, Recorder]:
        """Open a TLS connection, and return both of its ends."""
        context = options.pop("context", None) or client_context(
            self.folder / "ca.pem", **{"credentials": None, **options}
        )
        tls = await asyncio.to_thread(lambda: context.wrap_socket(self.raw_socket(), server_hostname="localhost"))
        return tls, await self.connection()


AUTHORITY = create_root("Test CA", utc_now(), path_length=0)
ISSUED = AUTHORITY.issue_server(["localhost"], utc_now())


@contextlib.asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncIterator[Server]:
    (folder / "ca.pem").write_bytes(to_pem(AUTHORITY.certificate))
    context = make_server_context([ISSUED.certificate], ISSUED.key, (AUTHORITY.certificate,))
    server = Server(context, folder, **options)
    listening = await asyncio.get_running_loop().create_server(server.make, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as running:
        yield running


def receive_all(tls: ssl.SSLSocket) -> bytes:
    """Read up to close_notify; a connection that ends without it raises an error."""
    received = b""
    while data := tls.recv(65536):
        received += data
    return received


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_text_passes_both_ways_and_the_details_match_the_connection(
    server: Server, version: ssl.TLSVersion
) -> None:
    tls, protocol = await server.connect(version=version)
    await asyncio.to_thread(tls.sendall, b"ping")
    await protocol.until(lambda: protocol.received == b"ping")
    protocol.transport.write(b"pong")
    assert await asyncio.to_thread(tls.recv, 100) == b"pong"
    details = protocol.transport.get_extra_info("tls")
    assert isinstance(details, TlsDetails)
    assert f"TLSv{details.version}" == tls.version()
    assert details.cipher == (tls.cipher() or ("",))[0]
    assert details.group.lower() in {"x25519", "x25519mlkem768"}
    assert details.server_name == "localhost"
    assert details.resumed is False
    assert protocol.transport.get_extra_info("peer_certificate") is None
    assert protocol.transport.get_extra_info("peername") == tls.getsockname()
    tls.close()


async def test_megabytes_arrive_whole_and_in_order_in_both_directions(server: Server) -> None:
    tls, protocol = await server.connect()
    data = bytes(range(256)) * 12_000
    await asyncio.to_thread(tls.sendall, data)
    await protocol.until(lambda: len(protocol.received) == len(data))
    assert protocol.received == data
    protocol.transport.write(data)
    protocol.transport.close()
    assert await asyncio.to_thread(receive_all, tls) == data
    tls.close()


async def test_bytes_that_arrive_one_at_a_time_are_understood(server: Server) -> None:
    """A record that is cut anywhere is not lost, and the transport does not wait for a record that has arrived."""
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(server.folder / "ca.pem", None).wrap_bio(incoming, outgoing, server_hostname="localhost")
    raw = server.raw_socket()
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pass_on() -> None:
        for byte in outgoing.read():
            raw.send(bytes([byte]))

    def shake_hands() -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass_on()
                incoming.write(raw.recv(65536))
            else:
                break
        for word in (b"one ", b"two ", b"three"):
            tls.write(word)
        pass_on()

    await asyncio.to_thread(shake_hands)
    protocol = await server.connection()
    await protocol.until(lambda: protocol.received == b"one two three")
    raw.close()


async def test_the_presented_certificates_arrive_as_they_were_sent(server: Server, tmp_path: Path) -> None:
    pair = Recipe(subject=name("anybody")).self_signed()
    pair.chain = [make_ca("noise").certificate]
    credentials = pair.save(tmp_path, "c")
    tls, protocol = await server.connect(credentials=credentials)
    peer = protocol.transport.get_extra_info("peer_certificate")
    assert peer == PeerCertificate(pair.der, pair.peer.presented_der)
    tls.close()


@needs_openssl
async def test_the_certificate_request_names_the_trust_anchors(server: Server) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}"]
    done = await asyncio.to_thread(
        subprocess.run, command, input=b"", capture_output=True, check=False, timeout=DEADLINE_S
    )
    assert b"Acceptable client certificate CA names\nCN = Test CA\n" in done.stdout


async def test_close_sends_close_notify_and_the_application_is_notified_once(server: Server) -> None:
    tls, protocol = await server.connect()
    protocol.transport.write(b"goodbye")
    protocol.transport.close()
    protocol.transport.close()
    protocol.transport.write(b"too late")
    assert protocol.transport.is_closing()
    assert await asyncio.to_thread(receive_all, tls) == b"goodbye"
    await protocol.until(lambda: bool(protocol.losses))
    tls.close()
    await asyncio.wait_for(server.lost.wait(), DEADLINE_S)
    assert protocol.losses == [None]


async def test_the_peers_close_notify_is_an_end_that_can_still_be_answered(server: Server) -> None:
    tls, protocol = await server.connect()

    def say_and_close() -> None:
        tls.sendall(b"question")
        with contextlib.suppress(ssl.SSLError):
            tls.settimeout(0.0)
            tls.unwrap()
        tls.settimeout(DEADLINE_S)

    await asyncio.to_thread(say_and_close)
    await protocol.until(lambda: protocol.eofs == 1)
    assert protocol.received == b"question"
    protocol.transport.write(b"answer")
    protocol.transport.close()
    assert await asyncio.to_thread(tls.recv, 100) == b"answer"
    tls.close()


async def test_a_half_close_of_tcp_is_an_end_that_can_still_be_answered(server: Server) -> None:
    tls, protocol = await server.connect()
    await asyncio.to_thread(tls.sendall, b"question")
    socket.socket.shutdown(tls, socket.SHUT_WR)  # without close_notify
    await protocol.until(lambda: protocol.eofs == 1)
    assert protocol.received == b"question"
    protocol.transport.write(b"answer")
    protocol.transport.close()
    assert await asyncio.to_thread(receive_all, tls) == b"answer"
    tls.close()


async def test_a_reset_is_reported_once_as_a_loss(server: Server) -> None:
    tls, protocol = await server.connect()
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=tls.detach()).close()
    await protocol.until(lambda: bool(protocol.losses))
    await asyncio.wait_for(server.lost.wait(), DEADLINE_S)
    assert len(protocol.losses) == 1
    protocol.transport.write(b"into the void")
    protocol.transport.close()


async def test_abort_ends_the_connection_at_once(server: Server) -> None:
    tls, protocol = await server.connect()
    protocol.transport.abort()
    await protocol.until(lambda: bool(protocol.losses))
    with contextlib.suppress(OSError):
        assert await asyncio.to_thread(tls.recv, 1) == b""
    tls.close()


async def test_the_last_data_reaches_a_peer_that_is_still_sending(server: Server) -> None:
    """Without lingering, data that the peer sends after our close gets a reset, which destroys our last data."""
    tls, protocol = await server.connect()
    sending = asyncio.to_thread(tls.sendall, b"a" * 8_000_000)
    task = asyncio.ensure_future(sending)
    await protocol.until(lambda: len(protocol.received) > 100_000)
    protocol.transport.write(b"stop")
    protocol.transport.close()
    with contextlib.suppress(OSError):
        await task
    assert await asyncio.to_thread(receive_all, tls) == b"stop"
    tls.close()


async def test_a_paused_reader_receives_nothing_until_it_resumes_and_then_everything(server: Server) -> None:
    tls, protocol = await server.connect()
    protocol.transport.pause_reading()
    assert not protocol.transport.is_reading()
    tls.setblocking(False)
    sent = 0
    with contextlib.suppress(ssl.SSLWantWriteError):
        while sent < 200_000_000:
            sent += await asyncio.to_thread(tls.send, b"a" * 16384)
    assert sent < 200_000_000, "the peer could send without end although nobody reads"
    assert protocol.received == b""
    protocol.transport.resume_reading()
    # The record that did not fit is now sent to its end; everything before it has then been delivered.
    tls.setblocking(True)
    await asyncio.to_thread(tls.sendall, b"a" * 16384)
    await protocol.until(lambda: len(protocol.received) == sent + 16384)
    tls.close()


async def test_an_end_that_arrives_while_reading_is_paused_is_reported_after_the_data_before_it(
    server: Server,
) -> None:
    tls, protocol = await server.connect()
    protocol.transport.pause_reading()
    await asyncio.to_thread(tls.sendall, b"a" * 50_000)
    socket.socket.shutdown(tls, socket.SHUT_WR)
    await asyncio.sleep(0)
    assert protocol.eofs == 0
    protocol.transport.resume_reading()
    await protocol.until(lambda: protocol.eofs == 1)
    assert len(protocol.received) == 50_000
    tls.close()


async def test_a_peer_that_does_not_read_pauses_the_writer_and_reading_resumes_it(server: Server) -> None:
    tls, protocol = await server.connect()
    written = 0
    while not protocol.is_writing_paused:
        protocol.transport.write(b"a" * 65536)
        written += 65536
        assert written < 200_000_000
    assert protocol.transport.get_write_buffer_size() > 0

    def read() -> None:
        got = 0
        while got < written:
            got += len(tls.recv(65536))

    await asyncio.to_thread(read)
    await protocol.until(lambda: not protocol.is_writing_paused)
    tls.close()


async def test_a_plain_text_client_reads_one_plain_line(server: Server) -> None:
    raw = server.raw_socket()
    raw.sendall(b"GET / HTTP/1.0\r\n\r\n")

    def read() -> bytes:
        with raw.makefile("rb") as file:
            return file.read()

    assert await asyncio.to_thread(read) == PLAIN_TEXT_ANSWER
    assert (await server.failure()).reason is TlsReason.PLAIN_TEXT
    raw.close()


async def test_a_client_that_waits_for_the_server_to_speak_first_gets_the_plain_line_at_the_timeout(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, handshake_timeout_s=0.2) as server:
        raw = server.raw_socket()
        assert await asyncio.to_thread(raw.recv, 1000) == PLAIN_TEXT_ANSWER
        assert (await server.failure()).reason is TlsReason.TIMEOUT
        raw.close()


async def test_an_unfinished_handshake_times_out(tmp_path: Path) -> None:
    async with serving(tmp_path, handshake_timeout_s=0.2) as server:
        raw = server.raw_socket()
        raw.sendall(b"\x16\x03\x01")
        assert await asyncio.to_thread(raw.recv, 1000) == b""
        assert (await server.failure()).reason is TlsReason.TIMEOUT
        raw.close()


async def test_a_connection_closed_before_the_handshake_is_reported_as_such(server: Server) -> None:
    raw = server.raw_socket()
    raw.sendall(b"\x16\x03\x01")
    raw.close()
    assert (await server.failure()).reason is TlsReason.CONNECTION_CLOSED


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"a" * 70000],
    ids=["no hello", "a record too long"],
)
async def test_garbage_after_the_first_byte_is_a_protocol_error_with_an_alert(server: Server, garbage: bytes) -> None:
    raw = server.raw_socket()
    raw.sendall(garbage)
    assert (await asyncio.to_thread(raw.recv, 1000))[:1] == b"\x15", "an alert"
    assert (await server.failure()).reason in {TlsReason.PROTOCOL_ERROR, TlsReason.UNSUPPORTED_VERSION}
    raw.close()


def _handshake_error(server: Server, context: ssl.SSLContext) -> ssl.SSLError:
    with pytest.raises(ssl.SSLError) as caught:
        context.wrap_socket(server.raw_socket(), server_hostname="localhost")
    return caught.value


async def test_an_old_version_is_refused_by_an_alert_that_reaches_the_peer(server: Server) -> None:
    context = client_context(server.folder / "ca.pem", None)
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    error = await asyncio.to_thread(_handshake_error, server, context)
    assert error.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert (await server.failure()).reason is TlsReason.UNSUPPORTED_VERSION


async def test_a_client_without_a_common_cipher_is_refused_by_an_alert_that_reaches_the_peer(server: Server) -> None:
    context = client_context(server.folder / "ca.pem", None, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AES128-SHA")
    error = await asyncio.to_thread(_handshake_error, server, context)
    assert error.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"
    assert (await server.failure()).reason is TlsReason.NOTHING_IN_COMMON


async def test_a_client_that_does_not_trust_the_server_is_reported_as_such(server: Server, tmp_path: Path) -> None:
    certificate, _ = make_ca("Other").save(tmp_path, "other")
    context = client_context(certificate, None)
    await asyncio.to_thread(_handshake_error, server, context)
    assert (await server.failure()).reason is TlsReason.SERVER_CERTIFICATE_REJECTED


async def test_a_tampered_record_ends_the_connection_with_an_alert(server: Server) -> None:
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(server.folder / "ca.pem", None).wrap_bio(incoming, outgoing, server_hostname="localhost")
    raw = server.raw_socket()

    def shake_hands_and_tamper() -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
            else:
                break
        raw.sendall(outgoing.read())
        tls.write(b"hello")
        record = bytearray(outgoing.read())
        record[-1] ^= 1
        raw.sendall(record)

    await asyncio.to_thread(shake_hands_and_tamper)
    protocol = await server.connection()
    await protocol.until(lambda: bool(protocol.losses))
    assert isinstance(protocol.losses[0], TlsError)
    assert protocol.losses[0].reason is TlsReason.PROTOCOL_ERROR

    def read_alert() -> None:
        while data := raw.recv(65536):
            incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                while tls.read():
                    pass

    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        await asyncio.to_thread(read_alert)
    raw.close()


@needs_openssl
async def test_renegotiation_is_refused(server: Server) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2"]
    client = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    protocol = await server.connection()
    assert client.stdin is not None
    client.stdin.write(b"R\n")
    output, _ = await asyncio.wait_for(client.communicate(), DEADLINE_S)
    assert b"no renegotiation" in output
    assert protocol.received == b""


async def test_a_session_is_resumed_and_presents_the_same_certificate(server: Server, tmp_path: Path) -> None:
    pair = Recipe(subject=name("anybody")).self_signed()
    context = client_context(server.folder / "ca.pem", pair.save(tmp_path, "c"))
    first, protocol = await server.connect(context=context)
    protocol.transport.write(b"hello")
    assert await asyncio.to_thread(first.recv, 10) == b"hello"
    session = first.session
    protocol.transport.close()
    await asyncio.to_thread(receive_all, first)
    second = await asyncio.to_thread(
        lambda: context.wrap_socket(server.raw_socket(), server_hostname="localhost", session=session)
    )
    protocol = await server.connection()
    assert second.session_reused
    assert protocol.transport.get_extra_info("tls").resumed
    peer = protocol.transport.get_extra_info("peer_certificate")
    assert peer.leaf_der == pair.der
    first.close()
    second.close()


async def test_data_written_in_one_turn_is_one_record(server: Server) -> None:
    tls, protocol = await server.connect()
    for _ in range(1000):
        protocol.transport.write(b"> ")
    received = await asyncio.to_thread(tls.recv, 65536)
    assert received == b"> " * 1000, "one read returns one record"
    tls.close()


async def test_a_peer_that_closed_its_side_and_does_not_read_does_not_hold_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telnetsd.tls.farewell.LINGER_S", 0.2)
    tls, protocol = await server.connect()
    while not protocol.is_writing_paused:
        protocol.transport.write(b"a" * 65536)
    socket.socket.shutdown(tls, socket.SHUT_WR)
    await protocol.until(lambda: protocol.eofs == 1)
    protocol.transport.close()
    await asyncio.wait_for(server.lost.wait(), DEADLINE_S)
    tls.close()


async def test_a_transport_aborted_before_it_is_connected_ends_when_it_is_connected(server: Server) -> None:
    def make_aborted() -> TlsTransport:
        transport = server.make()
        transport.abort()
        return transport

    listening = await asyncio.get_running_loop().create_server(make_aborted, "127.0.0.1", 0)
    with socket.create_connection(listening.sockets[0].getsockname(), timeout=DEADLINE_S):
        await asyncio.wait_for(server.lost.wait(), DEADLINE_S)
    assert not server.open
    listening.close()


async def test_one_record_is_delivered_per_turn_however_often_reading_is_resumed(server: Server) -> None:
    """A flood must leave room for others: pausing and resuming for each record must not deliver more in a turn."""
    tls, protocol = await server.connect()
    turns: list[int] = []
    loop = asyncio.get_running_loop()

    def note(data: bytes) -> None:
        protocol.received += data
        turns.append(turn)
        for _ in range(3):
            protocol.transport.pause_reading()
            protocol.transport.resume_reading()
        protocol.changed.set()

    turn = 0

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    protocol.data_received = note  # type: ignore[method-assign]
    count()

    def send() -> None:
        for _ in range(500):
            tls.send(b"x")

    await asyncio.to_thread(send)
    await protocol.until(lambda: len(protocol.received) == 500)
    assert max(turns.count(one) for one in set(turns)) <= 2
    tls.close()
