"""Events as rows: for a person as short as the terminal is narrow, for a program with the whole time."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from telnetsd.audit.reading.moment import Zone, to_zone, zone_words
from telnetsd.audit.reading.row import EventRow
from telnetsd.events.of_the_server import AuditCheckpoint

COLOURS: Final = {"success": "green", "failure": "red"}
_USER_MAX: Final = 16
_ACTION_FROM_COLUMNS: Final = 60
"""A terminal that is narrower shows no action: the message says what happened."""
_SESSION_FROM_COLUMNS: Final = 100
_SOURCE_FROM_COLUMNS: Final = 120
_GAP: Final = "  "


class EventTable:
    """Prints events as they come; the first ones decide how wide the columns are.

    Args:
        screen: Where it is printed.
        zone: The time zone of what is shown.
        is_for_person: Whether rows have the time of day alone, below a line with the date, and are cut to the
            screen's width. Otherwise each row has its date, and its whole text.
        is_cut: Whether rows are cut to the screen's width.
    """

    def __init__(self, screen: Console, zone: Zone, *, is_for_person: bool, is_cut: bool) -> None:
        self._screen = screen
        self._zone = zone
        self._is_for_person = is_for_person
        self._is_cut = is_cut
        self._day = ""
        columns = [
            ("user", 0),
            ("session", _SESSION_FROM_COLUMNS),
            ("source", _SOURCE_FROM_COLUMNS),
            ("action", _ACTION_FROM_COLUMNS),
        ]
        self._widths = {name: 0 for name, least in columns if screen.width >= least or not is_for_person}

    def begin(self, rows: Sequence[EventRow]) -> None:
        """Print a header and the first rows."""
        self._fit(rows)
        self._print_header(rows[0] if rows else None)
        for row in rows:
            self.add(row)

    def add(self, row: EventRow) -> None:
        """Print a further row; a column that is too narrow for it becomes wider."""
        self._fit([row])
        self._print_day(row)
        colour = COLOURS.get(row.outcome, "")
        line = Text(style="dim" if row.action == AuditCheckpoint.action else "")
        line.append(f"{row.time(self._zone, self._form):<{self._time_chars}}")
        line.append(f" {row.outcome_letter} ", f"bold {colour}" if row.outcome == "failure" else colour)
        for name in self._widths:
            text, width = self._cell(row, name), self._widths[name]
            line.append(f"{text:<{width}}{_GAP}", colour if name == "action" else "")
        line.append(row.what)
        self._print(line)

    @property
    def _form(self) -> str:
        return "%H:%M:%S" if self._is_for_person else "%Y-%m-%d %H:%M:%S"

    @property
    def _time_chars(self) -> int:
        return len("HH:MM:SS") if self._is_for_person else len("YYYY-MM-DD HH:MM:SS")

    def _fit(self, rows: Iterable[EventRow]) -> None:
        for row in rows:
            for name, width in self._widths.items():
                self._widths[name] = max(width, len(self._cell(row, name)), len(_title(name)))

    def _cell(self, row: EventRow, name: str) -> str:
        text: str = getattr(row, name)
        is_cut = name == "user" and self._is_for_person
        return f"{text[: _USER_MAX - 1]}…" if is_cut and len(text) > _USER_MAX else text

    def _print_header(self, first: EventRow | None) -> None:
        if not self._widths["user"]:
            self._widths = {name: len(_title(name)) for name in self._widths}
        at = first.at if first is not None else None
        zone = f" ({zone_words(to_zone(at, self._zone))})" if at is not None and not self._is_for_person else ""
        line = Text(f"{f'time{zone}':<{self._time_chars}}   ", style="bold")
        for name, width in self._widths.items():
            line.append(f"{_title(name):<{width}}{_GAP}")
        line.append("what")
        self._print(line)

    def _print_day(self, row: EventRow) -> None:
        """Print the date, if it is another one than that of the row before."""
        if not self._is_for_person or row.at is None:
            return
        at = to_zone(row.at, self._zone)
        day = f"{at:%Y-%m-%d} ({zone_words(at)})"
        if day != self._day:
            self._print(Text(f"{_WEEKDAYS[at.weekday()]} {day}", style="bold"))
            self._day = day

    def _print(self, line: Text) -> None:
        line.rstrip()
        overflow = "ellipsis" if self._is_cut else "ignore"
        self._screen.print(line, no_wrap=True, overflow=overflow, crop=self._is_cut)  # type: ignore[arg-type]


_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _title(name: str) -> str:
    return "event" if name == "action" else name
