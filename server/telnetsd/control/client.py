"""A command-line verb's end of the operator's socket."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from telnetsd.control.messages import TIMEOUT_S, WATCH, Request
from telnetsd.errors import OperatorError

_SHOWN_BYTES: Final = 65536


def watch(path: Path, session_id: str) -> Iterator[bytes]:
    """Yield what a session is shown, as it comes, until it is over.

    Raises:
        OperatorError: No server runs on this home folder, or it says no.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(Request(WATCH, session_id)) + b"\n")
        except OSError as error:
            raise OperatorError(f"no server answers at {path}; start it: telnetsd serve") from error
        with connection.makefile("rb", buffering=0) as file:
            answer = msgspec.json.decode(_read_line(file))
            if "error" in answer:
                raise OperatorError(answer["error"])
            while data := file.read(_SHOWN_BYTES):
                yield data


def _read_line(file: socket.SocketIO) -> bytes:
    """Read a line, and not a byte behind it."""
    line = b""
    while not line.endswith(b"\n") and (byte := file.read(1)):
        line += byte
    return line or b"{}"


def ask(path: Path, verb: str, session_id: str = "") -> Any:  # noqa: ANN401 -- the answer's JSON
    """Ask the running server.

    Returns: What stands behind `ok` in its answer.
    Raises:
        OperatorError: No server runs on this home folder, or it says no.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(Request(verb, session_id)) + b"\n")
            with connection.makefile("rb") as file:
                answer = msgspec.json.decode(file.readline())
    except PermissionError as error:
        raise OperatorError(f"not allowed to open {path}; run this as the user that runs the server") from error
    except (OSError, msgspec.DecodeError) as error:
        raise OperatorError(f"no server answers at {path}; start it: telnetsd serve") from error
    if "error" in answer:
        raise OperatorError(answer["error"])
    return answer["ok"]
