"""A fuzz target for atheris: arbitrary bytes on a raw connection, from the PROXY header to the session.

The first byte of an input selects where the rest enters, and the second how it is cut into packets. The whole
pipeline is real, including the audit log; only the raw socket is not. A failure is: an exception that reaches the
event loop; a line of the server's own journal that reports a fault; a connection that does not end with its input; or
an answer that is out of proportion.

    scripts/fuzz [SECONDS]
"""

import asyncio
import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["telnetsd", "telnetlib3"]):
    from OpenSSL import SSL

    from support.homes import add
    from support.machine import DEADLINE_S
    from telnetsd.administration.initialise import initialise
    from telnetsd.administration.installation.generation import load_generation
    from telnetsd.audit.log import open_log
    from telnetsd.audit.sink import GroupCommit
    from telnetsd.audit.trail import make_trail
    from telnetsd.config.settings import EndpointSettings
    from telnetsd.daemon.workers.process import ServingProcess, make_context
    from telnetsd.files.home import Home
    from telnetsd.incoming import IncomingProtocol
    from telnetsd.lines.context import LineContext
    from telnetsd.lines.directory import LocalDirectory
    from telnetsd.listener.endpoint import Endpoint
    from telnetsd.session.registry import SessionRegistry
    from telnetsd.state.opening import open_store

END_S: Final = DEADLINE_S
TURNS: Final = 6
ANSWER_MAX_BYTES: Final = 200_000
ANSWER_PER_BYTE: Final = 400
SETTINGS: Final = """\
[limits]
exempt = ["192.0.2.0/24"]
[audit]
durability = "interval"
checkpoint_events = 1000000
[tls]
handshake_timeout_s = 2
"""
WAYS: Final = 5
"""Behind a proxy; directly; as text of a guest, and of a user; as ciphertext after a handshake."""
HEADER: Final = b"\0\0"
PEER: Final = ("192.0.2.1", 4711)


class RawConnection(asyncio.Transport):
    """The server's end of a raw connection, without a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: IncomingProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._is_closing = self._is_paused = self._is_told = False
        self._waiting: list[bytes] = []
        self.sent = bytearray()
        self.answered = 0
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Deliver bytes, if the server reads."""
        self._waiting.append(data)
        self._hand_on()

    def hang_up(self) -> None:
        """Close the client's side."""
        if not self._is_told and not self._protocol.eof_received():
            self.close()

    def _hand_on(self) -> None:
        while self._waiting and not self._is_paused and not self._is_told:
            self._protocol.data_received(self._waiting.pop(0))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        self.answered += len(data)

    def write_eof(self) -> None:
        self.hang_up()

    def close(self) -> None:
        self._is_closing = True
        self._loop.call_soon(self._lose)

    abort = close

    def _lose(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._hand_on)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, IncomingProtocol)
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return PEER if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 65536

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Faults(logging.Handler):
    """Collects the faults that the server's own journal would report."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Target:
    """A server without sockets, which lives as long as the fuzzing."""

    def __init__(self, folder: Path) -> None:
        home = Home(folder)
        initialise(home, ())
        add(home, "bob")
        home.config_file.write_text(SETTINGS)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.faults.found.append(str(context)))
        self.faults = Faults()
        logging.getLogger("telnetsd").addHandler(self.faults)
        self._process = self._loop.run_until_complete(self._make(home))
        self._plain = Endpoint(EndpointSettings(listen="127.0.0.1:0"))
        self._proxied = Endpoint(EndpointSettings(listen="127.0.0.1:0", proxies=("192.0.2.0/24",)))
        self._client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        files = home.users_folder
        self._known = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._known.use_certificate_chain_file(str(files / "bob.pem"))
        self._known.use_privatekey_file(str(files / "bob.key"))

    async def _make(self, home: Home) -> ServingProcess:
        generation = load_generation(home)
        sink = GroupCommit(open_log(home, generation.settings.audit), generation.settings.audit)
        registry, trail = SessionRegistry(), make_trail(sink)
        return ServingProcess(
            home,
            generation,
            context=make_context(generation),
            state=open_store(home),
            trail=trail,
            ask=lambda: b"",
            registry=registry,
            sessions=registry,
            directory=LocalDirectory(
                LineContext(trail=trail, tell_operators=lambda _: None, recordings=home.recordings_folder)
            ),
        )

    def try_one(self, data: bytes) -> None:
        """Send an input over one connection, and check that the connection ends."""
        if len(data) < len(HEADER):
            return
        way, size = data[0] % WAYS, data[1] + 1
        packets = _cut(data[len(HEADER) :], size * size)
        self._loop.run_until_complete(asyncio.wait_for(self._connect(way, packets), END_S))
        if self.faults.found:
            raise AssertionError("\n".join(self.faults.found))

    async def _connect(self, way: int, packets: list[bytes]) -> None:
        endpoint = self._proxied if way == 0 else self._plain
        raw = RawConnection(self._loop, self._process.acceptor.accept(endpoint))
        tls = _shake_hands(raw, self._known if way % 2 else self._client) if way > 1 else None
        for packet in packets:
            if tls is not None and way < 4:
                with contextlib.suppress(SSL.Error):
                    tls.send(packet)
                raw.feed(_take(tls))
            else:
                raw.feed(packet)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        raw.hang_up()
        await self._process.acceptor.wait_empty()
        most = ANSWER_MAX_BYTES + ANSWER_PER_BYTE * sum(map(len, packets))
        assert raw.answered <= most, f"{raw.answered} bytes were answered"


def _shake_hands(raw: RawConnection, context: SSL.Context) -> SSL.Connection:
    tls = SSL.Connection(context, None)
    tls.set_connect_state()
    for _ in range(4):
        with contextlib.suppress(SSL.WantReadError):
            tls.do_handshake()
        raw.feed(_take(tls))
        if raw.sent:
            tls.bio_write(bytes(raw.sent))
            raw.sent.clear()
    return tls


def _take(tls: SSL.Connection) -> bytes:
    with contextlib.suppress(SSL.WantReadError):
        return tls.bio_read(2**20)
    return b""


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@contextlib.contextmanager
def target() -> Iterator[Callable[[bytes], None]]:
    with tempfile.TemporaryDirectory(prefix="telnetsd-fuzz-") as folder:
        yield Target(Path(folder) / "home").try_one


def write_seeds(folder: Path) -> None:
    """Give an empty corpus its first inputs."""
    streams = (
        b"whoami\r\nhelp\r\nwho\r\necho \xc3\xa9\r\nenroll x\r\n.\r\nquit\r\n",
        b"\xff\xfb\x1f\xff\xfa\x1f\0\x50\0\x18\xff\xf0\xff\xfb\x18\xff\xfa\x18\0xterm\xff\xf0\xff\xf6date\r\n",
        b"\xff\xfd\x01\xff\xfe\x01\xff\xfa'\0\0USER\x01root\xff\xf0\x03\x15\x08\x04",
        b"PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n\x16\x03\x01\0\x05hello",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2\x16\x03\x01",
    )
    for number, stream in enumerate(streams):
        for way in range(WAYS):
            (folder / f"seed-{way}-{number}").write_bytes(bytes((way, 16)) + stream)


if __name__ == "__main__":
    with target() as try_one:
        for folder in map(Path, sys.argv[1:]):
            if folder.is_dir() and not any(folder.iterdir()):
                write_seeds(folder)
        atheris.Setup(sys.argv, try_one)
        atheris.Fuzz()
