"""Which lines of output match the operator's alerts, and which matches are reported, without I/O.

A match is reported at once. Further ones of the same alert within a minute are counted, and reported together after
it. A line without an end, such as a prompt, is looked at once nothing more has come for a second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from telnetsd.lines.recordings.plain_text import TextLines

QUIET_S: Final = 1.0
INTERVAL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Match:
    """A match to report.

    Attributes:
        name: The alert's name.
        text: The line of text that matched, the last one if there were several.
        unreported: How many matches before this one were not reported.
    """

    name: str
    text: str
    unreported: int


@dataclass(slots=True)
class _Alert:
    name: str
    reported_at: float | None = None
    unreported: int = 0
    text: str = ""


class AlertMatcher:
    """The alerts of one line.

    Args:
        names: The names of the alerts.
        find: Returns the numbers of the alerts that match a line of text.
    """

    def __init__(self, names: Sequence[str], find: Callable[[str], Sequence[int]]) -> None:
        self._alerts = [_Alert(name) for name in names]
        self._find = find
        self._lines = TextLines()
        self._fed_at = 0.0
        self._is_rest_due = False
        self._found_in_rest: set[int] = set()
        """The alerts that have matched the line that is not complete."""

    def feed(self, data: bytes, now: float) -> list[Match]:
        """Process output at a time (monotonic, in seconds), and return what is to be reported."""
        self._fed_at, self._is_rest_due = now, True
        matches = []
        for text in self._lines.feed(data):
            matches += self._match(text, now, self._found_in_rest)
            self._found_in_rest = set()
        return matches

    def due(self, now: float) -> list[Match]:
        """Return what is to be reported by now; call this several times per second."""
        matches = []
        if self._is_rest_due and now - self._fed_at >= QUIET_S:
            self._is_rest_due = False
            rest, before = self._lines.rest(), self._found_in_rest
            self._found_in_rest = before | set(self._find(rest))
            matches = self._match(rest, now, before)
        matches += [self._report(one, now) for one in self._alerts if one.unreported and self._may_report(one, now)]
        return matches

    def _match(self, text: str, now: float, except_for: set[int]) -> list[Match]:
        matches = []
        for number in self._find(text):
            if number in except_for:
                continue
            alert = self._alerts[number]
            alert.text = text
            alert.unreported += 1
            if self._may_report(alert, now):
                matches.append(self._report(alert, now))
        return matches

    @staticmethod
    def _may_report(alert: _Alert, now: float) -> bool:
        return alert.reported_at is None or now - alert.reported_at >= INTERVAL_S

    @staticmethod
    def _report(alert: _Alert, now: float) -> Match:
        match = Match(alert.name, alert.text, alert.unreported - 1)
        alert.reported_at, alert.unreported = now, 0
        return match
