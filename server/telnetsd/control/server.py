"""The operator's socket: a command line asks the running server about its sessions.

It is a Unix socket of mode 0600 in the home folder: a user who may open it is the operator. Each line is one JSON
object, in both directions: `{"verb": …}` and `{"ok": …}` or `{"error": …}`.
"""

import asyncio
import contextlib
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol, assert_never, cast

import msgspec

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.commands.caller import LiveSessions
from telnetsd.errors import OperatorError
from telnetsd.listener.sockets import open_unix_listener
from telnetsd.racing import unless
from telnetsd.rpc.messages import (
    REQUEST_MAX_BYTES,
    TIMEOUT_S,
    AnyRequest,
    CountsRequest,
    Failed,
    KickSessionRequest,
    LineRow,
    ListLinesRequest,
    ListSessionsRequest,
    Ok,
    ReloadRequest,
    SessionRow,
    WatchSessionRequest,
)

BEHIND_MAX_BYTES: Final = 1_048_576
"""How many unread bytes of a session an operator who watches it may have."""
_CREDENTIALS: Final = struct.Struct("3i")


class WatchableSessions(LiveSessions, Protocol):
    """The sessions that are open now, as an operator sees them."""

    async def watch(self, session_id: str, by: str, show: Callable[[bytes], None]) -> Callable[[], None]:
        """Record an event, and show an operator the output of a session; return a function that stops that.

        When there is nothing more to show, since the session is over or lost, `show` is called with no bytes.

        Raises:
            AuditUnavailableError: The event cannot be written.
            KeyError: The session is over.
        """


class ControlServer:
    """The server's end of the operator's socket.

    Args:
        path: The socket.
        sessions: The sessions that it answers about.
        lines: Returns every line.
        reload: Reloads the installation for the operator it is given; returns one line on what serves now.
        counts: Returns how many events of each kind there were so far.
    """

    def __init__(
        self,
        path: Path,
        sessions: WatchableSessions,
        lines: Callable[[], Awaitable[list[LineRow]]],
        *,
        reload: Callable[[str], Awaitable[str]],
        counts: Callable[[], dict[str, float]],
    ) -> None:
        self._path = path
        self._sessions = sessions
        self._lines = lines
        self._reload = reload
        self._counts = counts
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OperatorError: The socket cannot be created.
        """
        listener = open_unix_listener(self._path)
        self._server = await asyncio.start_unix_server(self._answer, sock=listener, limit=REQUEST_MAX_BYTES)

    async def stop(self) -> None:
        """Stop listening, and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            by = _name_of_peer(writer)
            async with asyncio.timeout(TIMEOUT_S):
                request, answer = await self._read_and_handle(reader, by)
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
            if isinstance(request, WatchSessionRequest) and isinstance(answer, Ok):
                await self._show(cast("SessionRow", answer.ok).id, by, reader, writer)
        writer.close()

    async def _show(
        self, session_id: str, by: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass on the output of a session, until it is over or the operator disconnects or does not keep up."""
        is_over = asyncio.Event()

        def show(data: bytes) -> None:
            if not data:
                is_over.set()
            if writer.transport.is_closing():
                return
            writer.write(data)
            if writer.transport.get_write_buffer_size() > BEHIND_MAX_BYTES:
                writer.transport.abort()

        try:
            stop = await self._sessions.watch(session_id, by, show)
        except (KeyError, AuditUnavailableError):
            return
        try:
            await unless(is_over.wait(), reader.read(1))
        finally:
            stop()

    async def _read_and_handle(self, reader: asyncio.StreamReader, by: str) -> tuple[AnyRequest | None, Ok | Failed]:
        """Read a request, and return it with its answer; None if it is not a request."""
        try:
            request: AnyRequest = msgspec.json.decode(await reader.readline(), type=AnyRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return None, Failed(f"the running server does not know this request ({error}); restart it if it is older")
        try:
            return request, Ok(await self._handle(request, by))
        except OperatorError as error:
            return request, Failed(str(error))

    async def _handle(self, request: AnyRequest, by: str) -> object:
        """Return the answer to a request.

        Raises:
            OperatorError: The request is refused.
        """
        match request:
            case ListSessionsRequest():
                return await self._sessions.rows()
            case WatchSessionRequest():
                return await self._find(request.id)
            case KickSessionRequest():
                found = await self._find(request.id)
                await self._sessions.kick(found.id, by)
                return found
            case ListLinesRequest():
                return await self._lines()
            case CountsRequest():
                return self._counts()
            case ReloadRequest():
                return await self._load_anew(by)
            case _:
                assert_never(request)

    async def _load_anew(self, by: str) -> str:
        try:
            return await self._reload(by)
        except OperatorError as error:
            raise OperatorError(f"nothing was reloaded: {error}") from error

    async def _find(self, id_end: str) -> SessionRow:
        found = await self._sessions.matching(id_end) if id_end else []
        if len(found) != 1:
            raise OperatorError(f"{len(found) or 'no'} sessions match {id_end!r}; see: telnetsd session list")
        return found[0]


def _name_of_peer(writer: asyncio.StreamWriter) -> str:
    connection: socket.socket = writer.get_extra_info("socket")
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        return f"{pwd.getpwuid(uid).pw_name} (control socket)"
    except KeyError:
        return f"uid {uid} (control socket)"
