"""The position of a value in the text of `telnetsd.toml`: tomllib does not report it.

A value inside an array, an inline table or a multi-line string has the position of what contains it.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

Position = tuple[str | int | None, ...]
"""Where a value is in the tree: keys, indexes into arrays of tables, and None for an unknown key."""
_HEADER: Final = re.compile(r"\s*(?P<open>\[{1,2})(?P<keys>[^\[\]]+)\]{1,2}\s*(#.*)?")
_KEY: Final = re.compile(r"\s*(?P<keys>[^\s=#\[\]\"'][^=#\[\]]*|\"[^\"]*\"|'[^']*')\s*=")


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of a configuration, and the name of its file."""

    text: str
    file_name: str

    def place_of(self, position: Position) -> str:
        """Return the position of a value, as `telnetsd.toml line 3`."""
        line = _line_of(position, self.text)
        return self.file_name if line is None else f"{self.file_name} line {line}"


def _line_of(path: Position, text: str) -> int | None:
    """Return the line number of a value, or of what contains it; None if it is unknown, or if there are several."""
    found = list(_positions(text))
    for length in range(len(path), 0, -1):
        lines = {line for one, line in found if _is_same(one, path[:length])}
        if lines:
            return lines.pop() if len(lines) == 1 else None
    return None


def _is_same(one: Position, wanted: Position) -> bool:
    return len(one) == len(wanted) and all(b is None or a == b for a, b in zip(one, wanted, strict=True))


def _positions(text: str) -> Iterator[tuple[Position, int]]:
    """Yield the path and the number of each line that opens a table or sets a key."""
    table: Position = ()
    counts: dict[Position, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _resolve(_split(header["keys"]), counts)
            if header["open"] == "[[":
                counts[table] = counts.get(table, 0) + 1
                table = (*table, counts[table] - 1)
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_split(key["keys"])), number


def _resolve(keys: tuple[str, ...], counts: dict[Position, int]) -> Position:
    """Insert the indexes: a table below an array of tables belongs to the array's last table."""
    path: Position = ()
    for key in keys:
        if path in counts:
            path = (*path, counts[path] - 1)
        path = (*path, key)
    return path


def _split(keys: str) -> tuple[str, ...]:
    """Split a dotted key, whose parts may be quoted."""
    try:
        tree = tomllib.loads(f"{keys} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts: list[str] = []
    while isinstance(tree, dict):
        [(key, tree)] = tree.items()
        parts.append(key)
    return tuple(parts)
