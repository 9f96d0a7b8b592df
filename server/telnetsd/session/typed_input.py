"""What a session's user types: lines for the conversation, or bytes for a line that it is connected to.

A client edits its lines itself, unless it has agreed that the server echoes each key: then the server edits them.
"""

from collections.abc import Awaitable, Iterator, Sequence
from typing import Final

from telnetsd.telnet.line_discipline import Input, LineDiscipline
from telnetsd.telnet.line_editor import EditingContext, LineEditor, WordAsked
from telnetsd.telnet.protocol import NvtProtocol

READ_BYTES: Final = 4096


class TypedInput:
    """One session's input.

    Args:
        protocol: The telnet protocol of the connection.
        context: What surrounds a line that the server edits.
        line_max_bytes: How long a line may be.
        endless_max_bytes: After how many bytes without a line end the session ends.
    """

    __slots__ = (
        "_context", "_discipline", "_editor", "_endless_max_bytes", "_protocol", "_typed_ahead", "line_max_bytes",
    )  # fmt: skip

    def __init__(
        self, protocol: NvtProtocol, context: EditingContext, *, line_max_bytes: int, endless_max_bytes: int
    ) -> None:
        self._protocol = protocol
        self._context = context
        self._discipline = LineDiscipline(line_max_bytes=line_max_bytes, endless_max_bytes=endless_max_bytes)
        self._editor: LineEditor | None = None
        """Created for the first key that the server edits: most clients edit by themselves."""
        self._typed_ahead = b""
        self.line_max_bytes = line_max_bytes
        self._endless_max_bytes = endless_max_bytes

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

    def inputs(self, data: bytes) -> Iterator[Input | WordAsked | None]:
        """Yield the lines and commands in the input; None where other clients should have a turn."""
        if not self._protocol.agreement.is_echoing:
            yield from self._discipline.inputs(data)
            return
        if self._editor is None:
            self._editor = LineEditor(
                self._context, line_max_bytes=self.line_max_bytes, endless_max_bytes=self._endless_max_bytes
            )
        for one in self._editor.inputs(data):
            self._show(self._editor)
            yield one
        self._show(self._editor)

    def complete(self, words: Sequence[str]) -> None:
        """Answer a `WordAsked` with the words that may be meant."""
        if self._editor is not None:
            self._editor.complete(words)
            self._show(self._editor)

    @property
    def shown(self) -> str:
        """What the screen shows of a line that the server edits; empty if the client edits it."""
        return self._editor.shown if self._editor is not None else ""

    def take_rest(self) -> tuple[bytes, bool]:
        """Return the input that is not interpreted yet, and whether the last byte before it was a CR."""
        if self._protocol.agreement.is_echoing and self._editor is not None:
            return self._editor.keys.take_rest(), self._editor.keys.is_after_cr
        return self._discipline.take_rest(), self._discipline.is_after_cr

    def give_back(self, data: bytes) -> None:
        """Give back bytes that were not for a line; `read` returns them next."""
        self._typed_ahead = data

    def _show(self, editor: LineEditor) -> None:
        output = editor.take_output()
        if output:
            self._protocol.writer.write(output.encode("utf-8", "replace"))


async def _done(data: bytes) -> bytes:
    return data
