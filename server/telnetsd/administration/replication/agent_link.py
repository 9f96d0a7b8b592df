"""A connection to the agent of this node: that of the server that runs here, else one that is started for it.

The agent knows the engine; a process that makes a change knows only this connection, and no event loop.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar, cast, get_args

import msgspec

from telnetsd.administration.replication.agent_messages import AgentAnswer, AgentRequest
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home

TIMEOUT_S: Final = 30.0
"""How long an answer may take: longer than the agent itself waits for the engine."""
_END_S: Final = 5.0
A = TypeVar("A")


class FleetRefusedError(OperatorError):
    """The fleet refuses a change: it does not count, and never will."""


class OutcomeUnknownError(OperatorError):
    """Whether a change counts is not known yet."""


class AgentLink:
    """A connection to the agent.

    Args:
        connection: The socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(TIMEOUT_S)
        self._connection = connection
        self._file = connection.makefile("rb")

    def ask(self, request: AgentRequest[A]) -> A:
        """Ask the agent, and return its answer.

        Raises:
            FleetRefusedError: It refuses.
            OutcomeUnknownError: It does not know, or it is gone.
        """
        try:
            self._connection.sendall(msgspec.json.encode(request) + b"\n")
            line = self._file.readline()
        except OSError:
            line = b""
        try:
            answer = msgspec.json.decode(line, type=AgentAnswer)
        except msgspec.MsgspecError:
            raise OutcomeUnknownError("the fleet's agent does not answer; see: telnetsd fleet status") from None
        if answer.is_unknown:
            raise OutcomeUnknownError(answer.error)
        if answer.error:
            raise FleetRefusedError(answer.error)
        return cast("A", msgspec.json.decode(answer.ok, type=_answer_type(request)))

    def close(self) -> None:
        """End the connection, and with it the turn."""
        self._file.close()
        self._connection.close()


@contextmanager
def linked(home: Home) -> Iterator[AgentLink]:
    """Connect to the agent of the server that runs on a home folder, or start one for as long as the block lasts.

    Raises:
        OperatorError: The agent cannot be started.
    """
    with contextlib.ExitStack() as to_close:
        connection = _connect(home) or to_close.enter_context(_started(home))
        link = AgentLink(connection)
        to_close.callback(link.close)
        yield link


def _connect(home: Home) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(home.fleet_socket))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        where = home.shown(home.fleet_socket)
        raise OperatorError(f"cannot open {where}: {error.strerror}; run this as the server's user") from error
    return connection


@contextmanager
def _started(home: Home) -> Iterator[socket.socket]:
    """Start an agent, which ends with the connection."""
    ours, theirs = socket.socketpair()
    command = (sys.executable, "-P", "-m", "telnetsd", "--home", str(home.root), "fleet", "agent", "--once")
    with theirs:
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603 -- our own program
    try:
        yield ours
    finally:
        ours.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answer_type(request: AgentRequest[A]) -> type:
    (answer,) = get_args(type(request).__orig_bases__[0])  # type: ignore[attr-defined] # typing's own attribute
    return cast("type", answer)
