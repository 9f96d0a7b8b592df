"""The channel between the processes of one server: queries, answers and news, however the bytes are cut."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.rpc.channel import FRAME_MAX_BYTES, Channel, ChannelError, open_channel
from telnetsd.rpc.message import News, Query, Vocabulary


class Add(Query[int]):
    numbers: list[int]


class Refuse(Query[None]):
    pass


class Shout(Query[None]):
    pass


class Unheard(News):
    pass


class Count(News):
    number: int


class Data(News):
    data: bytes


VOCABULARY = Vocabulary(Add, Refuse, Count, Data, Shout)
new_channel = partial(Channel, VOCABULARY)


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two ends of one channel."""
    accepted: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

    def accept() -> Channel:
        accepted.set_result(new_channel())
        return accepted.result()

    server = await asyncio.get_running_loop().create_unix_server(accept, str(path))
    ours = await open_channel(path, VOCABULARY)
    theirs = await accepted
    try:
        yield ours, theirs
    finally:
        for one in (ours, theirs):
            if not one.is_closed:
                one.close()
        server.close()


async def test_a_query_is_answered_and_a_refusal_says_why(tmp_path: Path) -> None:
    async def add(asked: Add) -> int:
        return sum(asked.numbers)

    async def refuse(_: Refuse) -> None:
        raise AuditUnavailableError("the disk is full")

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answer(Add, add)
        theirs.answer(Refuse, refuse)
        assert list(await asyncio.gather(ours.ask(Add([1, 2])), ours.ask(Add([3])))) == [3, 3]
        with pytest.raises(ChannelError, match="the disk is full") as refused:
            await ours.ask(Refuse())
        assert refused.value.kind == AuditUnavailableError.__name__
        with pytest.raises(ChannelError, match="nothing here answers Shout: restart the server"):
            await ours.ask(Shout())


async def test_a_query_unknown_to_the_other_end_is_refused(tmp_path: Path) -> None:
    class Ask(Query[None]):
        pass

    async with connected(tmp_path / "hub") as (ours, _):
        with pytest.raises(ChannelError, match="another version cannot be read .*restart the server"):
            await ours.ask(Ask())


async def test_a_channel_is_opened_once(tmp_path: Path) -> None:
    async with connected(tmp_path / "socket") as (ours, theirs):

        async def add(asked: Add) -> int:
            return sum(asked.numbers)

        async def refuse(_: Refuse) -> None:
            return

        theirs.open_with(Add, add)
        theirs.open_with(Refuse, refuse)
        assert await ours.ask(Add([1, 2])) == 3
        for query in (Add([1, 2]), Refuse()):
            with pytest.raises(ChannelError, match="nothing here answers"):
                await ours.ask(query)


async def test_an_answer_of_another_type_is_an_error_for_the_caller(tmp_path: Path) -> None:
    async def answer(_: Add) -> str:
        return "three"

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answer(Add, answer)
        with pytest.raises(ChannelError, match="an answer from another version"):
            await ours.ask(Add([1, 2]))


async def test_a_fault_in_an_answer_is_logged_and_reported_to_the_caller_without_its_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Refuse) -> None:
        raise ZeroDivisionError("a secret")

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answer(Refuse, fail)
        with pytest.raises(ChannelError) as failed:
            await ours.ask(Refuse())
    assert "secret" not in str(failed.value)
    assert "ZeroDivisionError" in caplog.text


async def test_news_arrives_in_the_order_in_which_it_was_sent_and_before_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []
    over = asyncio.Event()
    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.hear(Count, lambda news: heard.append(news.number))
        theirs.on_closed = over.set
        for number in range(1000):
            ours.tell(Count(number))
        ours.tell(Data(b"dropped: nothing hears it"))
        ours.tell(Unheard())
        ours.close()
        await over.wait()
    assert heard == list(range(1000))
    assert "a message from another version" in caplog.text


async def test_news_that_cannot_be_handled_is_logged_and_the_next_is_handled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = asyncio.Event()

    def stumble(_: Count) -> None:
        raise ZeroDivisionError

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.hear(Count, stumble)
        theirs.hear(Data, lambda _: heard.set())
        ours.tell(Count(1))
        ours.tell(Data(b""))
        await asyncio.wait_for(heard.wait(), 5)
    assert "could not be handled: Count" in caplog.text


async def test_a_caller_that_waits_for_an_answer_is_notified_when_the_other_end_closes(tmp_path: Path) -> None:
    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answer(Refuse, lambda _: asyncio.sleep(60))
        asking = asyncio.ensure_future(ours.ask(Refuse()))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(ChannelError, match="has ended"):
            await asking
        with pytest.raises(ChannelError, match="has ended"):
            await ours.ask(Refuse())


async def test_an_oversized_frame_closes_the_channel_unread(tmp_path: Path) -> None:
    over = asyncio.Event()
    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.on_closed = over.set
        ours._transport.write((FRAME_MAX_BYTES + 1).to_bytes(4, "big") + b"x")
        await over.wait()


class _Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


@given(payloads=st.lists(st.binary(max_size=300), max_size=20), cut=st.integers(1, 50))
@settings(max_examples=100)
async def test_frames_are_found_wherever_the_bytes_are_cut(payloads: list[bytes], cut: int) -> None:
    ours, theirs, wire = new_channel(), new_channel(), _Wire()
    heard: list[bytes] = []
    ours.connection_made(wire)
    theirs.connection_made(_Wire())
    theirs.hear(Data, lambda news: heard.append(news.data))
    for payload in payloads:
        ours.tell(Data(payload))
    ours._flush()
    for start in range(0, len(wire.written), cut):
        theirs.data_received(wire.written[start : start + cut])
    assert heard == payloads


async def turns_of_the_loop(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_news_sent_before_finish_arrives_although_the_other_end_is_sending() -> None:
    """For a process that writes to it, a channel closed by the other end is broken, and its unread data is lost."""
    heard: list[int] = []
    over = asyncio.Event()
    first, second = socket.socketpair()
    _, ours = await asyncio.get_running_loop().create_connection(new_channel, sock=first)
    reading, theirs = await asyncio.get_running_loop().create_connection(new_channel, sock=second)
    theirs.hear(Count, lambda news: heard.append(news.number))
    theirs.on_closed = over.set
    reading.pause_reading()
    ours.tell(Count(7))
    ours.finish()
    await turns_of_the_loop()
    theirs.tell(Data(b"more"))
    await turns_of_the_loop()
    reading.resume_reading()
    await over.wait()
    assert heard == [7]


async def test_a_finished_channel_sends_asks_and_receives_nothing(tmp_path: Path) -> None:
    heard: list[News] = []
    async with connected(tmp_path / "hub") as (ours, theirs):
        ours.hear(Data, heard.append)
        theirs.hear(Data, heard.append)
        over = asyncio.Event()
        ours.on_closed = over.set
        theirs.tell(Data(b"late"))
        ours.finish()
        ours.tell(Data(b"late"))
        with pytest.raises(ChannelError, match="has ended"):
            await ours.ask(Add([]))
        await over.wait()
        ours.finish()
    assert heard == []
