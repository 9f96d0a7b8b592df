"""Follows a line's input and output, in the order in which the server sees them, and finds the commands. Without I/O.

An Enter waits until its line ends on the screen. `echo` has the rule that says which line that is.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from telnetsd.lines.typed.echo import Echo, Prompts, Unechoed
from telnetsd.lines.typed.entry import Entry
from telnetsd.lines.typed.page_text import is_cut, is_drawn, line_of, line_to_cursor, text_at_edge
from telnetsd.lines.typed.screen import Moment, Screen
from telnetsd.lines.typed.strokes import Stroke, StrokeReader
from telnetsd.lines.typed.waiting import WaitingEnters

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """A command that was typed, as the screen showed it.

    Attributes:
        typist: Who pressed Enter.
        prompt: What stood before it.
        text: The command; several lines if they were edited as one.
        is_cut: Whether only its end was on the screen.
    """

    typist: T
    prompt: str
    text: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class FullScreen(Generic[T]):
    """A participant types to a program that uses the whole screen, or to a line again: the former is no command."""

    typist: T
    has_begun: bool


Finding = Command[T] | FullScreen[T]


class CommandTracker(Generic[T]):
    """Finds the commands that are typed on a line.

    Args:
        columns: The width at which the far side wraps.
        rows: The height of its screen.
        typist: Who types at first.
    """

    def __init__(self, columns: int, rows: int, typist: T) -> None:
        self.screen = Screen(columns, rows)
        self._strokes = StrokeReader()
        self._prompts = Prompts()
        self._waiting: WaitingEnters[T] = WaitingEnters(self.screen, self._prompts)
        self._entry = Entry(typist=typist)
        self._line_before = ""
        """The line up to the cursor when the current piece was begun."""
        self._is_new_line = True
        """Whether a line has ended since the last mark."""
        self._candidate: tuple[Entry[T], Echo] | None = None
        """What was found of an Enter, on an editor that has not accepted the line yet: it may show a list."""
        self._is_pasting = self._is_full_screen = self._may_be_discarded = False
        self._here: str | None = None
        """The line up to the cursor; None if it has to be read."""
        self._written_before = 0
        """How much had been written to the screen at the last command: the next one is no longer than the rest."""
        self._findings: list[Finding[T]] = []

    @property
    def is_idle(self) -> bool:
        """Whether no key was pressed that matters for a command."""
        return self._entry.is_empty and not self._waiting

    @property
    def is_waiting(self) -> bool:
        """Whether the echo of an Enter is awaited."""
        return bool(self._waiting)

    def type(self, data: bytes, at_s: float, typist: T) -> list[Finding[T]]:
        """Process input at a time; what another participant has typed without Enter is on the screen alone."""
        if typist != self._entry.typist:
            self._strokes, self._is_pasting = StrokeReader(), False
            is_begun = not self._entry.is_empty
            self._begin_entry(typist)
            self._entry.is_edited = is_begun
            self._waiting.drop_uncertain()
        for stroke in self._strokes.feed(data):
            self._press(stroke, at_s)
        return self._take_findings()

    def show(self, data: bytes, at_s: float) -> list[Finding[T]]:
        """Process output at a time."""
        self._here = None
        for moment in self.screen.feed(data):
            if moment is Moment.LINE_ENDS:
                self._end_line()
            elif moment is Moment.EDITING_ENDS:
                self._accept_line()
            else:
                self._change_page()
        self._waiting.expire(at_s, len(data))
        return self._take_findings()

    def lose_track(self) -> None:
        """Note that the last key was long ago: from now on only the screen says what the command is."""
        self._begin_entry(self._entry.typist)
        self._entry.is_edited = True
        self._waiting.clear()

    def _take_findings(self) -> list[Finding[T]]:
        findings, self._findings = self._findings, []
        return findings

    def _begin_entry(self, typist: T) -> None:
        self._entry, self._is_new_line, self._may_be_discarded = Entry(typist=typist), True, False

    # Input.

    def _press(self, stroke: str | Stroke, at_s: float) -> None:
        if isinstance(stroke, str):
            self._mark()
            self._entry.add(stroke)
        elif stroke is Stroke.ENTER and self._is_pasting and self.screen.has_paste_mode:
            self._entry.add("\n")
        elif stroke in {Stroke.ENTER, Stroke.WEAK_ENTER}:
            self._mark()
            self._enter(at_s, is_weak=stroke is Stroke.WEAK_ENTER)
        elif stroke in {Stroke.PASTE_BEGINS, Stroke.PASTE_ENDS}:
            self._mark()
            self._is_pasting = stroke is Stroke.PASTE_BEGINS
        else:
            self._mark()
            self._entry.is_edited = True
            self._may_be_discarded = self._may_be_discarded or stroke is Stroke.DISCARD

    def _mark(self) -> None:
        """Note where on the screen the next key is typed."""
        self._waiting.drop_weak()
        self._note_full_screen()
        if self.screen.is_alternate:
            return
        here = self._line_to_cursor()
        if self._is_new_line or self._has_new_prompt(here):
            self._begin_piece(here)
        else:
            self._waiting.drop_continued(self._entry, here)

    def _line_to_cursor(self) -> str:
        if self._here is None:
            self._here = line_to_cursor(self.screen.page)
        return self._here

    def _has_new_prompt(self, here: str) -> bool:
        """Tell whether the far side has written more to the line than was typed."""
        before = self._line_before.rstrip()
        if not here.startswith(before):
            return True
        added = here[len(before) :].strip()
        return bool(added) and not self._entry.is_edited and not self._entry.last_piece().strip().startswith(added)

    def _begin_piece(self, here: str) -> None:
        if self._may_be_discarded and self._is_new_line:
            self._begin_entry(self._entry.typist)  # it was discarded
        if not self._entry.marks:
            self._entry.right_prompt = text_at_edge(self.screen.page, here)
        # Without its beginning, a line says nothing about the prompt.
        prompt = "" if is_cut(self.screen.page) else here
        self._entry.begin_piece(prompt, is_certain=bool(prompt.strip()) and not self._waiting)
        self._line_before, self._is_new_line = here, False
        if here in self._prompts:
            self._waiting.drop_seen()

    def _enter(self, at_s: float, *, is_weak: bool) -> None:
        entry = self._entry
        self._begin_entry(entry.typist)
        no_line = is_drawn(self.screen.page) and not self._is_at_prompt(entry)
        if self.screen.is_alternate or no_line or (is_weak and entry.is_empty):
            return
        entry.is_weak, entry.entered_at_s = is_weak, at_s
        self._waiting.add(entry)

    def _is_at_prompt(self, entry: Entry[T]) -> bool:
        return self._line_before in self._prompts or any(mark.prompt in self._prompts for mark in entry.marks)

    # Output.

    def _end_line(self) -> None:
        if self.screen.is_full_width and not self._entry.is_empty and not self._waiting:
            self.screen.join_next_line()  # the far side wraps with CR LF
            return
        self._is_new_line = True
        if not self._waiting:
            self._entry.note_echo(line_of(self.screen.page))
            return
        entry, verdict = self._waiting.find()
        if verdict is Unechoed.NOT_YET:
            self._waiting.note_miss()
        elif isinstance(verdict, Echo) and entry.is_edited and self.screen.has_paste_mode:
            self._candidate = (entry, verdict)
        else:
            self._finish(entry, verdict)

    def _accept_line(self) -> None:
        """Look at a line that its editor accepts, since the editor may leave it without ending it."""
        candidate, self._candidate = self._candidate, None
        if not self._waiting or self.screen.is_alternate:
            return
        entry, verdict = self._waiting.find()
        if isinstance(verdict, Echo):
            self._finish(entry, verdict)
        elif candidate is not None and candidate[0] in self._waiting and not line_of(self.screen.page):
            self._finish(*candidate)

    def _change_page(self) -> None:
        self._waiting.clear()
        self._begin_entry(self._entry.typist)

    def _finish(self, entry: Entry[T], verdict: Echo | Unechoed) -> None:
        """Note what was found of an Enter."""
        self._waiting.drop(entry)
        if not isinstance(verdict, Echo) or (is_drawn(self.screen.page) and verdict.prompt not in self._prompts):
            return
        prompt = self._prompts.shortest_within(verdict.prompt)
        command = (verdict.prompt[len(prompt) :] + verdict.behind).strip()
        if prompt + command:
            self._prompts.learn(prompt)
        if command and len(command) <= self.screen.written - self._written_before:
            self._written_before = self.screen.written
            cut = verdict.is_cut or is_cut(self.screen.page)
            self._findings.append(Command(entry.typist, prompt.strip(), command, cut))

    def _note_full_screen(self) -> None:
        page = self.screen.page
        is_full_screen = self.screen.is_alternate or (is_drawn(page) and self._line_to_cursor() not in self._prompts)
        if is_full_screen != self._is_full_screen:
            self._is_full_screen = is_full_screen
            self._findings.append(FullScreen(self._entry.typist, is_full_screen))
