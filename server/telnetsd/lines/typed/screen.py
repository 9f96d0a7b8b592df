"""What a terminal shows of a line's output, without I/O: as much of ECMA-48 and xterm as shells and equipment use.

It reads untrusted output. Whatever is in it, the screen stays within its size.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Final

from telnetsd.lines.typed.changes import delete_rows, erase_above, erase_all, erase_below, insert_rows
from telnetsd.lines.typed.page import Page
from telnetsd.lines.typed.tokens import TokenReader
from telnetsd.lines.typed.writing import repeat, write

COLUMNS_MAX: Final = 500
ROWS_MAX: Final = 100
PARAMETER_MAX: Final = 9999
ALTERNATE_MODES: Final = frozenset({"47", "1047", "1049"})
"""DEC private modes that show the alternate page (xterm)."""
WRAP_MODE: Final = "7"
PASTE_MODE: Final = "2004"
"""Bracketed paste: line editors switch it on while they read a line."""
_LINE_ENDS: Final = frozenset("\n\v\f")
_INSERT_MODE: Final = 4


class Moment(Enum):
    """A moment at which the screen has something to look at, before it changes."""

    LINE_ENDS = auto()
    """The cursor leaves its line for the next one."""
    EDITING_ENDS = auto()
    """Bracketed paste is switched off: an editor has accepted the line."""
    PAGE_CHANGES = auto()
    """The alternate page was shown or hidden."""


class Screen:
    """A screen.

    Args:
        columns: The number of columns; cut to COLUMNS_MAX.
        rows: The number of rows; cut to ROWS_MAX.

    Attributes:
        page: The page that is shown.
        has_paste_mode: Whether bracketed paste is on.
        written: How many characters were written so far.
        is_full_width: Whether a CR came after the last column was written: the next line may continue this one.
    """

    __slots__ = (
        "_inserts",
        "_joins_next",
        "_last",
        "_main",
        "_tokens",
        "_wraps",
        "has_paste_mode",
        "is_full_width",
        "page",
        "written",
    )

    def __init__(self, columns: int, rows: int) -> None:
        self._tokens = TokenReader()
        self.page = Page(*_bounded(columns, rows))
        self._main: Page | None = None
        self._last = " "
        self.written = 0
        self._wraps, self._inserts, self.has_paste_mode = True, False, False
        self.is_full_width = self._joins_next = False

    @property
    def is_alternate(self) -> bool:
        """Whether the alternate page is shown."""
        return self._main is not None

    def resize(self, columns: int, rows: int) -> None:
        """Change the size."""
        for page in (self.page, self._main):
            if page is not None:
                page.resize(*_bounded(columns, rows))

    def join_next_line(self) -> None:
        """Take the line end that is about to come as a wrap; call this at LINE_ENDS."""
        self._joins_next = True

    def feed(self, data: bytes) -> Iterator[Moment]:
        """Process output, split anywhere; the caller looks at the screen at each moment that it yields."""
        for token in self._tokens.feed(data):
            kind = token.lastgroup
            if kind == "text":
                self._write(token[0])
            elif kind == "control":
                yield from self._control(token[0])
            elif kind == "final":
                yield from self._sequence(token)
            elif kind == "escape":
                yield from self._escape(token[0][1])

    def _write(self, text: str) -> None:
        self.is_full_width = False
        self.written += len(text)
        write(self.page, text, wraps=self._wraps, inserts=self._inserts)
        self._last = text[-1]

    def _control(self, control: str) -> Iterator[Moment]:
        if control in _LINE_ENDS:
            yield from self._end_line()
        elif control == "\r":
            self.is_full_width = self.is_full_width or self.page.wraps_next
            self.page.move_to(self.page.y, 0)
        elif control == "\b":
            self.page.move_to(self.page.y, self.page.x - 1)
        elif control == "\t":
            self.page.tab(1)
        elif control == "\x85":
            yield from self._end_line()
            self.page.move_to(self.page.y, 0)

    def _end_line(self) -> Iterator[Moment]:
        yield Moment.LINE_ENDS
        joins, self._joins_next = self._joins_next, False
        self.is_full_width = False
        if joins:
            self.page.wrap()
        else:
            self.page.end_line()

    def _escape(self, final: str) -> Iterator[Moment]:
        if final == "E":
            yield from self._end_line()
            self.page.move_to(self.page.y, 0)
        elif final == "c":
            yield from self._show_page(is_alternate=False)
            self.page = Page(self.page.columns, self.page.height)
            self._wraps, self._inserts = True, False
        else:
            change = _ESCAPES.get(final)
            if change is not None:
                change(self.page)

    def _sequence(self, token: re.Match[str]) -> Iterator[Moment]:
        parameters, final = token["parameters"], token["final"]
        if token["intermediates"] or final == "m":
            return
        if parameters.startswith(("<", "=", ">", "?")):
            if parameters.startswith("?") and final in "hl":
                for mode in parameters[1:].split(";"):
                    yield from self._set_mode(mode, is_on=final == "h")
            return
        numbers = [_number(one) for one in parameters.split(";")] if parameters else [0]
        if final in "hl" and numbers[0] == _INSERT_MODE:
            self._inserts = final == "h"
        elif final == "b":
            repeat(self.page, self._last, max(1, numbers[0]))
        else:
            change = _SEQUENCES.get(final)
            if change is not None:
                change(self.page, numbers)

    def _set_mode(self, mode: str, *, is_on: bool) -> Iterator[Moment]:
        if mode in ALTERNATE_MODES:
            yield from self._show_page(is_alternate=is_on)
        elif mode == PASTE_MODE:
            if self.has_paste_mode and not is_on:
                yield Moment.EDITING_ENDS
            self.has_paste_mode = is_on
        elif mode == WRAP_MODE:
            self._wraps = is_on

    def _show_page(self, *, is_alternate: bool) -> Iterator[Moment]:
        if is_alternate == self.is_alternate:
            return
        if self._main is None:
            self._main, self.page = self.page, Page(self.page.columns, self.page.height)
        else:
            self.page, self._main = self._main, None
        yield Moment.PAGE_CHANGES


def _bounded(columns: int, rows: int) -> tuple[int, int]:
    return min(max(columns, 2), COLUMNS_MAX), min(max(rows, 2), ROWS_MAX)


def _number(text: str) -> int:
    return min(int(text[:5]), PARAMETER_MAX) if text.isdecimal() else 0


def _second(numbers: list[int]) -> int:
    return numbers[1] if len(numbers) > 1 else 0


def _erase_in_line(page: Page, numbers: list[int]) -> None:
    if numbers[0] == 0:
        page.row.erase_right(page.x)
    elif numbers[0] == 1:
        page.row.erase_left(page.x)
    else:
        page.row.erase_right(0)


def _erase_in_page(page: Page, numbers: list[int]) -> None:
    if numbers[0] == 0:
        erase_below(page)
    elif numbers[0] == 1:
        erase_above(page)
    else:
        erase_all(page)


def _move_row(page: Page, count: int) -> None:
    """Move to the beginning of a row below, or above if the count is negative."""
    page.move_down(count) if count > 0 else page.move_up(-count)
    page.move_to(page.y, 0)


def _set_region(page: Page, numbers: list[int]) -> None:
    bottom = _second(numbers) or page.height
    page.set_region(max(1, numbers[0]) - 1, min(bottom, page.height) - 1)


_ESCAPES: Final[dict[str, Callable[[Page], None]]] = {
    "7": Page.save_cursor,
    "8": Page.restore_cursor,
    "D": Page.line_feed,
    "M": Page.reverse_line_feed,
}


def _counted(change: Callable[[Page, int], None]) -> Callable[[Page, list[int]], None]:
    """Return a sequence with one parameter: a count, of which 0 means 1."""
    return lambda page, numbers: change(page, max(1, numbers[0]))


_left: Final = _counted(lambda page, count: page.move_to(page.y, page.x - count))
_right: Final = _counted(lambda page, count: page.move_to(page.y, page.x + count))
_down: Final = _counted(Page.move_down)
_column: Final = _counted(lambda page, count: page.move_to(page.y, count - 1))
_address: Final = _counted(lambda page, count: page.place(count - 1, page.x))

_SEQUENCES: Final[dict[str, Callable[[Page, list[int]], None]]] = {
    "A": _counted(Page.move_up),
    "B": _down,
    "e": _down,
    "C": _right,
    "a": _right,
    "D": _left,
    "E": _counted(_move_row),
    "F": _counted(lambda page, count: _move_row(page, -count)),
    "G": _column,
    "`": _column,
    "H": lambda page, numbers: page.place(numbers[0] - 1, _second(numbers) - 1),
    "f": lambda page, numbers: page.place(numbers[0] - 1, _second(numbers) - 1),
    "d": _address,
    "I": _counted(lambda page, count: page.tab(count)),
    "Z": _counted(lambda page, count: page.tab(-count)),
    "J": _erase_in_page,
    "K": _erase_in_line,
    "@": _counted(lambda page, count: page.row.insert_blanks(page.x, count, page.columns)),
    "P": _counted(lambda page, count: page.row.delete(page.x, count)),
    "X": _counted(lambda page, count: page.row.erase(page.x, count)),
    "L": _counted(insert_rows),
    "M": _counted(delete_rows),
    "r": _set_region,
    "s": lambda page, _: page.save_cursor(),
    "u": lambda page, _: page.restore_cursor(),
}
"""What the control sequences that move or change something do, by their final character."""
