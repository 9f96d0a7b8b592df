"""The weaknesses of telnetlib3, and that our protocol does not have them.

Each weakness is tested on telnetlib3's own server protocol first, where the test must fail (`xfail`, strictly): a
test that passes there would prove nothing here.
"""

import asyncio
import logging
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telnetlib3.server_base import BaseServer
from telnetlib3.telopt import (
    AYT,
    BINARY,
    CHARSET,
    DO,
    DONT,
    EC,
    ECHO,
    EL,
    EOF,
    IAC,
    IP,
    LOGOUT,
    MCCP2_COMPRESS,
    MCCP3_COMPRESS,
    NAWS,
    NEW_ENVIRON,
    NOP,
    SB,
    SE,
    SGA,
    STATUS,
    TM,
    TTYPE,
    WILL,
    WONT,
)  # fmt: skip

from telnetsd.telnet.bounded_writer import SUBNEGOTIATION_MAX_BYTES
from telnetsd.telnet.line_discipline import Input, LineDiscipline, LineTooLong
from telnetsd.telnet.protocol import READER_LIMIT_BYTES, NvtProtocol

CHARACTER_MODE = IAC + WILL + ECHO + IAC + WILL + SGA
IS, SEND = b"\x00", b"\x01"


class Wire(asyncio.Transport):
    """A transport that remembers what was written, and whether it was told to stop reading."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = False
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "ssl_object": self}.get(name, default)


class _Theirs(BaseServer):
    """telnetlib3's own protocol, as its `create_server` would make it."""

    def __init__(self) -> None:
        super().__init__(encoding=False)


Kind = type[BaseServer] | type[NvtProtocol]


def made(kind: Kind) -> tuple[Any, Wire]:
    protocol, wire = kind(), Wire()
    protocol.connection_made(wire)
    return protocol, wire


def interpreter_of(protocol: Any) -> Any:
    return protocol.agreement._telnet() if isinstance(protocol, NvtProtocol) else protocol.writer


DOORS = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(_Theirs, marks=pytest.mark.xfail(strict=True, reason="the door is open in telnetlib3")),
        NvtProtocol,
    ],
    ids=["telnetlib3", "ours"],
)


@DOORS
async def test_an_unsolicited_mccp3_subnegotiation_does_not_switch_on_inflation(kind: Kind) -> None:
    protocol, _ = made(kind)
    protocol.data_received(IAC + SB + MCCP3_COMPRESS + IAC + SE)
    bomb = zlib.compress(bytes(1_000_000))
    protocol.data_received(bomb)
    assert len(protocol.reader._buffer) <= len(bomb)


@DOORS
@pytest.mark.parametrize(
    "subnegotiation",
    [NAWS + b"\x01", CHARSET + b"\x01"],
    ids=["NAWS", "CHARSET"],
)
async def test_a_malformed_subnegotiation_logs_no_traceback(
    kind: Kind, subnegotiation: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    monkeypatch.setattr("telnetlib3._base._log_exception", lambda *_: told.append("a traceback"))
    protocol, _ = made(kind)
    option = subnegotiation[:1]
    protocol.data_received(IAC + WILL + option + IAC + SB + subnegotiation + IAC + SE)
    assert told == []
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


@DOORS
@pytest.mark.parametrize("filler", [b"a", IAC + IAC], ids=["data", "escaped IAC"])
async def test_an_unterminated_subnegotiation_keeps_a_bounded_number_of_bytes(kind: Kind, filler: bytes) -> None:
    protocol, _ = made(kind)
    protocol.data_received(IAC + WILL + TTYPE + IAC + SB + TTYPE + filler * 5000)
    assert len(interpreter_of(protocol)._sb_buffer) <= SUBNEGOTIATION_MAX_BYTES


@DOORS
async def test_a_client_that_floods_is_paused(kind: Kind) -> None:
    protocol, wire = made(kind)
    sent = 0
    while not wire.is_paused and sent < 100 * READER_LIMIT_BYTES:
        protocol.data_received(b"a" * 1024)
        sent += 1024
    assert wire.is_paused
    assert len(protocol.reader._buffer) <= 2 * READER_LIMIT_BYTES + 1024
    while protocol.reader._buffer:
        await protocol.reader.read(4096)
    assert not wire.is_paused


@DOORS
async def test_new_environ_is_never_accepted(kind: Kind) -> None:
    protocol, wire = made(kind)
    protocol.data_received(IAC + WILL + NEW_ENVIRON)
    assert wire.written == IAC + DONT + NEW_ENVIRON


class _Searched(bytearray):
    """A buffer that counts the bytes that its searches look at."""

    looked_at = 0

    def find(self, what: Any, start: Any = 0, *rest: Any) -> int:
        found = super().find(what, start, *rest)
        self.looked_at += (found if found >= 0 else len(self)) - start
        return found


async def _lines_of_theirs(protocol: Any) -> list[bytes]:
    return [line async for line in protocol.reader]


async def _lines_of_ours(protocol: Any) -> list[Input]:
    lines = LineDiscipline(line_max_bytes=4096, endless_max_bytes=65536)
    return [one for _ in range(50) for one in lines.feed(await protocol.reader.read(4096))]


@DOORS
async def test_splitting_lines_looks_at_each_byte_a_bounded_number_of_times(kind: Kind) -> None:
    """telnetlib3's readline searches the whole buffer for every line."""
    protocol, _ = made(kind)
    protocol.reader._buffer = _Searched()
    data = b"echo 12345\r\n" * 5000
    protocol.reader.feed_data(data)
    protocol.reader.feed_eof()
    split = _lines_of_theirs if kind is _Theirs else _lines_of_ours
    assert len(await split(protocol)) == 5000
    assert protocol.reader._buffer.looked_at <= 8 * len(data)


@DOORS
async def test_a_line_does_not_grow_without_bound(kind: Kind) -> None:
    protocol, _ = made(kind)
    protocol.reader.feed_data(b"a" * 60_000 + b"\r\n")
    protocol.reader.feed_eof()
    if kind is _Theirs:
        (line,) = await _lines_of_theirs(protocol)
        assert len(line) <= 4096
    else:
        assert await _lines_of_ours(protocol) == [LineTooLong()]


async def test_a_client_that_sends_no_telnet_command_gets_no_interpreter() -> None:
    """The interpreter is most of what a session would cost."""
    protocol, wire = made(NvtProtocol)
    protocol.data_received(b"echo hello\r\n")
    protocol.agreement.decide_com_port(None)
    protocol.agreement.leave_line()
    protocol.writer.write(b"hello \xff\r\n")
    assert protocol.agreement._negotiator is None
    assert wire.written == b"hello \xff\xff\r\n"
    protocol.data_received(IAC + NOP)
    assert protocol.agreement._negotiator is not None


async def test_nothing_is_sent_before_the_client_speaks() -> None:
    _, wire = made(NvtProtocol)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wire.written == b""


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (IAC + DO + SGA, IAC + WILL + SGA + IAC + WILL + ECHO),
        (IAC + WILL + SGA, IAC + DO + SGA),
        (IAC + DO + TM, IAC + WILL + TM),
        (IAC + WILL + NAWS, IAC + DO + NAWS + CHARACTER_MODE),
        (IAC + WILL + TTYPE, IAC + DO + TTYPE + IAC + SB + TTYPE + SEND + IAC + SE + CHARACTER_MODE),
        (IAC + DO + ECHO, IAC + WILL + ECHO + IAC + WILL + SGA),
        (IAC + DO + BINARY, IAC + WONT + BINARY),
        (IAC + WILL + BINARY, IAC + DONT + BINARY),
        (IAC + DO + STATUS, IAC + WONT + STATUS),
        (IAC + DO + LOGOUT, IAC + WONT + LOGOUT),
        (IAC + WILL + CHARSET, IAC + DONT + CHARSET),
        (IAC + DO + MCCP2_COMPRESS, IAC + WONT + MCCP2_COMPRESS),
        (IAC + WILL + MCCP3_COMPRESS, IAC + DONT + MCCP3_COMPRESS),
        (IAC + WILL + b"\xc8", IAC + DONT + b"\xc8"),
        (IAC + DO + b"\xc8", IAC + WONT + b"\xc8"),
        ((IAC + DO + STATUS) * 2, (IAC + WONT + STATUS) * 2),
        (IAC + DONT + LOGOUT + IAC + DO + LOGOUT, IAC + WONT + LOGOUT),
        (IAC + WILL + NAWS + IAC + WONT + NAWS, IAC + DO + NAWS + CHARACTER_MODE + IAC + DONT + NAWS),
        (IAC + DO + SGA + IAC + DONT + SGA, IAC + WILL + SGA + IAC + WILL + ECHO + IAC + WONT + SGA),
        ((IAC + DO + ECHO + IAC + DONT + ECHO), IAC + WILL + ECHO + IAC + WILL + SGA + IAC + WONT + ECHO),
        (IAC + DONT + ECHO, b""),
        (IAC + WONT + TM, b""),
        (IAC + WONT + LOGOUT, b""),
        (IAC + NOP, b""),
        (IAC + AYT, b"[yes]\r\n"),
    ],
)
async def test_options_on_a_short_list_are_accepted_and_all_others_are_refused(sent: bytes, answer: bytes) -> None:
    protocol, wire = made(NvtProtocol)
    protocol.data_received(sent)
    assert wire.written == answer


@pytest.mark.parametrize(("verb", "option"), [(WILL, SGA), (WILL, NAWS), (DO, SGA)])
async def test_a_repeated_request_for_an_option_that_is_on_is_answered_once(verb: bytes, option: bytes) -> None:
    """RFC 1143: no answer where nothing changes, or two ends may answer each other forever."""
    protocol, wire = made(NvtProtocol)
    protocol.data_received((IAC + verb + option) * 50)
    assert wire.written.count(IAC + (DO if verb == WILL else WILL) + option) == 1


@pytest.mark.parametrize("verb", [DO, WILL])
@pytest.mark.parametrize("option", [BINARY, NEW_ENVIRON, b"\xc8"])
async def test_each_request_for_an_option_that_is_refused_is_answered(verb: bytes, option: bytes) -> None:
    """RFC 854: a client that waits for the answer to its second request would wait forever."""
    protocol, wire = made(NvtProtocol)
    protocol.data_received((IAC + verb + option) * 50)
    assert wire.written == (IAC + (WONT if verb == DO else DONT) + option) * 50


async def test_the_window_size_and_the_terminal_type_are_accepted_only_after_agreement() -> None:
    protocol, _ = made(NvtProtocol)
    seen: list[object] = []
    interpreter_of(protocol).set_ext_callback(NAWS, lambda rows, columns: seen.append((rows, columns)))
    interpreter_of(protocol).set_ext_callback(TTYPE, seen.append)
    window = IAC + SB + NAWS + b"\x00\x50\x00\x18" + IAC + SE
    protocol.data_received(window)
    assert seen == []
    protocol.data_received(IAC + WILL + NAWS + window)
    protocol.data_received(IAC + WILL + TTYPE + IAC + SB + TTYPE + IS + b"XTERM" + IAC + SE)
    assert seen == [(24, 80), "XTERM"]


async def test_an_oversized_subnegotiation_is_dropped_completely_and_the_data_after_it_is_read() -> None:
    protocol, _ = made(NvtProtocol)
    seen: list[object] = []
    interpreter_of(protocol).set_ext_callback(TTYPE, seen.append)
    long = IAC + SB + TTYPE + IS + b"a" * (SUBNEGOTIATION_MAX_BYTES + 50) + IAC + SE
    short = IAC + SB + TTYPE + IS + b"VT100" + IAC + SE
    protocol.data_received(IAC + WILL + TTYPE + long + b"help" + short + b"\r\n")
    assert seen == ["VT100"]
    assert await protocol.reader.read(100) == b"help\r\n"


async def test_editing_commands_act_in_the_order_in_which_they_were_sent() -> None:
    protocol, _ = made(NvtProtocol)
    protocol.data_received(b"abx" + IAC + EC + b"c" + IAC + EL + b"help" + IAC + IP + IAC + EOF)
    assert await protocol.reader.read(100) == b"abx\x08c\x15help\x03\x04"


async def test_a_client_that_does_not_read_its_answers_is_not_read() -> None:
    protocol, wire = made(NvtProtocol)
    protocol.pause_writing()
    assert wire.is_paused
    waiting = asyncio.ensure_future(protocol.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    protocol.resume_writing()
    assert not wire.is_paused
    await waiting


async def test_reading_resumes_only_when_neither_reader_nor_writer_is_full() -> None:
    protocol, wire = made(NvtProtocol)
    protocol.data_received(b"a" * (3 * READER_LIMIT_BYTES))
    protocol.pause_writing()
    protocol.resume_writing()
    assert wire.is_paused, "the reader is still full"
    protocol.pause_writing()
    await protocol.reader.read(3 * READER_LIMIT_BYTES)
    assert wire.is_paused, "the writer is still full"
    protocol.resume_writing()
    assert not wire.is_paused


async def test_a_waiting_writer_is_woken_when_the_connection_is_lost() -> None:
    protocol, _ = made(NvtProtocol)
    protocol.pause_writing()
    waiting = asyncio.ensure_future(protocol.drain())
    await asyncio.sleep(0)
    protocol.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await waiting


async def test_input_after_the_end_is_discarded() -> None:
    protocol, _ = made(NvtProtocol)
    protocol.writer.close()
    protocol.data_received(IAC + AYT + IAC + DO + SGA + b"help\r\n")
    assert await protocol.reader.read(10) == b""


async def test_several_are_you_there_commands_that_arrive_together_get_one_answer() -> None:
    protocol, wire = made(NvtProtocol)
    protocol.data_received((IAC + AYT) * 30)
    assert wire.written == b"[yes]\r\n"
    protocol.data_received(IAC + AYT)
    assert wire.written == b"[yes]\r\n" * 2


async def test_input_with_many_commands_is_interpreted_in_small_parts() -> None:
    """Each takes a microsecond or two: sixteen thousand of them at once would block all other sessions."""
    protocol, wire = made(NvtProtocol)
    protocol.data_received((IAC + NOP) * 4000 + b"help\r\n")
    assert wire.is_paused
    assert not protocol.reader._buffer
    protocol.eof_received()
    assert await protocol.reader.read(100) == b"help\r\n"
    assert await protocol.reader.read(100) == b""


async def test_input_after_a_part_with_many_commands_is_interpreted_after_it() -> None:
    protocol, wire = made(NvtProtocol)
    protocol.data_received((IAC + NOP) * 4000)
    protocol.data_received(b"help\r\n")
    assert await protocol.reader.read(100) == b"help\r\n"
    assert not wire.is_paused


async def test_a_part_with_many_commands_is_discarded_with_the_connection() -> None:
    protocol, _ = made(NvtProtocol)
    protocol.data_received((IAC + NOP) * 4000 + b"help")
    protocol.connection_lost(None)
    await asyncio.sleep(0)
    assert await protocol.reader.read(100) == b""


PIECE = st.one_of(
    st.binary(max_size=6),
    st.builds(
        lambda verb, option: IAC + verb + option,
        st.sampled_from([DO, DONT, WILL, WONT]),
        st.binary(min_size=1, max_size=1),
    ),
    st.builds(lambda body: IAC + SB + body + IAC + SE, st.binary(max_size=90)),
    st.builds(lambda command: IAC + command, st.binary(min_size=1, max_size=1)),
)


@given(pieces=st.lists(PIECE, max_size=40), cut=st.integers(1, 50))
@settings(max_examples=300)
async def test_no_bytes_cause_a_traceback_or_unbounded_growth(pieces: list[bytes], cut: int) -> None:
    told: list[object] = []
    protocol, wire = made(NvtProtocol)
    data = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telnetsd.telnet.negotiation.logger.warning", lambda *error: told.append(error))
        for start in range(0, len(data), cut):
            protocol.data_received(data[start : start + cut])
    assert told == []
    assert len(protocol.reader._buffer) <= len(data)
    assert len(interpreter_of(protocol)._sb_buffer) <= SUBNEGOTIATION_MAX_BYTES
    assert len(wire.written) <= 8 * len(data)
