"""Output of a line as plain text, without I/O: no sequence that controls a terminal is left in it.

A carriage return goes back to the beginning of the line, and a backspace one column back. What is written over or
erased is gone, so that a progress bar is one line. Other movements of the cursor are ignored.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from telnetsd.lines.recordings.terminal_filter import SEQUENCE

LINE_MAX_CHARS: Final = 4096
"""A longer line is continued on the next one: some output has no line ends at all."""
PENDING_MAX_BYTES: Final = 65_536
"""Output without a line end is cut into lines after this much."""
TAB_COLUMNS: Final = 8
_LINE_END: Final = re.compile(r"\r*\n|[\v\f\x85]")
_UNSHOWN: Final = re.compile(r"[\x00-\x07\x0e-\x1f\x7f-\x9f]")
# No text that was decoded from bytes has surrogates.
_ERASE_RIGHT: Final = "\udc00"
_ERASE_ALL: Final = "\udc02"
_ERASURES: Final = {"\x1b[K": _ERASE_RIGHT, "\x1b[0K": _ERASE_RIGHT, "\x1b[2K": _ERASE_ALL}
_CHANGES_LINE: Final = re.compile(rf"[\r\b\t{_ERASE_RIGHT}{_ERASE_ALL}]")


def plain_lines(data: bytes, line_max_chars: int = LINE_MAX_CHARS) -> list[str]:
    """Return the lines of some output; the last one has no line end yet, and may be empty."""
    text = SEQUENCE.sub(lambda one: _ERASURES.get(one[0], ""), data.decode("utf-8", "replace"))
    return [
        piece
        for line in _LINE_END.split(text)
        for piece in _pieces_of(_written(_UNSHOWN.sub("", line)), line_max_chars)
    ]


class TextLines:
    """The lines of output that comes in pieces; a line is complete at its end."""

    def __init__(self, line_max_chars: int = LINE_MAX_CHARS) -> None:
        self._line_max_chars = line_max_chars
        self._pending = b""
        self.is_cut = False
        """Whether the last of the lines goes on in what follows: it was cut, since it has no line end."""

    def feed(self, data: bytes) -> list[str]:
        """Process output, split anywhere, and return the lines that it completes."""
        whole, newline, rest = (self._pending + data).rpartition(b"\n")
        self.is_cut = not newline and len(rest) > PENDING_MAX_BYTES
        if self.is_cut:
            whole, rest = rest, b""
        self._pending = rest
        return plain_lines(whole, self._line_max_chars) if whole or newline else []

    def rest(self) -> str:
        """Return what was shown of a line that is not complete."""
        return "".join(plain_lines(self._pending, self._line_max_chars))


def _written(line: str) -> str:
    """Return a line as it looks in the end."""
    if _CHANGES_LINE.search(line) is None:
        return line
    shown: list[str] = []
    column = 0
    for character in line:
        move = _MOVES.get(character)
        if move is not None:
            column = move(column)
        elif character == _ERASE_RIGHT:
            del shown[column:]
        elif character == _ERASE_ALL:
            shown.clear()
        else:
            shown.extend(" " * (column - len(shown)))
            shown[column : column + 1] = [character]
            column += 1
    return "".join(shown)


def _pieces_of(line: str, max_chars: int) -> Iterator[str]:
    yield line[:max_chars]
    for start in range(max_chars, len(line), max_chars):
        yield line[start : start + max_chars]


_MOVES: Final[dict[str, Callable[[int], int]]] = {
    "\r": lambda _: 0,
    "\b": lambda column: max(0, column - 1),
    "\t": lambda column: column + TAB_COLUMNS - column % TAB_COLUMNS,
}
