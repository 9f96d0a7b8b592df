"""One page of a terminal's screen, without I/O: its rows, its cursor, and its scroll region."""

from typing import Final

from telnetsd.lines.typed.rows import WIDE_REST, Row, width_of

TAB_COLUMNS: Final = 8


class Page:
    """A page; a screen has two, of which programs that use the whole screen show the alternate one.

    Attributes:
        rows: The rows, as far as any was reached.
        y: The row of the cursor, counted from 0.
        x: The column of the cursor, counted from 0.
        wraps_next: Whether the last column was just written, so that the next character begins the next row.
    """

    __slots__ = ("_bottom", "_saved", "_top", "columns", "height", "rows", "wraps_next", "x", "y")

    def __init__(self, columns: int, height: int) -> None:
        self.columns, self.height = columns, height
        self.rows = [Row()]
        self.y = self.x = 0
        self.wraps_next = False
        self._saved = (0, 0)
        self._top, self._bottom = 0, height - 1

    @property
    def row(self) -> Row:
        """The row of the cursor."""
        return self.rows[self.y]

    def resize(self, columns: int, height: int) -> None:
        """Change the size; the last rows stay."""
        self.columns, self.height = columns, height
        gone = max(0, len(self.rows) - height)
        del self.rows[:gone]
        self._top, self._bottom = 0, height - 1
        self.move_to(self.y - gone, min(self.x, columns - 1))

    # The text of the line on which the cursor is: rows that continue each other.

    def line_rows(self) -> tuple[int, int]:
        """Return the first and the last row of the line."""
        first = last = self.y
        while first > 0 and self.rows[first - 1].continues:
            first -= 1
        while last + 1 < len(self.rows) and self.rows[last].continues:
            last += 1
        return first, last

    def line(self) -> str:
        """Return the line, without spaces at its end."""
        first, last = self.line_rows()
        return "".join(row.text(self.columns) for row in self.rows[first : last + 1]).rstrip()

    def line_to_cursor(self) -> str:
        """Return the line up to the cursor."""
        first, _ = self.line_rows()
        before = "".join(row.text(self.columns) for row in self.rows[first : self.y])
        return before + "".join(self.row.cells[: self.x + (1 if self.wraps_next else 0)])

    def text_at_edge(self, before: str) -> str:
        """Return what the far side shows at the right edge of the line, behind free space; empty if nothing."""
        line = self.line()
        behind = line[len(before) :]
        return behind.strip() if len(line) >= self.columns - 2 and behind.startswith("  ") else ""

    def texts(self) -> list[str]:
        """Return the rows down to the cursor, without spaces at their ends."""
        return [row.text(self.columns).rstrip() for row in self.rows[: self.y + 1]]

    @property
    def is_drawn(self) -> bool:
        """Whether the line was reached by an absolute address: a program draws there."""
        return self.rows[self.line_rows()[0]].is_placed

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
        self.move_to(max(self._top if self.y >= self._top else 0, self.y - count), self.x)

    def move_down(self, count: int) -> None:
        """Move the cursor down, but not out of the scroll region."""
        self.move_to(min(self._bottom if self.y <= self._bottom else self.height - 1, self.y + count), self.x)

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
        if self.y == self._bottom:
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
        if self.y == self._top:
            self.rows.insert(self._top, Row(is_placed=True))
            del self.rows[self._bottom + 1 : self._bottom + 2]
        else:
            self.move_to(self.y - 1, self.x)
        self.wraps_next = False

    def _scroll(self) -> None:
        is_whole = (self._top, self._bottom) == (0, self.height - 1)
        del self.rows[self._top]
        # Where the whole page scrolls, a program writes lines.
        self.rows.insert(self._bottom, Row(is_placed=not is_whole))

    def set_region(self, top: int, bottom: int) -> None:
        """Set the scroll region (DECSTBM)."""
        if top < bottom:
            self._top, self._bottom = top, bottom
        self.move_to(0, 0)
        if (self._top, self._bottom) != (0, self.height - 1):
            self.row.is_placed = True

    def insert_rows(self, count: int) -> None:
        """Insert rows at the cursor (IL)."""
        if not self._top <= self.y <= self._bottom:
            return
        for _ in range(min(count, self._bottom + 1 - self.y)):
            self.rows.insert(self.y, Row(is_placed=True))
            del self.rows[self._bottom + 1 : self._bottom + 2]
        self.move_to(self.y, 0)

    def delete_rows(self, count: int) -> None:
        """Delete rows at the cursor (DL)."""
        if not self._top <= self.y <= self._bottom:
            return
        for _ in range(min(count, self._bottom + 1 - self.y)):
            if len(self.rows) > self._bottom:
                self.rows.insert(self._bottom + 1, Row(is_placed=True))
            del self.rows[self.y : self.y + 1]
        self.move_to(self.y, 0)

    def erase_below(self) -> None:
        """Erase from the cursor to the end of the page (ED 0)."""
        if not self.x and not self.y:
            self.row.is_placed = False  # home and erased: lines are written from here on
        self.row.erase_right(self.x)
        del self.rows[self.y + 1 :]

    def erase_above(self) -> None:
        """Erase from the beginning of the page to the cursor (ED 1)."""
        for row in self.rows[: self.y]:
            row.erase_right(0)
        self.row.erase_left(self.x)

    def erase_all(self) -> None:
        """Erase the whole page (ED 2); the cursor stays."""
        self.rows = [Row() for _ in range(self.y + 1)]

    # Text.

    def write(self, text: str, *, wraps: bool, inserts: bool) -> None:
        """Write printable text at the cursor."""
        if text.isascii():
            self._write_narrow(text, wraps=wraps, inserts=inserts)
            return
        for character in text:
            width = width_of(character)
            if width == 0:
                self.row.combine(self.x if self.wraps_next else self.x - 1, character)
            elif width == 1:
                self._write_narrow(character, wraps=wraps, inserts=inserts)
            else:
                self._write_wide(character, wraps=wraps, inserts=inserts)

    def wrap(self) -> None:
        """Continue the line in the next row."""
        self.row.continues = True
        self.line_feed()
        self.x = 0

    def _write_narrow(self, text: str, *, wraps: bool, inserts: bool) -> None:
        while text:
            if self.wraps_next:
                self.wrap()
            room = self.columns - self.x
            part, text = text[:room], text[room:]
            self._put(list(part), wraps=wraps, inserts=inserts)

    def _write_wide(self, character: str, *, wraps: bool, inserts: bool) -> None:
        if self.wraps_next or (wraps and self.x == self.columns - 1):
            self.wrap()
        self._put([character, WIDE_REST][: self.columns - self.x], wraps=wraps, inserts=inserts)

    def _put(self, cells: list[str], *, wraps: bool, inserts: bool) -> None:
        self.row.write(self.x, cells, self.columns, inserts=inserts)
        self.x += len(cells)
        if self.x >= self.columns:
            self.x = self.columns - 1
            self.wraps_next = wraps
