"""Whether a line that ends is the echo of an Enter: the rule. Without I/O.

What was echoed is taken from the screen, never from the input: what a terminal did not show is not recorded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from os.path import commonprefix
from typing import Any, Final

from telnetsd.lines.typed.entry import Entry

PROMPT_ENDS: Final = ("#", "$", "%", ">", ":")

MASK: Final = frozenset("*•●·xX#.")
"""Characters that equipment shows instead of a password."""
SIDEWAYS: Final = ("$", "<")
"""What the left edge shows when a line has scrolled sideways: IOS, readline."""
SIDEWAYS_MIN_CHARS: Final = 8


class Unechoed(Enum):
    """A line that is not the echo of an Enter with readable text."""

    NOT_YET = auto()
    """It is other output: the echo may still come."""
    NEVER = auto()
    """It is the Enter's line, and nothing that could be read was echoed."""


@dataclass(frozen=True, slots=True)
class Echo:
    """The echo of an Enter.

    Attributes:
        prompt: The beginning of the line that was not typed, as far as it is known.
        behind: The rest of the line: the command, with the spaces before it.
    """

    prompt: str
    behind: str


class Prompts:
    """The last prompts that were followed by a command."""

    MAX: Final = 8

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def __contains__(self, prompt: str) -> bool:
        return prompt.rstrip() in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __bool__(self) -> bool:
        return bool(self._known)

    def shortest_within(self, prompt: str) -> str:
        """Return the known prompt with which this one begins, if the rest may be half of a command; else itself."""
        found = [one for one in self._known if prompt.startswith(one) and _has_word(prompt[len(one) :])]
        return min((one for one in found if not one[-1:].isalnum()), key=len, default=prompt)

    def learn(self, prompt: str) -> None:
        """Note a prompt that was followed by a command."""
        prompt = prompt.rstrip()
        if prompt:
            self._known.pop(prompt, None)
            self._known[prompt] = None
            if len(self._known) > self.MAX:
                del self._known[next(iter(self._known))]


def judge(entry: Entry[Any], line: str, prompts: Prompts) -> Echo | Unechoed:
    """Tell whether a line that ends is the echo of an Enter.

    Args:
        entry: What was typed up to the Enter.
        line: The line, without spaces at its end and without a right prompt.
        prompts: The known prompts.
    """
    if entry.is_edited:
        return _judge_edited(entry, line, prompts)
    return _judge_plain(entry, line)


def judge_rows(entry: Entry[Any], rows: Sequence[str]) -> Echo | Unechoed:
    """Tell whether the last rows of the screen are the echo of a paste of several lines, edited as one."""
    pasted = [row.rstrip() for row in entry.text.rstrip().split("\n")]
    for first in range(len(rows) - len(pasted), -1, -1):
        echoed = rows[first:]
        if echoed[0].endswith(pasted[0]) and echoed[-1].endswith(pasted[-1]):
            prompt = echoed[0][: len(echoed[0]) - len(pasted[0])]
            return Echo(prompt, "\n".join([pasted[0], *echoed[1:]]))
    return Unechoed.NOT_YET


def _judge_plain(entry: Entry[Any], line: str) -> Echo | Unechoed:
    typed = entry.text.strip()
    if not typed:
        return Unechoed.NEVER
    before = entry.prompts_before_text()
    # Where nothing is known of what was there before, a line that is what was typed is its echo.
    if line in before and (before[-1] or not line.endswith(typed)):
        return Unechoed.NEVER
    if not any(line.startswith(mark.prompt) for mark in entry.marks):
        return _judge_masked(entry, line)
    return _find_sideways(entry, line, typed) or _find_typed(entry, line, before) or _judge_masked(entry, line)


def _find_typed(entry: Entry[Any], line: str, before: Sequence[str]) -> Echo | None:
    """Find what was typed, or the last pieces of it, at the end of a line."""
    for mark in entry.marks:
        piece = entry.text[mark.at :].strip()
        if piece and line.endswith(piece):
            prompt = _beginning(line, (one for one in before if one != line))
            if entry.was_seen_in_pieces(mark.at):
                return Echo(prompt or "", entry.text.strip())
            return _echo(line, line[: len(line) - len(piece)] if prompt is None else prompt)
    return None


def _find_sideways(entry: Entry[Any], line: str, typed: str) -> Echo | None:
    """Find the end of what was typed on a line that has scrolled sideways, with the prompt or without it."""
    for prompt in ["", *(mark.prompt for mark in entry.marks)]:
        rest = line[len(prompt) :].strip()
        is_sideways = rest.startswith(SIDEWAYS) and len(rest) > SIDEWAYS_MIN_CHARS
        if line.startswith(prompt) and is_sideways and typed.endswith(rest[1:]):
            return Echo(prompt, rest)
    return None


def _judge_edited(entry: Entry[Any], line: str, prompts: Prompts) -> Echo | Unechoed:
    marks = [mark.prompt for mark in entry.marks]
    longer = (one for one in marks if one != line)
    if line in entry.prompts_before_text() and _beginning(line, longer) is None:
        return Unechoed.NEVER
    if _is_masked(entry, line):
        return Unechoed.NEVER
    prompt = _beginning(line, [*marks, *prompts])
    if prompt is not None:
        return _echo(line, prompt)
    return Unechoed.NOT_YET if prompts else _judge_first(line, marks)


def _judge_first(line: str, marks: Sequence[str]) -> Echo | Unechoed:
    """Judge a line when no prompt is known yet: the user may begin in the middle of a line."""
    if not any(marks):
        return Echo("", line) if line else Unechoed.NOT_YET
    for mark in marks:
        prompt = commonprefix([mark, line])  # noqa: RUF071 -- of strings, not paths
        if prompt.rstrip().endswith(PROMPT_ENDS):
            return _echo(line, prompt)
    return Unechoed.NOT_YET


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _beginning(line: str, prompts: Iterable[str]) -> str | None:
    """Return the first of some prompts with which a line begins; a later one may have half of a command."""
    return next((one for one in prompts if one and line.startswith(one)), None)


def _echo(line: str, prompt: str) -> Echo:
    return Echo(prompt, line[len(prompt) :])


def _judge_masked(entry: Entry[Any], line: str) -> Unechoed:
    return Unechoed.NEVER if _is_masked(entry, line) else Unechoed.NOT_YET


def _is_masked(entry: Entry[Any], line: str) -> bool:
    """Tell whether a line has nothing behind a prompt but one repeated character that masks a password."""
    for mark in entry.marks:
        rest = line[len(mark.prompt) :].strip()
        if line.startswith(mark.prompt) and len(set(rest)) == 1 and rest[0] in MASK:
            return True
    return False
