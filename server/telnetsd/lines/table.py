"""The lines of this server, and the single place that decides which user may connect to which line."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from telnetsd.config.settings import LineSettings
from telnetsd.errors import OperatorError, PeerError
from telnetsd.escaping import escape
from telnetsd.events.reason import CommandReason, LineReason
from telnetsd.lines.kinds.kind import LineKind, Target
from telnetsd.lines.kinds.table import parse_target
from telnetsd.lines.patterns import compile_pattern, require_specific

NAME_MAX_CHARS = 64


class LineDeniedError(PeerError):
    """A user may not use a line; the message is for the user, `.reason` for the log."""

    def __init__(self, reason: CommandReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LineError(PeerError):
    """A session is not connected to a line; the message is for the user, `.reason` for the log."""

    def __init__(self, reason: LineReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its settings from the configuration, and its target."""

    settings: LineSettings
    of_kind: LineKind
    target: Target

    @property
    def name(self) -> str:
        """The line's name, as users see it."""
        return self.settings.name

    @property
    def kind(self) -> str:
        """The kind of its target, in one word."""
        return self.of_kind.name


class LineTable:
    """Every line, by name.

    Args:
        settings: The `[[line]]` entries.
        root: The home folder.

    Raises:
        OperatorError: A line is invalid, or two are alike; the message names it.
    """

    def __init__(self, settings: Iterable[LineSettings], root: Path) -> None:
        self._lines: dict[str, Line] = {}
        for one in settings:
            if one.name in self._lines:
                raise OperatorError(f"two [[line]] entries in telnetsd.toml are named {one.name!r}; rename one")
            for pattern in one.redact:
                compile_pattern(pattern, f"redact of [[line]] {one.name!r} in telnetsd.toml")
            for alert in one.alert:
                require_specific(alert.pattern, f"alert {alert.name!r} of [[line]] {one.name!r} in telnetsd.toml")
            self._lines[one.name] = Line(one, *parse_target(one, root))
        for key in ("listen", "server_name"):
            _refuse_twins(self._lines.values(), key)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def find(self, name: str) -> Line | None:
        """Return the line of that name."""
        return self._lines.get(name)

    def by_server_name(self, server_name: str) -> Line | None:
        """Return the line that a TLS client reaches directly with this server name.

        RFC 6066 section 3 allows no trailing dot, but some clients send the name as it was typed.
        """
        wanted = server_name.lower().removesuffix(".")
        return next((one for one in self._lines.values() if wanted and one.settings.server_name == wanted), None)

    def permitted(self, roles: AbstractSet[str], assurance_class: int) -> list[Line]:
        """Return the lines that a user may use, sorted by name."""
        mine = (one for one in self._lines.values() if _has(one, roles) and one.settings.min_class <= assurance_class)
        return sorted(mine, key=lambda one: one.name)

    def authorise(self, name: str, roles: AbstractSet[str], assurance_class: int) -> Line:
        """Return the line of that name, if one of the roles has it and the class is high enough.

        Args:
            name: The name as it was typed.
            roles: The effective roles, with those that they include.
            assurance_class: The user's assurance class.
        Raises:
            LineDeniedError: The user has no such line. The message does not reveal to a user without the role whether
                the line exists.
        """
        line = self._lines.get(name)
        if line is None or not _has(line, roles):
            shown = escape(name, NAME_MAX_CHARS)
            reason = CommandReason.NOT_FOUND if line is None else CommandReason.ROLE_MISSING
            raise LineDeniedError(reason, f"no line {shown} that you may use; see: lines")
        if line.settings.min_class > assurance_class:
            needed = line.settings.min_class
            raise LineDeniedError(
                CommandReason.CLASS_TOO_LOW,
                f"permission denied: `{line.name}` requires class {needed}; you have class {assurance_class}",
            )
        return line


def _has(line: Line, roles: AbstractSet[str]) -> bool:
    return not roles.isdisjoint(line.settings.roles)


def _refuse_twins(lines: Iterable[Line], key: str) -> None:
    seen: dict[str, str] = {}
    for line in lines:
        value = getattr(line.settings, key)
        if value and value in seen:
            names = f"{seen[value]!r} and {line.name!r}"
            raise OperatorError(f"[[line]] {names} in telnetsd.toml have the same {key}; give each its own")
        seen[value] = line.name
