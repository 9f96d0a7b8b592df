"""A connection between two processes of one server: queries with answers, and news without answers.

Both ends are ours, over a Unix socket that only the server's user may open. A frame is its length in four bytes, and
MessagePack: kind, number, message. Frames that are written in one turn of the event loop are sent together. The
messages are defined in `rpc.messages`.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec

from telnetsd.errors import OperatorError
from telnetsd.rpc.message import News, Query, Vocabulary, answer_decoder

FRAME_MAX_BYTES: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")
_encode: Final = msgspec.msgpack.Encoder().encode

logger = logging.getLogger(__name__)

Q = TypeVar("Q", bound=Query[object])
N = TypeVar("N", bound=News)
A = TypeVar("A")


class ChannelError(OperatorError):
    """A query was not answered; `kind` is the reason from the other end, empty if that end is gone."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class _Kind(IntEnum):
    QUESTION = 0
    ANSWER = 1
    ERROR = 2
    NEWS = 3


class _Frame(msgspec.Struct, array_like=True):
    kind: _Kind
    number: int
    body: msgspec.Raw


class _Refused(msgspec.Struct, array_like=True):
    """The answer to a query that was refused: see ChannelError."""

    kind: str
    sentence: str


_decode_frame: Final = msgspec.msgpack.Decoder(_Frame).decode
_decode_refused: Final = msgspec.msgpack.Decoder(_Refused).decode


class _Asked(NamedTuple):
    answer: asyncio.Future[Any]
    decoder: msgspec.msgpack.Decoder[Any]


class Channel(asyncio.Protocol):
    """One end of a connection.

    Args:
        vocabulary: The messages that it understands.

    Attributes:
        on_closed: Called when the other end is gone.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._answerers: dict[type, Callable[[Any], Awaitable[object]]] = {}
        self._openers: dict[type, Callable[[Any], Awaitable[object]]] = {}
        self._listeners: dict[type, Callable[[Any], None]] = {}
        self.on_closed: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._received = b""
        self._unsent = bytearray()
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.is_closed = False
        self._has_finished = False

    # Calls from the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Process received frames, split anywhere."""
        received, start = self._received + data, 0
        while len(received) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received, start)
            if length > FRAME_MAX_BYTES:
                self.close()
                return
            end = start + _LENGTH.size + length
            if len(received) < end:
                break
            self._take(_decode_frame(received[start + _LENGTH.size : end]))
            start = end
        self._received = received[start:]

    def connection_lost(self, _: Exception | None) -> None:
        """Notify every waiting caller that the other end is gone."""
        self.is_closed = True
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(ChannelError("the other process of the server has ended"))
        self._asked.clear()
        for task in self._answering:
            task.cancel()
        self.on_closed()

    # Calls from the application.

    def answer(self, kind: type[Q], by: Callable[[Q], Awaitable[object]]) -> None:
        """Register the handler of a kind of query; a query without one is an error at the other end."""
        self._answerers[kind] = by

    def open_with(self, kind: type[Q], by: Callable[[Q], Awaitable[object]]) -> None:
        """Register the handler of a query that may begin the channel; it says what the other end is.

        Once one of these queries has come, none of them is answered again.
        """
        self._openers[kind] = by

    def hear(self, kind: type[N], by: Callable[[N], None]) -> None:
        """Register the handler of a kind of news, which gets it in the order sent; other news is dropped."""
        self._listeners[kind] = by

    async def ask(self, query: Query[A]) -> A:
        """Ask a query, and return the answer.

        Raises:
            ChannelError: The other end has refused, or has gone.
        """
        if self.is_closed or self._has_finished:
            raise ChannelError("the other process of the server has ended")
        self._number += 1
        answer: asyncio.Future[A] = self._loop.create_future()
        self._asked[self._number] = _Asked(answer, answer_decoder(type(query)))
        self._send(_Kind.QUESTION, self._number, query)
        return await answer

    def tell(self, news: News) -> None:
        """Send news; do nothing if the other end is gone."""
        self._send(_Kind.NEWS, 0, news)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the other end has not read yet."""
        return 0 if self.is_closed else len(self._unsent) + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close, once everything that was written is sent."""
        self._flush()
        self._transport.close()

    def finish(self) -> None:
        """Send and receive nothing more; the other end reads what was already sent, and closes.

        With `close` instead, the last messages may be lost: if the other end is writing, the channel breaks before it
        reads them.
        """
        self._flush()
        self._has_finished = True
        self._listeners = {}
        if not self._transport.is_closing():
            self._transport.write_eof()

    # Internals.

    def _take(self, frame: _Frame) -> None:
        match frame.kind:
            case _Kind.NEWS:
                self._listen(frame.body)
            case _Kind.QUESTION:
                task = self._loop.create_task(self._answer(frame.number, frame.body))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case _:
                asked = self._asked.pop(frame.number, None)
                if asked is not None and not asked.answer.done():
                    _settle(asked, frame)

    def _listen(self, body: msgspec.Raw) -> None:
        try:
            news = self._vocabulary.decode(body)
        except msgspec.MsgspecError as error:
            logger.warning("a message from another version of the server cannot be read: %s", error)
            return
        listen = self._listeners.get(type(news))
        if listen is None:
            logger.debug("nothing here hears %s", type(news).__name__)
            return
        try:
            listen(news)
        except Exception:
            # A failure on one piece of news must not end the channel, and with it a worker and its sessions.
            logger.exception("a message from another process could not be handled: %s", type(news).__name__)

    async def _answer(self, number: int, body: msgspec.Raw) -> None:
        try:
            query = self._vocabulary.decode(body)
        except msgspec.MsgspecError as error:
            self._refuse(number, "", f"a request from another version cannot be read ({error}): restart the server")
            return
        name = type(query).__name__
        answer = self._answerers.get(type(query)) or self._take_opener(type(query))
        if answer is None:
            self._refuse(number, "", f"nothing here answers {name}: restart the server")
            return
        try:
            said = await answer(query)
        except ChannelError as error:
            self._refuse(number, error.kind, str(error))
        except OperatorError as error:
            self._refuse(number, type(error).__name__, str(error))
        except Exception:
            logger.exception("a request from another process of the server failed: %s", name)
            self._refuse(number, "", f"{name} failed; the operator can find the cause in the server's output")
        else:
            self._send(_Kind.ANSWER, number, said)

    def _take_opener(self, kind: type) -> Callable[[Any], Awaitable[object]] | None:
        opener = self._openers.get(kind)
        if opener is not None:
            self._openers = {}
        return opener

    def _refuse(self, number: int, kind: str, sentence: str) -> None:
        self._send(_Kind.ERROR, number, _Refused(kind, sentence))

    def _send(self, kind: _Kind, number: int, body: object) -> None:
        if self.is_closed or self._has_finished:
            return
        frame = _encode((kind.value, number, body))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += _LENGTH.pack(len(frame))
        self._unsent += frame

    def _flush(self) -> None:
        if self._unsent and not self.is_closed:
            unsent, self._unsent = self._unsent, bytearray()
            self._transport.write(bytes(unsent))


def _settle(asked: _Asked, frame: _Frame) -> None:
    """Pass an answer to the waiting caller."""
    try:
        if frame.kind == _Kind.ANSWER:
            asked.answer.set_result(asked.decoder.decode(frame.body))
        else:
            refused = _decode_refused(frame.body)
            asked.answer.set_exception(ChannelError(refused.sentence, refused.kind))
    except msgspec.MsgspecError as error:
        asked.answer.set_exception(
            ChannelError(f"an answer from another version cannot be read ({error}): restart the server")
        )


async def open_channel(path: Path, vocabulary: Vocabulary) -> Channel:
    """Connect to the process that listens at a path.

    Raises:
        OSError: No process listens there.
    """
    _, channel = await asyncio.get_running_loop().create_unix_connection(partial(Channel, vocabulary), str(path))
    return channel
