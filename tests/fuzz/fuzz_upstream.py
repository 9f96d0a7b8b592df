"""A fuzz target for atheris: arbitrary bytes that a telnet server sends to a line.

telnetlib3's client is real, with our interpreter; only the socket is not. A failure is: an exception; a line of the
server's own journal that reports a fault; or an answer that is out of proportion.

    scripts/fuzz upstream [SECONDS]
"""

import asyncio
import logging
import sys
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["telnetsd", "telnetlib3"]):
    from telnetsd.lines.kinds.telnet import TelnetUpstream
    from telnetsd.telnet.client_protocol import READER_LIMIT_BYTES, NvtConnection, _Client
    from telnetsd.telnet.terminal import Terminal

ANSWER_PER_BYTE: Final = 40
READ_MAX_BYTES: Final = 16384


class RawConnection(asyncio.Transport):
    """Our end of a connection to a server, without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = 0
        self.is_paused = self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answered += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 23) if name == "peername" else default


class Journal(logging.Handler):
    """Collects the faults that the server would report."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def send(data: bytes) -> None:
    transport = RawConnection()
    client = _Client(encoding=False, limit=READER_LIMIT_BYTES)
    client.connection_made(transport)
    upstream = TelnetUpstream(NvtConnection(transport, client), Terminal())
    client.data_received(data)
    if client._rx_task is not None:
        await client._rx_task
    client.eof_received()
    shown = 0
    while chunk := await upstream.read():
        assert len(chunk) <= READ_MAX_BYTES
        shown += len(chunk)
    assert shown <= len(data)
    assert transport.answered <= ANSWER_PER_BYTE * (len(data) + 8), transport.answered


def main() -> None:
    loop, journal = asyncio.new_event_loop(), Journal()
    asyncio.set_event_loop(loop)
    logging.getLogger().addHandler(journal)

    def look(data: bytes) -> None:
        loop.run_until_complete(send(data))
        assert not any("Traceback" in one or "Error" in one for one in journal.lines), journal.lines
        journal.lines.clear()

    atheris.Setup(sys.argv, look)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
