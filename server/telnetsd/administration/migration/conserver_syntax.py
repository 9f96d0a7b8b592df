"""The syntax of conserver.cf (conserver.cf(5), PARSER), without I/O: named blocks of keywords with values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from telnetsd.errors import OperatorError

_PIECES: Final = re.compile(
    r'(?P<include>^#include[^\n]*)|#[^\n]*|(?P<token>[{};])|"(?:\\"|[^"])*"|\\.|\s+|.', re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Item:
    """A keyword with its value; the value of the last of several equal keywords does not always count alone."""

    keyword: str
    value: str
    row: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its type (such as console), its name, and its items in order."""

    kind: str
    name: str
    items: tuple[Item, ...]
    row: int


@dataclass(frozen=True, slots=True)
class Include:
    """A statement that another file is part of this one."""

    file: str


class _Statement:
    """The text up to a token: its first word, and the rest; whitespace counts only where it is not quoted."""

    def __init__(self, row: int) -> None:
        self.first = self.rest = self.end = ""
        self.row = row
        self._has_gap = False

    def add_text(self, text: str, row: int) -> None:
        """Add text without its quoting."""
        if not self.first:
            self.row = row
        if self._has_gap:
            self.rest += text
        else:
            self.first += text

    def add_space(self, space: str) -> None:
        """Add whitespace, which ends the first word, and is a part of the rest."""
        self._has_gap = bool(self.first)
        self.rest += space if self.rest else ""


def parse(text: str) -> Iterator[Block | Include]:
    """Yield the blocks of a file.

    Raises:
        OperatorError: A row is not valid.
    """
    block: list[Item] | None = None
    kind, name, begun = "", "", 0
    for part in _statements(text):
        if isinstance(part, Include):
            yield part
        elif part.end == "{" and block is None:
            block, kind, name, begun = [], part.first.lower(), part.rest, part.row
        elif part.end == "}" and block is not None and not part.first:
            yield Block(kind, name, tuple(block), begun)
            block = None
        elif part.end == ";" and block is not None:
            block.append(Item(part.first.lower(), part.rest, part.row))
        else:
            raise OperatorError(f"conserver.cf, row {part.row}: unexpected {part.end or 'end of the file'!r}")
    if block is not None:
        raise OperatorError(f"conserver.cf, row {begun}: the block {name!r} has no end")


def _statements(text: str) -> Iterator[_Statement | Include]:
    """Cut a file at its tokens."""
    row, statement = 1, _Statement(1)
    for piece in _PIECES.finditer(text):
        found = piece[0]
        if piece["include"] is not None:
            yield Include(found.removeprefix("#include").strip())
        elif piece["token"] is not None:
            statement.end, statement.rest = found, statement.rest.strip()
            yield statement
            statement = _Statement(row)
        elif found.isspace():
            statement.add_space(found)
        elif not found.startswith("#"):
            statement.add_text(_unquoted(found), row)
        row += found.count("\n")
    if statement.first:
        yield statement


def _unquoted(piece: str) -> str:
    if piece.startswith("\\"):
        return piece[1:]
    return piece[1:-1].replace('\\"', '"') if len(piece) > 1 else piece
