"""A connection between two processes of one server: questions with answers, and news without.

Both ends are ours, over a Unix socket that only the server's user may open. A frame is its length in four bytes, and
MessagePack: kind, number, verb, payload. What is written in one turn of the event loop goes out together.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from telnetsd.errors import OperatorError

FRAME_MAX_BYTES: Final = 64 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode

logger = logging.getLogger(__name__)

Answer = Callable[[Any], Awaitable[Any]]
"""Answers a question."""
Listen = Callable[[Any], None]
"""Takes news, in the order in which they were told."""


class ChannelError(OperatorError):
    """A question was not answered; `kind` is the word of the other end for why, empty where it is gone."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class _Kind(IntEnum):
    QUESTION = 0
    ANSWER = 1
    ERROR = 2
    NEWS = 3


class Channel(asyncio.Protocol):
    """One end.

    Attributes:
        answers: Who answers which question; another one is an error.
        listeners: Who takes which news; others are dropped.
        on_closed: Told when the other end has gone.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.listeners: dict[str, Listen] = {}
        self.on_closed: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._received = b""
        self._unsent = bytearray()
        self._number = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.is_closed = False
        self._has_finished = False

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in frames, cut anywhere."""
        received, start = self._received + data, 0
        while len(received) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received, start)
            if length > FRAME_MAX_BYTES:
                self.close()
                return
            end = start + _LENGTH.size + length
            if len(received) < end:
                break
            self._take(*_decode(received[start + _LENGTH.size : end]))
            start = end
        self._received = received[start:]

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everybody that the other end has gone."""
        self.is_closed = True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ChannelError("the other process of the server has gone"))
        self._asked.clear()
        for task in self._answering:
            task.cancel()
        self.on_closed()

    # What the application asks.

    async def ask(self, verb: str, payload: object = None) -> Any:  # noqa: ANN401 -- what msgspec decodes
        """Ask, and return the answer: what MessagePack has, to be converted by who knows its type.

        Raises:
            ChannelError: The other end has refused, or has gone.
        """
        if self.is_closed or self._has_finished:
            raise ChannelError("the other process of the server has gone")
        self._number += 1
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._asked[self._number] = answer
        self._send(_Kind.QUESTION, self._number, verb, payload)
        return await answer

    def tell(self, verb: str, payload: object = None) -> None:
        """Tell news; to an end that has gone, nothing."""
        self._send(_Kind.NEWS, 0, verb, payload)

    @property
    def unsent_bytes(self) -> int:
        """How much the other end has not taken yet."""
        return 0 if self.is_closed else len(self._unsent) + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close, once what was told has gone out."""
        self._flush()
        self._transport.close()

    def finish(self) -> None:
        """Tell, ask and hear nothing more; the other end hears what it was told, and closes.

        Whoever closes instead may not be heard out: to an end that is writing, the channel is broken before it reads.
        """
        self._flush()
        self._has_finished = True
        self.listeners = {}
        if not self._transport.is_closing():
            self._transport.write_eof()

    # The inner life.

    def _take(self, kind: int, number: int, verb: str, payload: object) -> None:
        match kind:
            case _Kind.NEWS:
                self._listen(verb, payload)
            case _Kind.QUESTION:
                task = self._loop.create_task(self._answer(number, verb, payload))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case _:
                asked = self._asked.pop(number, None)
                if asked is not None and not asked.done():
                    if kind == _Kind.ANSWER:
                        asked.set_result(payload)
                    else:
                        asked.set_exception(ChannelError(str(payload), verb))

    def _listen(self, verb: str, payload: object) -> None:
        listen = self.listeners.get(verb)
        if listen is None:
            return
        try:
            listen(payload)
        except Exception:
            # One piece of news must not take the channel along, and with it a worker and its sessions.
            logger.exception("news of another process of the server could not be taken: %s", verb)

    async def _answer(self, number: int, verb: str, payload: object) -> None:
        answer = self.answers.get(verb)
        if answer is None:
            self._send(_Kind.ERROR, number, "", f"nobody here answers {verb}: restart the server")
            return
        try:
            said = await answer(payload)
        except ChannelError as error:
            self._send(_Kind.ERROR, number, error.kind, str(error))
        except OperatorError as error:
            self._send(_Kind.ERROR, number, type(error).__name__, str(error))
        except Exception:
            logger.exception("a question of another process of the server failed: %s", verb)
            self._send(_Kind.ERROR, number, "", f"{verb} failed; the operator finds the cause in the server's output")
        else:
            self._send(_Kind.ANSWER, number, verb, said)

    def _send(self, kind: _Kind, number: int, verb: str, payload: object) -> None:
        if self.is_closed or self._has_finished:
            return
        frame = _encode((kind.value, number, verb, payload))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += _LENGTH.pack(len(frame))
        self._unsent += frame

    def _flush(self) -> None:
        if self._unsent and not self.is_closed:
            unsent, self._unsent = self._unsent, bytearray()
            self._transport.write(bytes(unsent))


async def open_channel(path: Path) -> Channel:
    """Connect to whoever listens at a path.

    Raises:
        OSError: Nobody does.
    """
    _, channel = await asyncio.get_running_loop().create_unix_connection(Channel, str(path))
    return channel
