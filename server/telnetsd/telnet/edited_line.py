"""A line that is being edited, without I/O: its text, its cursor, and the row of the screen that shows it.

The row is changed with text, spaces and backspaces alone: every terminal understands them (RFC 854). A line that is
longer than the row is shown in part, around the cursor.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final

from wcwidth import wcwidth

MARGIN_CELLS: Final = 1
"""Cells at the end of the row that stay free: after the last one, terminals differ in where the cursor is."""
SHOWN_MIN_CELLS: Final = 10
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class EditedLine:
    """The text of a line: characters, each with the combining ones after it, and a cursor between two of them."""

    __slots__ = ("_characters", "cursor")

    def __init__(self) -> None:
        self._characters: list[str] = []
        self.cursor = 0

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._characters)

    @property
    def characters(self) -> Sequence[str]:
        """Its characters, from left to right."""
        return self._characters

    @property
    def before(self) -> str:
        """The text before the cursor."""
        return "".join(self._characters[: self.cursor])

    def insert(self, text: str) -> None:
        """Insert text at the cursor, without what cannot be shown."""
        for one in text:
            width = wcwidth(one)
            if width == 0 and self.cursor > 0:
                self._characters[self.cursor - 1] += one
            elif width > 0 or _is_undecoded(one):
                self._characters.insert(self.cursor, one)
                self.cursor += 1

    def replace(self, text: str) -> None:
        """Replace the whole text; the cursor goes to its end."""
        self._characters.clear()
        self.cursor = 0
        self.insert(text)

    def move_to(self, place: int) -> None:
        """Move the cursor to a place between two characters, or to the nearest one that there is."""
        self.cursor = max(0, min(place, len(self._characters)))

    def delete(self, start: int, end: int) -> None:
        """Delete the characters between two places; the cursor goes to the first one."""
        del self._characters[max(0, start) : end]
        self.move_to(start)

    def word_start(self) -> int:
        """Return the place at which the word before the cursor begins."""
        place = self._skip(self.cursor, -1, str.isspace)
        return self._skip(place, -1, lambda one: not one.isspace())

    def word_end(self) -> int:
        """Return the place at which the word after the cursor ends."""
        place = self._skip(self.cursor, 1, str.isspace)
        return self._skip(place, 1, lambda one: not one.isspace())

    def _skip(self, place: int, step: int, is_skipped: Callable[[str], bool]) -> int:
        beside = self._characters[:place][::-1] if step < 0 else self._characters[place:]
        return place + step * len(list(takewhile(is_skipped, beside)))


class Row:
    """What the screen shows of an edited line, after the prompt."""

    __slots__ = ("_cursor", "_first", "_shown")

    def __init__(self) -> None:
        self._first = 0
        self._shown: list[str] = []
        self._cursor = 0

    def forget(self) -> None:
        """Begin an empty row: the cursor of the screen is after the prompt of a new one."""
        self._first = self._cursor = 0
        self._shown = []

    def update(self, line: EditedLine, cells: int) -> str:
        """Return what changes the row to show a line, in a number of cells."""
        self._first, shown = _window(line, self._first, max(cells - MARGIN_CELLS, SHOWN_MIN_CELLS))
        shown = [_visible(one) for one in shown]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._shown, shown, strict=False)))
        cursor = line.cursor - self._first
        if shown == self._shown:
            moves = _move(shown, self._cursor, cursor)
        else:
            surplus = max(0, _cells(self._shown[same:]) - _cells(shown[same:]))
            erased = " " * surplus + "\b" * surplus
            moves = (
                _move(self._shown, self._cursor, same)
                + "".join(shown[same:])
                + erased
                + _move(shown, len(shown), cursor)
            )
        self._shown, self._cursor = shown, cursor
        return moves

    def again(self) -> str:
        """Return what shows the row again, after a prompt."""
        return "".join(self._shown) + _move(self._shown, len(self._shown), self._cursor)


def _window(line: EditedLine, first: int, cells: int) -> tuple[int, list[str]]:
    """Return the first character that is shown, and those that fit; `first` is the one that was shown so far."""
    characters, cursor = line.characters, line.cursor
    first = min(first, cursor)
    while _cells(characters[first:cursor]) > cells:
        # By half a row, so that not every key moves the text.
        first = min(cursor, first + cells // 2)
    shown: list[str] = []
    used = 0
    for one in characters[first:]:
        used += _cells([one])
        if used > cells:
            break
        shown.append(one)
    return first, shown


def _move(shown: Sequence[str], start: int, end: int) -> str:
    """Return what moves the cursor between two places of shown text."""
    return "".join(shown[start:end]) if end >= start else "\b" * _cells(shown[end:start])


def _cells(characters: Sequence[str]) -> int:
    return sum(max(1, wcwidth(one[0])) for one in characters)


def _is_undecoded(one: str) -> bool:
    """Tell whether a character stands for a byte that is not UTF-8 (PEP 383)."""
    return "\udc80" <= one <= "\udcff"


def _visible(character: str) -> str:
    return REPLACEMENT if _is_undecoded(character[0]) else character
