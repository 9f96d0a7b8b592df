"""The backlog of a kept-open line, without I/O: what it showed most recently, and when."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telnetsd.lines.recordings.plain_text import plain_lines

CHUNK_BYTES: Final = 4096
"""Output is kept in pieces of about this size: many small ones would take more memory than their bytes."""


@dataclass(frozen=True, slots=True)
class Past:
    """The last lines of a backlog.

    Attributes:
        lines: Whole lines, as plain text.
        current: The line that is not ended yet, such as a prompt.
        since: When the oldest of them was shown (aware, UTC); earlier by no more than the piece it came in.
        until: When the newest output was shown.
        is_all: Whether the backlog has no more.
    """

    lines: list[str]
    current: str
    since: datetime
    until: datetime
    is_all: bool


class Backlog:
    """The last bytes that a line showed.

    Args:
        max_bytes: How many bytes are kept; 0: none.
    """

    __slots__ = ("_is_cut", "_max_bytes", "_pieces", "size", "until")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: deque[tuple[datetime, bytearray]] = deque()
        self._is_cut = False
        self.size = 0
        """How many bytes it has."""
        self.until: datetime | None = None
        """When the newest output was shown; None if there was none."""

    def add(self, data: bytes, at: datetime) -> None:
        """Keep output that was shown at a time (aware, UTC); forget the oldest if there is too much."""
        if not self._max_bytes:
            return
        self.until = at
        self.size += len(data)
        if self._pieces and len(self._pieces[-1][1]) + len(data) <= CHUNK_BYTES:
            self._pieces[-1][1].extend(data)
        else:
            self._pieces.append((at, bytearray(data)))
        while self.size > self._max_bytes:
            self._forget(self.size - self._max_bytes)

    def last(self, count: int | None) -> Past | None:
        """Return the last lines, `None` for all that there are; None if nothing was shown."""
        if not self._pieces or self.until is None:
            return None
        data, since, is_all = self._tail(count)
        *lines, current = plain_lines(data)
        if not is_all or self._is_cut:
            # The first one may be only the end of a line, or of a sequence that controls the terminal.
            lines = lines[1:]
        if count is not None and len(lines) > count:
            lines, is_all = lines[len(lines) - count :], False
        return Past(lines, current, since, self.until, is_all)

    def _tail(self, count: int | None) -> tuple[bytes, datetime, bool]:
        """Return enough pieces for so many lines, and one line more; whether they are all."""
        taken: list[bytearray] = []
        newlines, since = 0, self._pieces[0][0]
        for at, piece in reversed(self._pieces):
            taken.append(piece)
            newlines, since = newlines + piece.count(b"\n"), at
            if count is not None and newlines > count:
                break
        return b"".join(reversed(taken)), since, len(taken) == len(self._pieces)

    def _forget(self, surplus: int) -> None:
        """Forget the oldest bytes: at most `surplus`, and at most one piece."""
        _, oldest = self._pieces[0]
        surplus = min(surplus, len(oldest))
        del oldest[:surplus]
        if not oldest:
            self._pieces.popleft()
        self.size -= surplus
        self._is_cut = True
