"""Whether a line that ends is the echo of an Enter: the rule. Without I/O.

What was echoed is taken from the screen, never from the input: what a terminal did not show is not recorded.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from os.path import commonprefix
from typing import Any, Final

from telnetsd.lines.typed.entry import Entry, Mark

MASKS: Final = {**dict.fromkeys("*•●·", 1), **dict.fromkeys("xX#.", 3)}
"""Characters that equipment shows instead of a password, and how many of them at least."""
PROMPT_ENDS: Final = ("#", "$", "%", ">")
QUESTION_ENDS: Final = (*PROMPT_ENDS, ":", "?")
ASKS_SECRET: Final = re.compile(r"(?i)(?:pass|pin\b|secret|code|token)[^:?]*[:?]$")
"""A line on which a secret is asked for: what was typed ahead is the answer, and is not echoed."""
QUESTION_MAX_CHARS: Final = 80
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
        is_cut: Whether the line had scrolled sideways, so that only the end of the command is there.
    """

    prompt: str
    behind: str
    is_cut: bool = False


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

    def longest_before(self, line: str) -> str | None:
        """Return the longest known prompt with which a line begins, if it has more than that."""
        found = [one for one in self._known if line.startswith(one) and line != one]
        return max(found, key=len, default=None)

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
    return _judge_plain(entry, line, prompts)


def judge_rows(entry: Entry[Any], rows: Sequence[str]) -> Echo | Unechoed:
    """Tell whether the last rows of the screen are the echo of a paste of several lines, edited as one."""
    if entry.text.count("\n") >= len(rows):
        return Unechoed.NOT_YET
    pasted = [row.rstrip() for row in entry.text.rstrip().split("\n")]
    for first in range(len(rows) - len(pasted), -1, -1):
        echoed = rows[first:]
        if echoed[0].endswith(pasted[0]) and echoed[-1].endswith(pasted[-1]):
            prompt = echoed[0][: len(echoed[0]) - len(pasted[0])]
            return Echo(prompt, "\n".join([pasted[0], *echoed[1:]]))
    return Unechoed.NOT_YET


def _judge_plain(entry: Entry[Any], line: str, prompts: Prompts) -> Echo | Unechoed:
    typed = entry.text.strip()
    if not typed:
        return Unechoed.NEVER
    before = entry.prompts_before_text()
    # Where nothing is known of what was there before, a line that is what was typed is its echo.
    if line in before and (before[-1] or not line.endswith(typed)):
        return Unechoed.NEVER
    found = _find_sideways(entry, line, typed) or _find_typed(entry, line, prompts)
    if found is not None:
        return found
    if _is_masked(entry, line) or (not entry.is_certain and ASKS_SECRET.search(line[-QUESTION_MAX_CHARS:])):
        return Unechoed.NEVER
    return Unechoed.NOT_YET


def _find_typed(entry: Entry[Any], line: str, prompts: Prompts) -> Echo | None:
    """Find what was typed, or the last pieces of it, behind a prompt."""
    for mark in entry.marks:
        piece = entry.text[mark.at :].strip()
        if not piece or not line.endswith(piece):
            continue
        before = line[: len(line) - len(piece)]
        if mark.is_certain and _is_typed(line[len(mark.prompt) :].strip(), entry) and line.startswith(mark.prompt):
            before = mark.prompt
        elif not _is_prompt(before.rstrip(), mark, prompts):
            continue
        if entry.was_seen_in_pieces(mark.at):
            return Echo(before, entry.text.strip())
        # A later mark may be behind half of the command.
        first = _beginning(before, (one.prompt for one in entry.marks))
        return _echo(line, before if first is None else first)
    return None


def _is_typed(text: str, entry: Entry[Any]) -> bool:
    """Tell whether everything that is behind a prompt was typed."""
    return bool(text) and entry.text.strip().endswith(text)


def _is_prompt(before: str, mark: Mark, prompts: Prompts) -> bool:
    """Tell whether the beginning of a line is a prompt, behind which something was typed ahead."""
    return before in prompts or (not mark.is_certain and (not before or before.endswith(PROMPT_ENDS)))


def _find_sideways(entry: Entry[Any], line: str, typed: str) -> Echo | None:
    """Find the end of what was typed on a line that has scrolled sideways, with the prompt or without it."""
    for prompt in ["", *(mark.prompt for mark in entry.marks)]:
        rest = line[len(prompt) :].strip()
        is_sideways = rest.startswith(SIDEWAYS) and len(rest) > SIDEWAYS_MIN_CHARS
        if line.startswith(prompt) and is_sideways and typed.endswith(rest[1:]):
            return Echo(prompt, rest, is_cut=True)
    return None


def _judge_edited(entry: Entry[Any], line: str, prompts: Prompts) -> Echo | Unechoed:
    if _is_masked(entry, line):
        return Unechoed.NEVER
    known = prompts.longest_before(line)
    if known is not None:
        return _edited_echo(line, known)
    marks = [mark.prompt for mark in entry.marks]
    prompt = _beginning(line, (one for one in marks if one != line))
    if prompt is not None:
        return _edited_echo(line, prompt)
    if line in entry.prompts_before_text():
        return Unechoed.NEVER
    return Unechoed.NOT_YET if prompts else _judge_first(line, marks)


def _judge_first(line: str, marks: Sequence[str]) -> Echo | Unechoed:
    """Judge a line when no prompt is known yet: the user may begin in the middle of a line."""
    if not any(marks):
        return Echo("", line) if line else Unechoed.NOT_YET
    for mark in marks:
        prompt = commonprefix([mark, line])  # noqa: RUF071 -- of strings, not paths
        if prompt.rstrip().endswith(QUESTION_ENDS):
            return _edited_echo(line, prompt)
    return Unechoed.NOT_YET


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _beginning(line: str, prompts: Iterable[str]) -> str | None:
    """Return the first of some prompts with which a line begins; a later one may have half of a command."""
    return next((one for one in prompts if one and line.startswith(one)), None)


def _echo(line: str, prompt: str) -> Echo:
    return Echo(prompt, line[len(prompt) :])


def _edited_echo(line: str, prompt: str) -> Echo:
    """Return the echo of an edited line; if it has scrolled sideways, its beginning is not there."""
    behind = line[len(prompt) :]
    is_cut = behind.strip().startswith(SIDEWAYS) and len(behind.strip()) > SIDEWAYS_MIN_CHARS
    return Echo(prompt, behind, is_cut)


def _is_masked(entry: Entry[Any], line: str) -> bool:
    """Tell whether a line has nothing behind a prompt but one repeated character that masks a password."""
    mask = line[-1:]
    before = line.rstrip(mask)
    if len(line) - len(before) < MASKS.get(mask, len(line) + 1):
        return False
    before = before.rstrip()
    return not before or before.endswith(QUESTION_ENDS) or any(mark.prompt == before for mark in entry.marks)
