"""The text of a recording, in blocks of lines for the index, without I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.recordings.plain_text import TextLines

PATTERN_MAX_CHARS: Final = 200
"""A longer pattern might be cut where a long line is."""
LINE_KEPT_CHARS: Final = 262_144
"""More than a line can have: output without a line end is cut before."""
BLOCK_CHARS: Final = 4096
BLOCK_MAX_S: Final = 60.0
"""How much text, and which time, a block covers: blocks are searched from the newest to the oldest."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text that a recording shows.

    Attributes:
        offset_s: When its end was shown, in seconds from the beginning of the recording.
        writer: Who wrote to the line then; empty if no session did.
        text: The text, without sequences that control a terminal.
    """

    offset_s: float
    writer: str
    text: str


Block = list[TextLine]


class TextOfRecording:
    """Turns the output of a recording into lines of text."""

    def __init__(self) -> None:
        self._lines = TextLines(LINE_KEPT_CHARS)
        self._overlap = ""
        self._last = TextLine(0.0, "", "")

    def feed(self, data: bytes, offset_s: float, writer: str) -> Iterator[TextLine]:
        """Process output that was shown at a time, and yield the lines that it completes."""
        self._last = TextLine(offset_s, writer, "")
        pieces = self._lines.feed(data)
        for number, text in enumerate(pieces, 1):
            whole = self._overlap + text
            # What may be the beginning of a match is in the next piece as well.
            is_cut = self._lines.is_cut and number == len(pieces)
            self._overlap = whole[1 - PATTERN_MAX_CHARS :] if is_cut else ""
            if whole.strip():
                yield TextLine(offset_s, writer, whole)

    def rest(self) -> Iterator[TextLine]:
        """Yield the line that is not complete, if there is one."""
        text = self._overlap + self._lines.rest()
        if text.strip():
            yield TextLine(self._last.offset_s, self._last.writer, text)


def blocks_of(lines: Iterable[TextLine]) -> Iterator[Block]:
    """Gather lines into blocks, each with one writer."""
    block: Block = []
    size = 0
    for line in lines:
        if block and (
            size + len(line.text) > BLOCK_CHARS
            or line.writer != block[0].writer
            or line.offset_s - block[0].offset_s > BLOCK_MAX_S
        ):
            yield block
            block, size = [], 0
        block.append(line)
        size += len(line.text)
    if block:
        yield block
