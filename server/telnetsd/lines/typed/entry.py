"""What was typed up to one Enter, and where on the screen each piece of it began. Without I/O."""

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

TEXT_MAX_CHARS: Final = 4096
"""More typed text than this counts as edited: it is then read from the screen alone."""
MARKS_MAX: Final = 8
PROMPT_MAX_CHARS: Final = 256

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """The beginning of a piece: a key was pressed on a new line, or behind new output.

    Attributes:
        prompt: The line up to the cursor at that moment, without spaces at its end.
        at: How many characters had been typed before.
        is_certain: Whether there was a prompt, and no earlier echo was awaited. Otherwise the piece may be
            typed ahead, and its prompt may still come.
    """

    prompt: str
    at: int
    is_certain: bool


@dataclass(slots=True, kw_only=True)
class Entry(Generic[T]):
    """What one participant typed up to an Enter.

    Attributes:
        typist: Who types.
        text: What was typed, as far as it is text; line ends in a bracketed paste are newlines.
        is_edited: Whether other keys were among it, so that the text says little.
        is_weak: Whether it ended with a key that is not always an Enter.
        marks: The beginnings of its pieces, in order.
        echoed: Those of its pieces, by `Mark.at`, whose echo was on a line that ended before the Enter.
        right_prompt: What the far side shows at the right edge of the line, which is not part of a command.
        entered_at_s: When Enter was pressed.
        misses: How many lines have ended since then and were not its echo.
    """

    typist: T
    text: str = ""
    is_edited: bool = False
    is_weak: bool = False
    marks: list[Mark] = field(default_factory=list)
    echoed: set[int] = field(default_factory=set)
    right_prompt: str = ""
    entered_at_s: float = 0.0
    misses: int = 0
    has_dropped_marks: bool = False
    """Whether it had more pieces than are kept."""

    @property
    def is_empty(self) -> bool:
        """Whether no key was pressed."""
        return not self.text and not self.is_edited

    @property
    def is_certain(self) -> bool:
        """Whether it was typed where no earlier echo was awaited, and without editing."""
        return not self.is_edited and all(mark.is_certain for mark in self.marks)

    @property
    def has_pasted_lines(self) -> bool:
        """Whether it has several lines, which an editor edits as one."""
        return "\n" in self.text

    def add(self, text: str) -> None:
        """Add typed text."""
        room = TEXT_MAX_CHARS - len(self.text)
        self.text += text[:room]
        self.is_edited = self.is_edited or len(text) > room

    def begin_piece(self, prompt: str, *, is_certain: bool) -> None:
        """Note the beginning of another piece; of many, the first and the last ones count."""
        if len(self.marks) == MARKS_MAX:
            del self.marks[1]
            self.has_dropped_marks = True
        self.marks.append(Mark(prompt[:PROMPT_MAX_CHARS].rstrip(), len(self.text), is_certain))

    def prompts_before_text(self) -> list[str]:
        """Return the prompts of the pieces in which something was typed."""
        return [mark.prompt for mark in self.marks if self.is_edited or mark.at < len(self.text)]

    def last_piece(self) -> str:
        """Return what was typed since the last mark."""
        return self.text[self.marks[-1].at :] if self.marks else self.text

    def note_echo(self, line: str) -> None:
        """Note a line that ends before the Enter, if the last piece was echoed on it."""
        piece = self.last_piece()
        if self.marks and not self.is_edited and piece and line.startswith((self.marks[-1].prompt + piece).rstrip()):
            self.echoed.add(self.marks[-1].at)

    def was_seen_in_pieces(self, at: int) -> bool:
        """Tell whether every piece before this one was echoed; its echo was interrupted by other output."""
        if at == 0 or self.has_dropped_marks or any(mark.prompt for mark in self.marks[1:]):
            return False
        return self.echoed.issuperset(mark.at for mark in self.marks if mark.at < at)
