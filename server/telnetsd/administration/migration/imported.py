"""What was read of another console server's configuration, and how it looks in telnetsd.toml."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from telnetsd.escaping import escape_controls

NAME_MAX_CHARS: Final = 64
NOTE_MAX_CHARS: Final = 500
OPERATORS: Final = ("operator",)
"""Who may use a line whose access list does not carry over."""
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._-]+")

Value = str | int | bool | tuple[str, ...]


@dataclass(slots=True)
class ImportedLine:
    """A line.

    Attributes:
        name: Its name in telnetsd.toml.
        target: Its target.
        settings: Its other keys.
        notes: What does not carry over, each in a sentence.
        is_program: Whether it runs a program, which an operator has to look at first.
    """

    name: str
    target: str
    settings: dict[str, Value] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_program: bool = False


@dataclass(slots=True)
class Imported:
    """A configuration.

    Attributes:
        lines: Its lines.
        roles: The roles that they need, each with its users.
        notes: What does not carry over and belongs to no line.
    """

    lines: list[ImportedLine] = field(default_factory=list)
    roles: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def not_carried_over(self) -> int:
        """How many settings do not carry over."""
        return len(self.notes) + sum(len(line.notes) for line in self.lines)


def line_name(text: str, taken: Collection[str]) -> str:
    """Return a valid name of a line that is not taken, as close to a text as possible."""
    name = _NOT_IN_NAMES.sub("-", text.lower()).lstrip("._-")[:NAME_MAX_CHARS] or "line"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name[: NAME_MAX_CHARS - 1 - len(str(number))]}-{number}"
    return unique


def host_port(host: str, port: int | str) -> str:
    """Return HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def to_toml(imported: Imported) -> Iterator[str]:
    """Yield the rows of telnetsd.toml."""
    yield from _comments(imported.notes)
    for role, users in imported.roles.items():
        yield ""
        yield f"[roles.{role}]"
        yield 'includes = ["user"]'
        yield from _comments([f"its user: telnetsd user change {user} --role {role}" for user in users])
    for line in imported.lines:
        yield ""
        yield from _comments(line.notes)
        # Every user of such a line runs a program here: an operator has to enable it.
        before = "# " if line.is_program else ""
        rows = {"name": line.name, "target": line.target, **line.settings}
        yield from (before + row for row in ["[[line]]", *(f"{key} = {_toml(value)}" for key, value in rows.items())])


def _comments(notes: list[str]) -> Iterator[str]:
    return (f"# {escape_controls(note)[:NOTE_MAX_CHARS]}" for note in notes)


def _toml(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # A JSON string is a TOML string, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
