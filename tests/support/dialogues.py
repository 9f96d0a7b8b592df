"""The dialogues of tests/dialogues, which tests/dialogues/record.py has recorded."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from telnetsd.lines.typed.lazy_tracker import LazyTracker
from telnetsd.lines.typed.tracker import CommandTracker, Finding

FOLDER = Path(__file__).resolve().parent.parent / "dialogues"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@dataclass(frozen=True)
class Dialogue:
    """A dialogue: its size, what has to be found, what must not be, and its input and output with their times."""

    columns: int
    rows: int
    commands: list[str]
    secrets: list[str]
    events: list[tuple[float, str, str]]

    def play(self, split: Callable[[bytes], list[bytes]] = lambda data: [data]) -> list[Finding[str]]:
        """Play it to a tracker, with its output split."""
        tracker, found = CommandTracker(self.columns, self.rows, "alice"), []
        for at_s, code, data in self.events:
            if code == "r":
                columns, rows = map(int, data.split("x"))
                tracker.screen.resize(columns, rows)
            elif code == "i":
                found += tracker.type(to_bytes(data), at_s, "alice")
            else:
                for piece in split(to_bytes(data)):
                    found += tracker.show(piece, at_s)
        return found

    def play_lazily(self) -> list[Finding[str]]:
        """Play it to a lazy tracker."""
        tracker = LazyTracker(self.columns, self.rows, "alice")
        found: list[Finding[str]] = []
        for at_s, code, data in self.events:
            if code == "r":
                columns, rows = map(int, data.split("x"))
                steps = tracker.resize(columns, rows, at_s)
            elif code == "i":
                steps = tracker.type(to_bytes(data), at_s, "alice")
            else:
                steps = tracker.show(to_bytes(data), at_s)
            for findings in steps:
                found += findings
        return found


def to_bytes(text: str) -> bytes:
    """Return the bytes of an event."""
    return text.encode("utf-8", "surrogateescape")


@cache
def read_dialogue(name: str) -> Dialogue:
    """Read a dialogue."""
    header, *events = (json.loads(row) for row in (FOLDER / f"{name}.jsonl").read_text().splitlines())
    return Dialogue(events=[tuple(event) for event in events], **header)
