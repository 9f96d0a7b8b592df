"""Line editing on the server's side, without I/O: for a client that sends each key as it is typed.

The keys are those of common shells; see `keys`. The editor returns inputs as `line_discipline` does, and what the
screen has to show meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Protocol

from telnetsd.telnet.edited_line import EditedLine, Row
from telnetsd.telnet.keys import Key, KeyReader
from telnetsd.telnet.line_discipline import (
    EndOfInput,
    Input,
    Interrupt,
    LineEndless,
    LineNotUtf8,
    LineTooLong,
    TypedLine,
)

KEYS_PER_TURN: Final = 64
"""After this many keys that complete nothing, the caller gets a chance to do something else."""
COLUMNS: Final = 80
"""The width of a screen whose size is not known."""
CANDIDATES_MAX: Final = 100
_BELL: Final = "\a"
_NEW_ROW: Final = "\r\n"
_CLEAR_SCREEN: Final = "\x1b[H\x1b[2J"
_GAP: Final = 2


class EditingContext(Protocol):
    """What surrounds the edited line."""

    def prompt(self) -> str:
        """Return the prompt that the screen shows before the line."""

    def columns(self) -> int:
        """Return the width of the screen; 0 if it is not known."""

    def history(self) -> Sequence[str]:
        """Return the previous lines, the oldest first."""


@dataclass(frozen=True, slots=True)
class WordAsked:
    """The user asks to complete the last word of this text, the one before the cursor; see `LineEditor.complete`."""

    before: str


class LineEditor:
    """Turns the keys of one client into lines.

    Args:
        context: What surrounds the line.
        line_max_bytes: The longest line, in bytes of UTF-8, without its end.
        endless_max_bytes: How many bytes of a line may be dropped before it counts as endless.
    """

    __slots__ = (
        "_context",
        "_draft",
        "_dropped_bytes",
        "_endless_max_bytes",
        "_is_dropping",
        "_is_listing",
        "_line_max_bytes",
        "_output",
        "_recalled",
        "_row",
        "keys",
        "line",
    )  # fmt: skip

    def __init__(self, context: EditingContext, *, line_max_bytes: int, endless_max_bytes: int) -> None:
        self._context = context
        self._line_max_bytes = line_max_bytes
        self._endless_max_bytes = endless_max_bytes
        self.keys = KeyReader()
        self.line, self._row = EditedLine(), Row()
        """The line that is being edited, and the row of the screen that shows it."""
        self._output: list[str] = []
        self._is_dropping = False
        self._dropped_bytes = 0
        self._is_listing = False
        """Whether the last key was Tab and found several words: the next Tab lists them."""
        self._recalled = 0
        """How many lines back in the history the shown line is; 0: it is a new one."""
        self._draft = ""

    def inputs(self, data: bytes) -> Iterator[Input | WordAsked | None]:
        """Process received bytes and yield one input after another; `keys.take_rest` returns the unprocessed ones.

        It also yields None, once in KEYS_PER_TURN, while the keys complete nothing.
        """
        if self._dropped_bytes > self._endless_max_bytes:
            return
        for count, key in enumerate(self.keys.keys(data), 1):
            event = self._add(key) if isinstance(key, str) else self._press(key)
            if event is not None or count % KEYS_PER_TURN == 0:
                yield event
            if isinstance(event, LineEndless):
                return

    @property
    def shown(self) -> str:
        """What the screen shows after the prompt, up to the place of the cursor."""
        return self._row.again()

    def take_output(self) -> str:
        """Remove and return what the screen has to show."""
        output = "".join(self._output)
        self._output.clear()
        return output

    def _press(self, key: Key) -> Input | WordAsked | None:
        if key in _ENDS:
            self._is_listing = False
            return _ENDS[key](self)
        if self._is_dropping:
            return None
        if key is Key.COMPLETE:
            return WordAsked(self.line.before)
        self._is_listing = False
        _EDITS[key](self)
        self._draw()
        return None

    def _add(self, text: str) -> Input | None:
        self._is_listing = False
        size = _size_of(text)
        if self._is_dropping:
            self._dropped_bytes += size
            return LineEndless() if self._dropped_bytes > self._endless_max_bytes else None
        if _size_of(self.line.text) + size > self._line_max_bytes:
            # A line that is cut would be another line.
            self._begin_row()
            self._is_dropping, self._dropped_bytes = True, size
            return LineTooLong()
        self.line.insert(text)
        self._draw()
        return None

    def _end_line(self) -> Input | None:
        was_dropping, text = self._is_dropping, self.line.text
        self._is_dropping, self._dropped_bytes = False, 0
        if was_dropping:
            return None
        self._begin_row()
        try:
            text.encode()
        except UnicodeEncodeError:
            return LineNotUtf8()
        return TypedLine(text)

    def _interrupt(self) -> Input:
        self._is_dropping, self._dropped_bytes = False, 0
        self._output.append("^C")
        self._forget_line()
        return Interrupt()

    def _end_input(self) -> Input | None:
        if self._is_dropping:
            return None
        if self.line.characters:
            self.line.delete(self.line.cursor, self.line.cursor + 1)
            self._draw()
            return None
        self._begin_row()
        return EndOfInput()

    def _begin_row(self) -> None:
        """Leave the row as it is, and begin an empty line."""
        self._output.append(_NEW_ROW)
        self._forget_line()

    def _forget_line(self) -> None:
        self.line.replace("")
        self._row.forget()
        self._recalled, self._draft = 0, ""

    def recall(self, step: int) -> None:
        """Show a line of the history: so many lines further back."""
        history = self._context.history()
        place = self._recalled + step
        if not 0 <= place <= len(history):
            self._output.append(_BELL)
            return
        if self._recalled == 0:
            self._draft = self.line.text
        self._recalled = place
        self.line.replace(history[-place] if place else self._draft)

    def complete(self, words: Sequence[str]) -> None:
        """Complete the last word before the cursor, if only one of these begins like it; otherwise list them."""
        was_listing, self._is_listing = self._is_listing, False
        word = self.line.before.rpartition(" ")[2]
        found = sorted(one for one in words if one.startswith(word))
        common = _common_start(found)
        if len(found) == 1:
            self.line.insert(f"{common.removeprefix(word)} ")
        elif len(common) > len(word):
            self.line.insert(common.removeprefix(word))
        elif found and was_listing:
            self._list(found)
        else:
            self._is_listing = bool(found)
            self._output.append(_BELL)
        self._draw()

    def _list(self, words: Sequence[str]) -> None:
        rows = [""]
        for word in words[:CANDIDATES_MAX]:
            if rows[-1] and len(rows[-1]) + _GAP + len(word) >= self._columns:
                rows.append("")
            rows[-1] += f"{' ' * _GAP}{word}" if rows[-1] else word
        if len(words) > CANDIDATES_MAX:
            rows.append(f"and {len(words) - CANDIDATES_MAX} more")
        self._output += [_NEW_ROW, *(f"{row}{_NEW_ROW}" for row in rows), self._context.prompt(), self._row.again()]

    @property
    def _columns(self) -> int:
        return self._context.columns() or COLUMNS

    def _draw(self) -> None:
        self._output.append(self._row.update(self.line, self._columns - len(self._context.prompt())))

    def draw_screen(self) -> None:
        """Clear the screen, and show the prompt and the line on it again."""
        self._output += [_CLEAR_SCREEN, self._context.prompt(), self._row.again()]


def _common_start(words: Sequence[str]) -> str:
    first, last = min(words, default=""), max(words, default="")
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _size_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


_ENDS: Final[dict[Key, Callable[[LineEditor], Input | None]]] = {
    Key.ENTER: LineEditor._end_line,  # noqa: SLF001 -- this table is the class's own
    Key.INTERRUPT: LineEditor._interrupt,  # noqa: SLF001
    Key.END_OF_INPUT: LineEditor._end_input,  # noqa: SLF001
}
_EDITS: Final[dict[Key, Callable[[LineEditor], None]]] = {
    Key.LEFT: lambda editor: editor.line.move_to(editor.line.cursor - 1),
    Key.RIGHT: lambda editor: editor.line.move_to(editor.line.cursor + 1),
    Key.HOME: lambda editor: editor.line.move_to(0),
    Key.END: lambda editor: editor.line.move_to(len(editor.line.characters)),
    Key.WORD_LEFT: lambda editor: editor.line.move_to(editor.line.word_start()),
    Key.WORD_RIGHT: lambda editor: editor.line.move_to(editor.line.word_end()),
    Key.ERASE_LEFT: lambda editor: editor.line.delete(editor.line.cursor - 1, editor.line.cursor),
    Key.ERASE_RIGHT: lambda editor: editor.line.delete(editor.line.cursor, editor.line.cursor + 1),
    Key.ERASE_WORD: lambda editor: editor.line.delete(editor.line.word_start(), editor.line.cursor),
    Key.ERASE_TO_START: lambda editor: editor.line.delete(0, editor.line.cursor),
    Key.ERASE_TO_END: lambda editor: editor.line.delete(editor.line.cursor, len(editor.line.characters)),
    Key.EARLIER: lambda editor: editor.recall(1),
    Key.LATER: lambda editor: editor.recall(-1),
    Key.DRAW_SCREEN: LineEditor.draw_screen,
}
