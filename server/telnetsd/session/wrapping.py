"""Wrapping lines at words for a client that has reported how wide its screen is; a terminal would break the words."""

import re
from collections.abc import Iterator
from typing import Final

from wcwidth import wcswidth

COLUMNS_MIN: Final = 20
"""On a narrower screen, nothing is wrapped."""
_GAP: Final = re.compile(r" {2,}(?=\S)")
_WORD: Final = re.compile(r" *[^ ]+")


def wrap(line: str, columns: int) -> Iterator[str]:
    """Yield the rows of a line: broken between words, and never inside one, which a terminal may still do.

    What follows the last gap of two or more spaces is a column; its further rows begin where it does, if it begins in
    the left half of the screen.

    Args:
        line: One line.
        columns: The width of the screen; less than COLUMNS_MIN: it is not known, or too narrow.
    """
    if columns < COLUMNS_MIN or _width(line) <= columns:
        yield line
        return
    starts = [found.end() for found in _GAP.finditer(line) if _width(line[: found.end()]) <= columns // 2]
    indent = " " * _width(line[: starts[-1]]) if starts else ""
    row, is_begun = line[: starts[-1]] if starts else "", False
    for word in _WORD.findall(line[len(row) :]):
        if is_begun and _width(row + word) > columns:
            yield row
            row = indent + word.lstrip()
        else:
            row += word
        is_begun = True
    yield row


def _width(text: str) -> int:
    """Return how many columns a text takes; a character that a terminal does not show counts as one."""
    width = wcswidth(text)
    return width if width >= 0 else len(text)
