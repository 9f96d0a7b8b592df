"""The rows of a terminal's screen, without I/O: cells with characters, and rows that continue in the next one."""

import unicodedata
from functools import lru_cache
from typing import Final

WIDE_REST: Final = ""
"""The content of the second cell of a wide character."""
COMBINED_MAX: Final = 4
"""How many characters one cell may have: further combining characters are dropped."""
_UNSEEN: Final = frozenset("\u200b\u200c\u200d\ufe0e\ufe0f")
_WIDE: Final = frozenset("WF")


@lru_cache(4096)
def width_of(character: str) -> int:
    """Return how many columns a character takes (UAX 11): 0 if it combines with the previous one."""
    if unicodedata.combining(character) or character in _UNSEEN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


class Row:
    """One row of a screen.

    Attributes:
        cells: The characters, as far as any was written.
        continues: Whether its text continues in the next row, because it did not fit.
        is_cut: Whether the row above, which continued in it, is no longer on the screen.
        is_placed: Whether the cursor reached it by an absolute address: a program draws there, and writes no lines.
    """

    __slots__ = ("cells", "continues", "is_cut", "is_placed")

    def __init__(self, *, is_placed: bool = False) -> None:
        self.cells: list[str] = []
        self.continues = self.is_cut = False
        self.is_placed = is_placed

    def text(self, columns: int) -> str:
        """Return its text; if it continues, the columns up to the edge belong to it."""
        text = "".join(self.cells)
        # One free column is left before a wide character that did not fit.
        missing = columns - len(self.cells)
        return text + " " * missing if self.continues and missing > 1 else text

    def write(self, column: int, cells: list[str], columns: int, *, inserts: bool) -> None:
        """Write cells that fit between a column and the edge, over what is there or before it."""
        self._reach(column)
        if inserts:
            self._split_wide(column)
            self.cells[column:column] = cells
            del self.cells[columns:]
            return
        self._split_wide(column)
        self._split_wide(column + len(cells))
        self.cells[column : column + len(cells)] = cells

    def combine(self, column: int, character: str) -> None:
        """Add a combining character to the one in a column."""
        if not 0 <= column < len(self.cells):
            return
        if self.cells[column] == WIDE_REST and column:
            column -= 1
        if len(self.cells[column]) < COMBINED_MAX:
            self.cells[column] += character

    def erase_right(self, column: int) -> None:
        """Erase from a column to the edge."""
        self._split_wide(column)
        del self.cells[column:]
        self.continues = False

    def erase_left(self, column: int) -> None:
        """Erase up to a column, and that one."""
        self._split_wide(column + 1)
        self.cells[: column + 1] = [" "] * (column + 1)

    def erase(self, column: int, count: int) -> None:
        """Erase some columns."""
        end = min(column + count, len(self.cells))
        if column < end:
            self._split_wide(column)
            self._split_wide(end)
            self.cells[column:end] = [" "] * (end - column)

    def insert_blanks(self, column: int, count: int, columns: int) -> None:
        """Move what is at a column and right of it to the right."""
        if column < len(self.cells):
            self._split_wide(column)
            self.cells[column:column] = [" "] * min(count, columns)
            del self.cells[columns:]

    def delete(self, column: int, count: int) -> None:
        """Remove some columns: what is right of them moves to the left."""
        self._split_wide(column)
        self._split_wide(column + count)
        del self.cells[column : column + count]

    def _reach(self, column: int) -> None:
        if len(self.cells) < column:
            self.cells.extend(" " * (column - len(self.cells)))

    def _split_wide(self, column: int) -> None:
        """Blank a wide character of which a column has the second half."""
        if 0 < column < len(self.cells) and self.cells[column] == WIDE_REST:
            self.cells[column - 1] = self.cells[column] = " "
