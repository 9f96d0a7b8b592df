"""What a session's user types: lines for the conversation, or bytes for a line that it is connected to."""

from collections.abc import Awaitable, Iterator
from typing import Final

from telnetsd.telnet.line_discipline import Input, LineDiscipline
from telnetsd.telnet.protocol import NvtProtocol

READ_BYTES: Final = 4096


class TypedInput:
    """One session's input.

    Args:
        protocol: The telnet protocol of the connection.
        line_max_bytes: How long a line may be.
        endless_max_bytes: After how many bytes without a line end the session ends.
    """

    __slots__ = ("_discipline", "_protocol", "_typed_ahead", "line_max_bytes")

    def __init__(self, protocol: NvtProtocol, *, line_max_bytes: int, endless_max_bytes: int) -> None:
        self._protocol = protocol
        self._discipline = LineDiscipline(line_max_bytes=line_max_bytes, endless_max_bytes=endless_max_bytes)
        self._typed_ahead = b""
        self.line_max_bytes = line_max_bytes

    def read(self) -> Awaitable[bytes]:
        """Return the next input; empty at the end.

        Raises:
            OSError: The connection broke.
        """
        # No coroutine of its own: each idle session would keep it.
        if not self._typed_ahead:
            return self._protocol.reader.read(READ_BYTES)
        data, self._typed_ahead = self._typed_ahead, b""
        return _done(data)

    def inputs(self, data: bytes) -> Iterator[Input | None]:
        """Yield the lines and commands in the input; None where other clients should have a turn."""
        return self._discipline.inputs(data)

    def take_rest(self) -> tuple[bytes, bool]:
        """Return the input that is not interpreted yet, and whether the last byte before it was a CR."""
        return self._discipline.take_rest(), self._discipline.is_after_cr

    def give_back(self, data: bytes) -> None:
        """Give back bytes that were not for a line; `read` returns them next."""
        self._typed_ahead = data


async def _done(data: bytes) -> bytes:
    return data
