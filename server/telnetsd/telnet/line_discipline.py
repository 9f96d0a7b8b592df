"""Bytes to bounded lines, without I/O: the line discipline of the network virtual terminal.

A line ends with CR LF (RFC 854), CR NUL, LF or CR alone, wherever the packets were split. Line editing is for clients
that send keys as they are typed: backspace and delete erase a character, and ^U erases the line. ^D on an empty line
is the end of input, and ^C drops the line. telnet's own commands for these (IAC EC, EL, EOF, IP) reach this module as
the same bytes.

A line has a length limit. Bytes beyond it are dropped up to the next line end. A client that sends
`endless_max_bytes` without a line end is not typing lines at all.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

INTERRUPT: Final = b"\x03"
END_OF_INPUT: Final = b"\x04"
ERASE_CHARACTER: Final = b"\x08"
ERASE_LINE: Final = b"\x15"
_DELETE: Final = b"\x7f"
_TOKENS: Final = re.compile(rb"[^\x00\x03\x04\x08\n\r\x15\x7f]+|[\x08\x7f]+|\x00+|\x15+|[\x00-\xff]")
TOKENS_PER_TURN: Final = 256
"""After this many tokens that complete nothing, the caller gets a chance to do something else."""


@dataclass(frozen=True, slots=True)
class TypedLine:
    """A whole line, without its end."""

    text: str


@dataclass(frozen=True, slots=True)
class LineNotUtf8:
    """A whole line that is not UTF-8 (RFC 3629)."""


@dataclass(frozen=True, slots=True)
class LineTooLong:
    """A line exceeded its limit; the rest of it is being dropped. Reported once per line."""


@dataclass(frozen=True, slots=True)
class LineEndless:
    """A line has no end in sight. Reported once; no other input follows."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The user cancelled the line that was being typed (^C, IAC IP)."""


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """The user ended the input (^D on an empty line, IAC EOF)."""


Input = TypedLine | LineNotUtf8 | LineTooLong | LineEndless | Interrupt | EndOfInput


class LineDiscipline:
    """Turns the bytes of one client into lines.

    Args:
        line_max_bytes: The longest line, in bytes, without its end.
        endless_max_bytes: How many bytes of a line may be dropped before it counts as endless.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_dropped_bytes",
        "_endless_max_bytes",
        "_is_dropping",
        "_line_max_bytes",
        "_looked_at",
        "_tokens",
        "_typed",
    )

    def __init__(self, *, line_max_bytes: int, endless_max_bytes: int) -> None:
        self._line_max_bytes = line_max_bytes
        self._endless_max_bytes = endless_max_bytes
        self._typed = bytearray()
        self._data, self._looked_at = b"", 0
        self._after_cr = False
        self._is_dropping = False
        self._dropped_bytes = 0
        self._tokens = 0

    def feed(self, data: bytes) -> list[Input]:
        """Process received bytes, split anywhere, and return the inputs that they complete."""
        return [one for one in self.inputs(data) if one is not None]

    def inputs(self, data: bytes) -> Iterator[Input | None]:
        """Process received bytes and yield one input after another; `take_rest` returns the unprocessed bytes.

        It also yields None, once in TOKENS_PER_TURN, while the typed bytes complete nothing.
        """
        if self._dropped_bytes > self._endless_max_bytes:
            return
        self._data, self._looked_at = data, 0
        while token := _TOKENS.match(self._data, self._looked_at):
            self._looked_at = token.end()
            event = self._take(token[0])
            self._tokens += 1
            if event is not None or self._tokens >= TOKENS_PER_TURN:
                self._tokens = 0
                yield event
                if isinstance(event, LineEndless):
                    return

    @property
    def is_after_cr(self) -> bool:
        """Whether the last byte was a CR, whose LF or NUL may still arrive."""
        return self._after_cr

    def take_rest(self) -> bytes:
        """Remove and return the unprocessed bytes; they are meant for something other than lines."""
        rest = self._data[self._looked_at :]
        self._data, self._looked_at = b"", 0
        return rest

    def _take(self, token: bytes) -> Input | None:
        ends_crlf, self._after_cr = self._after_cr and token == b"\n", token == b"\r"
        first = token[:1]
        if ends_crlf or first == b"\x00":
            return None
        if first in {ERASE_CHARACTER, _DELETE}:
            return self._erase_characters(len(token))
        act = _ACTIONS.get(first)
        return act(self) if act is not None else self._add(token)

    def _add(self, text: bytes) -> Input | None:
        if self._is_dropping:
            self._dropped_bytes += len(text)
            return LineEndless() if self._dropped_bytes > self._endless_max_bytes else None
        if len(self._typed) + len(text) <= self._line_max_bytes:
            self._typed += text
            return None
        self._typed.clear()
        self._is_dropping = True
        return LineTooLong()

    def _end_line(self) -> Input | None:
        typed, was_dropping = bytes(self._typed), self._is_dropping
        self._forget_line()
        if was_dropping:
            return None
        try:
            return TypedLine(typed.decode())
        except UnicodeDecodeError:
            return LineNotUtf8()

    def _forget_line(self) -> None:
        self._typed.clear()
        self._is_dropping = False
        self._dropped_bytes = 0

    def _interrupt(self) -> Input | None:
        self._forget_line()
        return Interrupt()

    def _end_input(self) -> Input | None:
        return None if self._typed or self._is_dropping else EndOfInput()

    def _erase_line(self) -> Input | None:
        self._forget_line()
        return None

    def _erase_characters(self, count: int) -> Input | None:
        # One character of UTF-8 is a lead byte and the continuation bytes (10xxxxxx) after it (RFC 3629 section 3).
        for _ in range(min(count, len(self._typed))):
            while len(self._typed) > 1 and self._typed[-1] & 0xC0 == 0x80:
                del self._typed[-1]
            del self._typed[-1:]
        return None


_ACTIONS: Final[dict[bytes, Callable[[LineDiscipline], Input | None]]] = {
    b"\r": LineDiscipline._end_line,  # noqa: SLF001 -- this table is the class's own
    b"\n": LineDiscipline._end_line,  # noqa: SLF001
    INTERRUPT: LineDiscipline._interrupt,  # noqa: SLF001
    END_OF_INPUT: LineDiscipline._end_input,  # noqa: SLF001
    ERASE_LINE: LineDiscipline._erase_line,  # noqa: SLF001
}
