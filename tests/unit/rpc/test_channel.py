"""The way between the processes of one server: questions, answers and news, however the bytes are cut."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.rpc.channel import FRAME_MAX_BYTES, Channel, ChannelError, open_channel


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two ends of one channel."""
    accepted: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

    def accept() -> Channel:
        accepted.set_result(Channel())
        return accepted.result()

    server = await asyncio.get_running_loop().create_unix_server(accept, str(path))
    ours = await open_channel(path)
    theirs = await accepted
    try:
        yield ours, theirs
    finally:
        for one in (ours, theirs):
            if not one.is_closed:
                one.close()
        server.close()


async def test_a_question_is_answered_and_a_refusal_says_why(tmp_path: Path) -> None:
    async def add(numbers: Any) -> int:
        return sum(numbers)

    async def refuse(_: Any) -> None:
        raise AuditUnavailableError("the disk is full")

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answers = {"add": add, "refuse": refuse}
        assert list(await asyncio.gather(ours.ask("add", [1, 2]), ours.ask("add", [3]))) == [3, 3]
        with pytest.raises(ChannelError, match="the disk is full") as refused:
            await ours.ask("refuse")
        assert refused.value.kind == AuditUnavailableError.__name__
        with pytest.raises(ChannelError, match="nobody here answers shout"):
            await ours.ask("shout")


async def test_a_fault_in_an_answer_is_logged_here_and_told_there_without_its_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Any) -> None:
        raise ZeroDivisionError("a secret")

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answers = {"fail": fail}
        with pytest.raises(ChannelError) as failed:
            await ours.ask("fail")
    assert "secret" not in str(failed.value)
    assert "ZeroDivisionError" in caplog.text


async def test_news_comes_in_the_order_in_which_it_was_told_and_before_the_end(tmp_path: Path) -> None:
    heard: list[int] = []
    over = asyncio.Event()
    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.listeners = {"count": heard.append}
        theirs.on_closed = over.set
        for number in range(1000):
            ours.tell("count", number)
        ours.tell("nobody listens to this")
        ours.close()
        await over.wait()
    assert heard == list(range(1000))


async def test_news_that_cannot_be_taken_is_logged_and_the_next_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = asyncio.Event()

    def stumble(_: Any) -> None:
        raise ZeroDivisionError

    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.listeners = {"stumble": stumble, "go on": lambda _: heard.set()}
        ours.tell("stumble")
        ours.tell("go on")
        await asyncio.wait_for(heard.wait(), 5)
    assert "could not be taken: stumble" in caplog.text


async def test_whoever_waits_for_an_answer_is_told_when_the_other_end_has_gone(tmp_path: Path) -> None:
    async with connected(tmp_path / "hub") as (ours, theirs):
        theirs.answers = {"wait": lambda _: asyncio.sleep(60)}
        asking = asyncio.ensure_future(ours.ask("wait"))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(ChannelError, match="has gone"):
            await asking
        with pytest.raises(ChannelError, match="has gone"):
            await ours.ask("wait")


async def test_a_frame_that_is_too_long_ends_the_channel_unread(tmp_path: Path) -> None:
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
    ours, theirs, wire = Channel(), Channel(), _Wire()
    heard: list[bytes] = []
    ours.connection_made(wire)
    theirs.connection_made(_Wire())
    theirs.listeners = {"say": heard.append}
    for payload in payloads:
        ours.tell("say", payload)
    ours._flush()
    for start in range(0, len(wire.written), cut):
        theirs.data_received(wire.written[start : start + cut])
    assert heard == payloads


async def turns_of_the_loop(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_finishes_is_heard_out_although_the_other_end_is_telling() -> None:
    """To whom writes to it, a channel whose other end has closed is broken, with what was not read yet."""
    heard: list[str] = []
    over = asyncio.Event()
    first, second = socket.socketpair()
    _, ours = await asyncio.get_running_loop().create_connection(Channel, sock=first)
    reading, theirs = await asyncio.get_running_loop().create_connection(Channel, sock=second)
    theirs.listeners, theirs.on_closed = {"leave": heard.append}, over.set
    reading.pause_reading()
    ours.tell("leave", "bob")
    ours.finish()
    await turns_of_the_loop()
    theirs.tell("show", "more")
    await turns_of_the_loop()
    reading.resume_reading()
    await over.wait()
    assert heard == ["bob"]


async def test_who_has_finished_tells_and_asks_and_hears_nothing(tmp_path: Path) -> None:
    heard: list[str] = []
    async with connected(tmp_path / "hub") as (ours, theirs):
        ours.listeners = theirs.listeners = {"show": heard.append}
        over = asyncio.Event()
        ours.on_closed = over.set
        theirs.tell("show", "late")
        ours.finish()
        ours.tell("show", "late")
        with pytest.raises(ChannelError, match="has gone"):
            await ours.ask("add")
        await over.wait()
        ours.finish()
    assert heard == []
