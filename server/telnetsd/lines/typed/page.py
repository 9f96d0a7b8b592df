"""One page of a terminal's screen, without I/O: its rows, its cursor, and its scroll region.

`page_text` reads it, `writing` writes text to it, and `changes` inserts, deletes and erases rows.
"""

from typing import Final

from telnetsd.lines.typed.rows import Row

TAB_COLUMNS: Final = 8


class Page:
    """A page; a screen has two, of which programs that use the whole screen show the alternate one.

    Attributes:
        rows: The rows, as far as any was reached.
        y: The row of the cursor, counted from 0.
        x: The column of the cursor, counted from 0.
        wraps_next: Whether the last column was just written, so that the next character begins the next row.
        top: The first row of the scroll region.
        bottom: The last row of the scroll region.
    """

    __slots__ = ("_saved", "bottom", "columns", "height", "rows", "top", "wraps_next", "x", "y")

    def __init__(self, columns: int, height: int) -> None:
        self.columns, self.height = columns, height
        self.rows = [Row()]
        self.y = self.x = 0
        self.wraps_next = False
        self._saved = (0, 0)
        self.top, self.bottom = 0, height - 1

    @property
    def row(self) -> Row:
        """The row of the cursor."""
        return self.rows[self.y]

    def resize(self, columns: int, height: int) -> None:
        """Change the size; the last rows stay."""
        self.columns, self.height = columns, height
        gone = max(0, len(self.rows) - height)
        if gone and self.rows[gone - 1].continues:
            self.rows[gone].is_cut = True
        del self.rows[:gone]
        self.top, self.bottom = 0, height - 1
        self.move_to(self.y - gone, min(self.x, columns - 1))

    # Movements of the cursor.

    def move_to(self, y: int, x: int) -> None:
        """Move the cursor, as far as the page reaches."""
        self.y, self.x = min(max(y, 0), self.height - 1), min(max(x, 0), self.columns - 1)
        self.wraps_next = False
        while len(self.rows) <= self.y:
            self.rows.append(Row())

    def place(self, y: int, x: int) -> None:
        """Move the cursor to an absolute address."""
        self.move_to(y, x)
        self.row.is_placed = True

    def move_up(self, count: int) -> None:
        """Move the cursor up, but not out of the scroll region."""
        self.move_to(max(self.top if self.y >= self.top else 0, self.y - count), self.x)

    def move_down(self, count: int) -> None:
        """Move the cursor down, but not out of the scroll region."""
        self.move_to(min(self.bottom if self.y <= self.bottom else self.height - 1, self.y + count), self.x)

    def tab(self, count: int) -> None:
        """Move the cursor to a later tab stop, or an earlier one if the count is negative."""
        stop = self.x // TAB_COLUMNS if count > 0 else -(-self.x // TAB_COLUMNS)
        self.move_to(self.y, (stop + count) * TAB_COLUMNS)

    def save_cursor(self) -> None:
        """Keep the place of the cursor (DECSC)."""
        self._saved = (self.y, self.x)

    def restore_cursor(self) -> None:
        """Return to the kept place (DECRC)."""
        self.move_to(*self._saved)

    # Changes of rows.

    def line_feed(self) -> None:
        """Move the cursor one row down, and scroll at the end of the scroll region (IND)."""
        self.wraps_next = False
        if self.y == self.bottom:
            self._scroll()
        elif self.y < self.height - 1:
            is_placed = self.row.is_placed
            self.move_to(self.y + 1, self.x)
            self.row.is_placed = is_placed

    def end_line(self) -> None:
        """Move the cursor to the next row, which begins another line unless it continues this one already."""
        following = self.rows[self.y + 1 : self.y + 2]
        if not following or not following[0].cells:
            self.row.continues = False
        self.line_feed()

    def reverse_line_feed(self) -> None:
        """Move the cursor one row up, and scroll back at the beginning of the scroll region (RI)."""
        if self.y == self.top:
            self.rows.insert(self.top, Row(is_placed=True))
            del self.rows[self.bottom + 1 : self.bottom + 2]
        else:
            self.move_to(self.y - 1, self.x)
        self.wraps_next = False

    def _scroll(self) -> None:
        is_whole = (self.top, self.bottom) == (0, self.height - 1)
        if self.rows[self.top].continues and self.top + 1 < len(self.rows):
            self.rows[self.top + 1].is_cut = True
        del self.rows[self.top]
        # Where the whole page scrolls, a program writes lines.
        self.rows.insert(self.bottom, Row(is_placed=not is_whole))

    def set_region(self, top: int, bottom: int) -> None:
        """Set the scroll region (DECSTBM)."""
        if top < bottom:
            self.top, self.bottom = top, bottom
        self.move_to(0, 0)
        if (self.top, self.bottom) != (0, self.height - 1):
            self.row.is_placed = True

    def wrap(self) -> None:
        """Continue the line in the next row."""
        self.row.continues = True
        self.line_feed()
        self.x = 0
