"""The Enters whose echo is awaited, without I/O: which of them a line that ends belongs to, and when to give up."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

from telnetsd.lines.typed.echo import Echo, Prompts, Unechoed, judge, judge_rows
from telnetsd.lines.typed.entry import Entry
from telnetsd.lines.typed.page_text import line_of, texts
from telnetsd.lines.typed.screen import Screen

WAITING_MAX: Final = 256
"""How many Enters may wait for their echo."""
LOOK_AHEAD: Final = 8
"""How many of them may be the one whose line ends: those before it were not echoed."""
MISSES_MAX: Final = 64
WAIT_MAX_S: Final = 30.0
WAIT_MAX_BYTES: Final = 65_536
"""How many lines, how long, and how much output an Enter waits for its echo."""

T = TypeVar("T")


class WaitingEnters(Generic[T]):
    """The Enters that wait, in the order in which they were pressed.

    Args:
        screen: What the far side shows.
        prompts: The known prompts.
    """

    __slots__ = ("_entries", "_prompts", "_screen", "_shown_bytes")

    def __init__(self, screen: Screen, prompts: Prompts) -> None:
        self._screen = screen
        self._prompts = prompts
        self._entries: deque[Entry[T]] = deque()
        self._shown_bytes = 0
        """How much was shown since the first one began to wait."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: Entry[T]) -> None:
        """Add an Enter; it is dropped if too many wait already."""
        if not self._entries:
            self._shown_bytes = 0
        if len(self._entries) < WAITING_MAX:
            self._entries.append(entry)

    def __contains__(self, entry: Entry[T]) -> bool:
        return any(one is entry for one in self._entries)

    def drop(self, last: Entry[T]) -> None:
        """Remove an Enter; those before it were not echoed, and are removed with it."""
        while self._entries.popleft() is not last:
            pass
        self._shown_bytes = 0

    def drop_uncertain(self) -> None:
        """Drop those whose echo might be taken for what another participant types."""
        self._entries = deque(one for one in self._entries if one.is_certain)

    def clear(self) -> None:
        """Remove all."""
        self._entries.clear()

    def find(self) -> tuple[Entry[T], Echo | Unechoed]:
        """Find the first Enter of which the screen's line is the echo; else say what it is for the first one."""
        line = self._line()
        # Only a paste of several lines is compared with more than the line.
        rows = texts(self._screen.page) if any(one.has_pasted_lines for one in self._looked_at()) else []
        first: Echo | Unechoed = Unechoed.NOT_YET
        for number, entry in enumerate(self._looked_at()):
            verdict = self._judge(entry, line, rows)
            if isinstance(verdict, Echo):
                return entry, verdict
            if number == 0:
                first = verdict
            if entry.is_edited:
                break  # what comes later may be the echo of this one
        return self._entries[0], first

    def _looked_at(self) -> Iterator[Entry[T]]:
        return islice(self._entries, LOOK_AHEAD)

    def note_miss(self) -> None:
        """Note a line that is not the echo of any."""
        first = self._entries[0]
        first.misses += 1
        if first.misses > MISSES_MAX or first.is_weak:
            self._drop_first()

    def expire(self, at_s: float, shown_bytes: int) -> None:
        """Give up the first Enter if it has waited for too long, or if too much was shown meanwhile."""
        self._shown_bytes += shown_bytes
        if not self._entries:
            return
        if at_s - self._entries[0].entered_at_s > WAIT_MAX_S or self._shown_bytes > WAIT_MAX_BYTES:
            self._drop_first()

    # What the next key says about the first one.

    def drop_weak(self) -> None:
        """Drop a ^Z after which no line has ended: it was no Enter."""
        if self._entries and self._entries[0].is_weak:
            self._drop_first()

    def drop_seen(self) -> None:
        """Drop edited ones after which other lines have ended: a prompt is there again."""
        while self._entries and self._entries[0].is_edited and self._entries[0].misses:
            self._drop_first()

    def drop_continued(self, entry: Entry[T], here: str) -> None:
        """Drop the first one if later keys are echoed on its line, which has not ended: it was for something else.

        It is one that was edited, or that another participant typed.
        """
        typed = entry.text.rstrip()
        is_continued = len(typed) > 1 and not entry.is_edited and here.endswith(typed)
        while is_continued and self._entries and not self._entries[0].misses:
            if not self._entries[0].is_edited and self._entries[0].typist == entry.typist:
                return
            self._drop_first()

    def _drop_first(self) -> None:
        self._entries.popleft()
        self._shown_bytes = 0

    def _line(self) -> str:
        first, line = self._entries[0], line_of(self._screen.page)
        if first.right_prompt and line.endswith(f" {first.right_prompt}"):
            line = line.removesuffix(first.right_prompt).rstrip()
        return line.removesuffix("^Z") if first.is_weak else line

    def _judge(self, entry: Entry[T], line: str, rows: list[str]) -> Echo | Unechoed:
        if entry.has_pasted_lines and not entry.is_edited:
            return judge_rows(entry, rows)
        return judge(entry, line, self._prompts)
