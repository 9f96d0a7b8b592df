"""What the server and its own client say to each other beyond telnet.

Both know by ALPN (RFC 7301) that the other one is telnetsd. `telnetsd connect` speaks telnet, in which the server
sends messages as subnegotiations of a private option. `telnetsd run` sends one request, and the server answers with
messages; request and messages are JSON, one a line. Neither makes a difference to identity, roles or the audit log.
"""

from enum import StrEnum
from typing import Final

import msgspec

OPTION: Final = b"\xd6"
"""The telnet option of the messages: IANA has assigned none between 141 and 254."""
REQUEST_MAX_BYTES: Final = 65_536
MESSAGE_MAX_BYTES: Final = 2048
"""The longest message that is sent as a subnegotiation."""
SENTENCE_MAX_CHARS: Final = 400
REFUSED: Final = "refused"
"""The reason of a `SessionOver` if there was no session at all."""


class OwnClient(StrEnum):
    """Which program of ours the client is: its ALPN protocol."""

    CONNECT = "telnetsd/1"
    RUN = "telnetsd-run/1"


class RunRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A command line, and the lines that answer its questions."""

    line: str
    answers: list[str] = []


class Output(msgspec.Struct, tag="output"):
    """What the command shows: whole lines, each with its line end."""

    text: str


class Notice(msgspec.Struct, tag="notice"):
    """What the server says beside the command's output."""

    text: str


class OnLine(msgspec.Struct, tag="line"):
    """The session is connected to a line; or no longer, if the name is empty."""

    name: str


class SessionOver(msgspec.Struct, tag="over"):
    """The last message: why the session ends.

    Attributes:
        reason: The word of the log; that of the command, if it was denied or failed.
        sentence: The same for a person; empty if the screen has it already.
        is_by_user: Whether the user has ended it.
        exit_status: That of the command of a `RunRequest`.
    """

    reason: str
    sentence: str = ""
    is_by_user: bool = False
    exit_status: int = 0


Message = Output | Notice | OnLine | SessionOver
_encode: Final = msgspec.json.Encoder().encode
_messages: Final = msgspec.json.Decoder(Message)
_requests: Final = msgspec.json.Decoder(RunRequest)


def encode(message: Message | RunRequest) -> bytes:
    """Return a message or a request as JSON, on one line."""
    return _encode(message)


def decode_message(data: bytes) -> Message:
    """Parse a message.

    Raises:
        ValueError: It is none.
    """
    try:
        return _messages.decode(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def decode_request(data: bytes) -> RunRequest:
    """Parse a request.

    Raises:
        ValueError: It is none, or a line in it has a control character.
    """
    try:
        request = _requests.decode(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not all(line.isprintable() for line in (request.line, *request.answers)):
        raise ValueError("a control character")
    return request
