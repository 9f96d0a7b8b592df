"""One connection to a server of the engine; the only module that knows the engine's client library.

The library does not notice a server that hangs behind TLS, and its own reconnecting is not used: see `engine`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from telnetsd.errors import TelnetsdError
from telnetsd.fleet.credentials import Signer, Token
from telnetsd.fleet.subjects import inbox

CONNECT_S: Final = 2.0
VERSION_MIN: Final = (2, 12)
"""The oldest version of the engine that has what is used here."""
_NEVER_S: Final = 10**6
_CLAIMS: Final = "$SYS.REQ.CLAIMS.UPDATE"
_NO_ANSWER: Final = (nats.errors.Error, OSError, asyncio.TimeoutError)
"""What the library raises when there is no answer; the connection may be at an end."""


class EngineError(TelnetsdError):
    """The engine does not do what it was asked."""


class NoAnswerError(EngineError):
    """There is no answer: whether anything was done is not known."""


class NoSubscriberError(EngineError):
    """No subscriber received it: nothing was done."""


class RefusedByEngineError(EngineError):
    """The engine refuses.

    Attributes:
        code: Its error code (10071: another message came first; 10077: the stream is full; 404: there is none).
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} ({code})")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a node needs to connect.

    Attributes:
        servers: The servers of the engine, as tls://HOST:PORT.
        node: The name of the node.
        tls: Presents the certificate of the node, and trusts the CA of the fleet.
        token: What it shows to the engine.
        api: What stands before its questions about streams.
    """

    servers: tuple[str, ...]
    node: str
    api: str
    tls: ssl.SSLContext
    token: Token


@dataclass(frozen=True, slots=True)
class Received:
    """A message: its subject, its content, where the answer is to go, and how to answer it."""

    subject: str
    data: bytes
    answer_to: str
    answer: Callable[[bytes], Awaitable[None]]

    def is_from(self, node: str) -> bool:
        """Tell whether the answer goes where only a node can hear it."""
        return self.answer_to.startswith(f"{inbox(node)}.")


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a stream: its position, its subject, its content, and when the engine stored it (ISO 8601)."""

    position: int
    subject: str
    data: bytes
    at: str


Hear = Callable[[Received], Awaitable[None]]


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    """An answer of the engine: what it refuses, it refuses with an error."""

    error: _ApiError | None = None


class _Acknowledgement(_Answer):
    seq: int = 0


class _State(msgspec.Struct):
    last_seq: int = 0


class _StreamAnswer(_Answer):
    state: _State = msgspec.field(default_factory=_State)


class _StoredMessage(msgspec.Struct):
    seq: int = 0
    data: bytes = b""


class _MessageAnswer(_Answer):
    message: _StoredMessage = msgspec.field(default_factory=_StoredMessage)


_A = TypeVar("_A", bound=_Answer)


class Connection:
    """A connection that is open, or was.

    Args:
        client: The library's client.
        server: The server that it is connected to.
        api: What stands before its questions about streams.
    """

    def __init__(self, client: Client, server: str, api: str) -> None:
        self._client = client
        self.server = server
        self._api = api

    @property
    def is_open(self) -> bool:
        """Whether the library believes that it is."""
        return bool(self._client.is_connected)

    async def ping(self, timeout_s: float) -> None:
        """Go to the server and back.

        Raises:
            NoAnswerError: It does not answer in time.
        """
        try:
            await self._client.flush(timeout=timeout_s)  # type: ignore[arg-type] # a float is fine
        except _NO_ANSWER as error:
            raise NoAnswerError("the engine does not answer") from error

    async def tell(self, subject: str, data: bytes) -> None:
        """Send a message to all subscribers of a subject.

        Raises:
            NoAnswerError: The connection is at an end.
        """
        try:
            await self._client.publish(subject, data)
        except _NO_ANSWER as error:
            raise NoAnswerError("the engine does not answer") from error

    async def hear(self, subject: str, hear: Hear) -> None:
        """Call `hear` with each message of a subject, one after another.

        Raises:
            NoAnswerError: The connection is at an end.
        """

        async def on_message(message: Msg) -> None:
            await hear(Received(message.subject, message.data, message.reply, message.respond))

        try:
            await self._client.subscribe(subject, cb=on_message)
        except _NO_ANSWER as error:
            raise NoAnswerError("the engine does not answer") from error

    async def ask(
        self, subject: str, data: bytes = b"", *, timeout_s: float, headers: dict[str, str] | None = None
    ) -> Received:
        """Send a message, and return the first answer.

        Raises:
            NoSubscriberError: The subject has no subscriber.
            NoAnswerError: No answer comes in time.
        """
        return _to_received(await self._ask(subject, data, timeout_s, headers))

    async def ask_all(self, subject: str, data: bytes, *, wanted: int, timeout_s: float) -> list[bytes]:
        """Send a message, and return the answers that come: `wanted` ones, or those that came in time.

        Raises:
            NoAnswerError: The connection is at an end.
        """
        answers: list[bytes] = []
        try:
            subscription = await self._client.subscribe(where := self._client.new_inbox())
            await self._client.publish(subject, data, reply=where)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while len(answers) < wanted:
                        message = await subscription.next_msg(timeout=_NEVER_S)
                        if _status_of(message) == _NOBODY:
                            break
                        answers.append(message.data)
            await subscription.unsubscribe()
        except _NO_ANSWER as error:
            raise NoAnswerError("the engine does not answer") from error
        return answers

    async def put(
        self, subject: str, data: bytes, *, timeout_s: float, after: int | None = None, of_subject: bool = False
    ) -> int:
        """Put a message into the stream of a subject, and return its position.

        Args:
            subject: The subject.
            data: The message.
            timeout_s: How long to wait for the engine's majority.
            after: Only directly after this position.
            of_subject: Whether that is the last position of the subject, and not of the stream.
        Raises:
            RefusedByEngineError: The engine refuses: another message came first, or the stream is full.
            NoSubscriberError: No stream can take it now.
            NoAnswerError: Whether it is in the stream is not known.
        """
        headers = {}
        if after is not None:
            which = "Subject-Sequence" if of_subject else "Sequence"
            headers[f"Nats-Expected-Last-{which}"] = str(after)
        answer = await self._ask(subject, data, timeout_s, headers or None)
        return _decode(answer.data, _Acknowledgement).seq

    async def last_position(self, stream: str, timeout_s: float) -> int:
        """Return the position of a stream's last message, as its leader says; 0 for an empty one.

        Raises:
            EngineError: There is no such stream, or its leader does not answer.
        """
        answer = await self._ask(f"{self._api}.STREAM.INFO.{stream}", b"", timeout_s, None)
        return _decode(answer.data, _StreamAnswer).state.last_seq

    async def at(self, stream: str, position: int, timeout_s: float) -> Stored | None:
        """Return the message at a position of a stream, as any server says; None if that one has none there.

        Raises:
            EngineError: There is no answer.
        """
        request = msgspec.json.encode({"seq": position})
        return _to_stored(await self._ask(f"{self._api}.DIRECT.GET.{stream}", request, timeout_s, None))

    async def last_of(self, stream: str, subject: str, timeout_s: float) -> Stored | None:
        """Return the last message of a subject, as any server says; None if that one has none.

        Raises:
            EngineError: There is no answer.
        """
        request = msgspec.json.encode({"last_by_subj": subject})
        return _to_stored(await self._ask(f"{self._api}.DIRECT.GET.{stream}", request, timeout_s, None))

    async def last_by_leader(self, stream: str, subject: str, timeout_s: float) -> tuple[int, bytes]:
        """Return position and content of the last message of a subject, as the stream's leader says; 0 if none.

        Raises:
            EngineError: There is no such stream, or its leader does not answer.
        """
        request = msgspec.json.encode({"last_by_subj": subject})
        answer = await self._ask(f"{self._api}.STREAM.MSG.GET.{stream}", request, timeout_s, None)
        try:
            found = _decode(answer.data, _MessageAnswer).message
        except RefusedByEngineError as error:
            if error.code == _NO_MESSAGE:
                return 0, b""
            raise
        return found.seq, found.data

    async def make_stream(self, description: dict[str, Any], timeout_s: float) -> None:
        """Make a stream; one that exists is changed to the description.

        Raises:
            EngineError: The engine refuses, or does not answer.
        """
        request = msgspec.json.encode(description)
        try:
            answer = await self._ask(f"{self._api}.STREAM.CREATE.{description['name']}", request, timeout_s, None)
            _decode(answer.data, _Acknowledgement)
        except RefusedByEngineError as error:
            if error.code != _STREAM_EXISTS:
                raise
            answer = await self._ask(f"{self._api}.STREAM.UPDATE.{description['name']}", request, timeout_s, None)
            _decode(answer.data, _Acknowledgement)

    async def tell_claims(self, account: str, timeout_s: float) -> None:
        """Tell the engine what an account may do from now on: its JWT.

        Raises:
            EngineError: The engine refuses, or does not answer.
        """
        answer = await self._ask(_CLAIMS, account.encode(), timeout_s, None)
        _decode(answer.data, _Answer)

    async def _ask(self, subject: str, data: bytes, timeout_s: float, headers: dict[str, str] | None) -> Msg:
        try:
            return await self._client.request(subject, data, timeout=timeout_s, headers=headers)
        except nats.errors.NoRespondersError as error:
            raise NoSubscriberError("no server of the engine can do this now") from error
        except _NO_ANSWER as error:
            raise NoAnswerError("the engine does not answer") from error

    async def close(self) -> None:
        """Close the connection in order."""
        with contextlib.suppress(*_NO_ANSWER):
            await self._client.close()

    def abort(self) -> None:
        """Drop the connection at once: its server may hang."""
        # The library waits for a server that hangs, and has no public way not to: see tests/architecture.
        transport: Any = self._client._transport  # noqa: SLF001
        with contextlib.suppress(AttributeError):
            transport._io_writer.transport.abort()  # noqa: SLF001


_NOBODY: Final = "503"
_NOT_FOUND: Final = "404"
_NO_MESSAGE: Final = 10037
_STREAM_EXISTS: Final = 10058
WRONG_POSITION: Final = frozenset({10071, 10164})
"""The engine's codes for a message that was to come after another one."""


async def open_connection(access: Access, server: str) -> Connection:
    """Connect to a server of the engine.

    Raises:
        EngineError: It cannot be reached, or does not let this node in.
    """
    signer = Signer(access.token)
    try:
        async with asyncio.timeout(CONNECT_S):
            client = await nats.connect(
                servers=[server],
                tls=access.tls,
                name=access.node,
                allow_reconnect=False,
                connect_timeout=int(CONNECT_S),
                ping_interval=_NEVER_S,
                error_cb=_ignore,
                inbox_prefix=inbox(access.node).encode(),
                user_jwt_cb=signer.jwt,
                signature_cb=signer.sign,
            )
    except ssl.SSLError as error:
        raise EngineError(f"{server}: {error.reason or error}") from error
    except Exception as error:
        # Before TLS, anybody on the way may say anything, and the library has many exceptions for that.
        raise EngineError(f"{server}: {str(error) or 'it does not answer'}") from error
    await _require_version(client, server)
    return Connection(client, server, access.api)


async def _require_version(client: Client, server: str) -> None:
    """Refuse a server that is older than what is used here.

    Raises:
        EngineError: It is, or it does not say.
    """
    try:
        version = (client.connected_server_version.major, client.connected_server_version.minor)
    except Exception:  # noqa: BLE001 -- whatever the library makes of what it says
        version = (0, 0)
    if version < VERSION_MIN:
        await client.close()
        found, needed = (".".join(map(str, one)) for one in (version, VERSION_MIN))
        raise EngineError(f"{server} is version {found}; {needed} or later is needed")


async def open_any(access: Access) -> Connection:
    """Connect to the first server of the engine that lets us in.

    Raises:
        EngineError: None does.
    """
    problem = EngineError("no server is configured")
    for server in access.servers:
        try:
            return await open_connection(access, server)
        except EngineError as error:
            problem = error
    raise problem


async def _ignore(_: Exception) -> None:
    """Hear of an error that the caller of the library hears of as well."""


def _status_of(message: Msg) -> str:
    return (message.headers or {}).get("Status", "") if not message.data else ""


def _to_received(message: Msg) -> Received:
    return Received(message.subject, message.data, message.reply, message.respond)


def _to_stored(message: Msg) -> Stored | None:
    headers = message.headers or {}
    if _status_of(message) == _NOT_FOUND:
        return None
    try:
        position, subject = int(headers["Nats-Sequence"]), headers["Nats-Subject"]
        return Stored(position, subject, message.data, headers["Nats-Time-Stamp"])
    except (KeyError, ValueError) as error:
        raise EngineError(f"the engine's answer is no message: {headers.get('Status', '')}") from error


def _decode(data: bytes, kind: type[_A]) -> _A:
    """Return the engine's answer.

    Raises:
        RefusedByEngineError: It says that it refuses.
        EngineError: It cannot be read.
    """
    try:
        answer = msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EngineError(f"the engine's answer cannot be read: {error}") from error
    if answer.error is not None:
        raise RefusedByEngineError(answer.error.err_code or answer.error.code, answer.error.description)
    return answer
