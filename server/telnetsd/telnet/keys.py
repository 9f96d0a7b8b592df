"""The keys that a client sends in character mode, without I/O: text, and keys that edit, split anywhere."""

import codecs
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

_TOKENS: Final = re.compile(rb"[^\x00-\x1f\x7f]+|[\x00-\xff]")
_SEQUENCE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\[O])", re.DOTALL)
_SEQUENCE_MAX_BYTES: Final = 16
_ESCAPE: Final = b"\x1b"
_DELETE: Final = b"\x7f"


class Key(Enum):
    """A key that is not text."""

    ENTER = auto()
    INTERRUPT = auto()
    END_OF_INPUT = auto()
    COMPLETE = auto()
    DRAW_SCREEN = auto()
    LEFT = auto()
    RIGHT = auto()
    HOME = auto()
    END = auto()
    WORD_LEFT = auto()
    WORD_RIGHT = auto()
    EARLIER = auto()
    LATER = auto()
    ERASE_LEFT = auto()
    ERASE_RIGHT = auto()
    ERASE_WORD = auto()
    ERASE_TO_START = auto()
    ERASE_TO_END = auto()


class KeyReader:
    """Turns the bytes of one client into text and keys."""

    __slots__ = ("_data", "_decoder", "_looked_at", "_sequence", "is_after_cr")

    def __init__(self) -> None:
        # Bytes that are not UTF-8 become surrogates (PEP 383).
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._data, self._looked_at = b"", 0
        self._sequence = b""
        self.is_after_cr = False
        """Whether the last byte was a CR, whose LF or NUL may still arrive."""

    def keys(self, data: bytes) -> Iterator[str | Key]:
        """Process received bytes and yield one piece of text or key after another; unknown keys are ignored."""
        self._data, self._looked_at = data, 0
        while self._looked_at < len(self._data):
            start = self._looked_at
            found = _TOKENS.match(self._data, start)
            self._looked_at = start + 1 if self._sequence or found is None else found.end()
            yield from self._read(self._data[start : self._looked_at])

    def take_rest(self) -> bytes:
        """Remove and return the unprocessed bytes; they are meant for something other than a line."""
        rest = self._data[self._looked_at :]
        self._data, self._looked_at = b"", 0
        return rest

    def _read(self, token: bytes) -> Iterator[str | Key]:
        ends_crlf, self.is_after_cr = self.is_after_cr and token in {b"\n", b"\x00"}, token == b"\r"
        if ends_crlf:
            return
        is_text = not self._sequence and token >= b" " and token != _DELETE
        text = self._decoder.decode(token) if is_text else self._decoder.decode(b"", final=True)
        if text:
            yield text
        if is_text:
            return
        if self._sequence or token == _ESCAPE:
            self._sequence += token
            if not _SEQUENCE.fullmatch(self._sequence) and len(self._sequence) <= _SEQUENCE_MAX_BYTES:
                return
            token, self._sequence = self._sequence, b""
        key = _KEYS.get(token)
        if key is not None:
            yield key


_KEYS: Final = {
    b"\r": Key.ENTER,
    b"\n": Key.ENTER,
    b"\x03": Key.INTERRUPT,
    b"\x04": Key.END_OF_INPUT,
    b"\t": Key.COMPLETE,
    b"\x0c": Key.DRAW_SCREEN,
    b"\x02": Key.LEFT,
    b"\x06": Key.RIGHT,
    b"\x01": Key.HOME,
    b"\x05": Key.END,
    b"\x10": Key.EARLIER,
    b"\x0e": Key.LATER,
    b"\x08": Key.ERASE_LEFT,
    _DELETE: Key.ERASE_LEFT,
    b"\x17": Key.ERASE_WORD,
    b"\x15": Key.ERASE_TO_START,
    b"\x0b": Key.ERASE_TO_END,
    b"\x1bb": Key.WORD_LEFT,
    b"\x1bf": Key.WORD_RIGHT,
    b"\x1b\x7f": Key.ERASE_WORD,
    **{
        _ESCAPE + start + final: key
        for start in (b"[", b"O")
        for final, key in (
            (b"A", Key.EARLIER),
            (b"B", Key.LATER),
            (b"C", Key.RIGHT),
            (b"D", Key.LEFT),
            (b"H", Key.HOME),
            (b"F", Key.END),
        )
    },
    **dict.fromkeys((b"\x1b[1~", b"\x1b[7~"), Key.HOME),
    **dict.fromkeys((b"\x1b[4~", b"\x1b[8~"), Key.END),
    b"\x1b[3~": Key.ERASE_RIGHT,
    **dict.fromkeys((b"\x1b[1;5C", b"\x1b[1;3C"), Key.WORD_RIGHT),
    **dict.fromkeys((b"\x1b[1;5D", b"\x1b[1;3D"), Key.WORD_LEFT),
}
"""Control characters as in Emacs and readline; sequences as xterm, the Linux console, PuTTY and rxvt send them."""
