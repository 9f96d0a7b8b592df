"""A command-line verb's end of the operator's socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args

import msgspec
from msgspec import UNSET, UnsetType

from telnetsd.errors import OperatorError
from telnetsd.rpc.messages import TIMEOUT_S, Request, WatchSessionRequest

_SHOWN_BYTES: Final = 65536
A = TypeVar("A")


class _Answer(msgspec.Struct):
    """The server's answer: one of the two fields."""

    ok: msgspec.Raw | UnsetType = UNSET
    error: str = "the running server closed the connection; see its output"


def watch(path: Path, session_id: str) -> Iterator[bytes]:
    """Yield the output of a session as it comes, until the session is over.

    Raises:
        OperatorError: No server runs on this home folder, or the server refuses.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        with _reported(path):
            _send(connection, path, WatchSessionRequest(session_id))
        with connection.makefile("rb", buffering=0) as file:
            with _reported(path):
                _read_answer(_read_line(file))
            while data := file.read(_SHOWN_BYTES):
                yield data


def ask(path: Path, request: Request[A], timeout_s: float = TIMEOUT_S) -> A:
    """Ask the running server, and return its answer; each part of it may take `timeout_s` seconds.

    Raises:
        OperatorError: No server runs on this home folder, or the server refuses.
    """
    with _reported(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        _send(connection, path, request)
        with connection.makefile("rb") as file:
            ok = _read_answer(file.readline())
        return cast("A", msgspec.json.decode(ok, type=_answer_type(request)))


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Report a server that cannot be asked, or whose answer cannot be read, in one line."""
    try:
        yield
    except PermissionError as error:
        raise OperatorError(f"not allowed to open {path}; run this as the user that runs the server") from error
    except msgspec.MsgspecError as error:
        raise OperatorError(
            "the running server's answer cannot be read; restart the server, since it is of another version"
        ) from error
    except OSError as error:
        raise OperatorError(f"no server answers at {path}; start it: telnetsd serve") from error


def _send(connection: socket.socket, path: Path, request: Request[Any]) -> None:
    connection.connect(str(path))
    connection.sendall(msgspec.json.encode(request) + b"\n")


def _answer_type(request: Request[Any]) -> type:
    (answer,) = get_args(type(request).__orig_bases__[0])  # type: ignore[attr-defined] # typing's own attribute
    return cast("type", answer)


def _read_answer(line: bytes) -> msgspec.Raw:
    answer = msgspec.json.decode(line or b"{}", type=_Answer)
    if isinstance(answer.ok, UnsetType):
        raise OperatorError(answer.error)
    return answer.ok


def _read_line(file: socket.SocketIO) -> bytes:
    """Read a line, and no byte after it."""
    line = b""
    while not line.endswith(b"\n") and (byte := file.read(1)):
        line += byte
    return line
