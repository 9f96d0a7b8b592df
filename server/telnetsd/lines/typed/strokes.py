"""What the user of a line types, without I/O, split anywhere: text, Enter, and keys that edit or end something."""

import codecs
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

UNFINISHED_MAX_CHARS: Final = 32
"""Anything longer does not count as the sequence of a key."""
_STROKE: Final = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<enter>\r\n|\r\x00|\r|\n)"
    r"|(?P<report>\x1b\[(?:[0-9;?]*[Rcn]|[IO]))"
    r"|(?P<edit>\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]|\x1b[^\[O\x00-\x1f]|.)",
    re.DOTALL,
)
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")


class Stroke(Enum):
    """A key that is not text."""

    ENTER = auto()
    EDIT = auto()
    """Any key that changes what was typed, or moves in it."""
    DISCARD = auto()
    """^C, ^D or ^\\: what was typed may be discarded, or stay."""
    WEAK_ENTER = auto()
    """^Z or ^O: a shell stops its program, or accepts the line; a switch takes the first as Enter."""
    PASTE_BEGINS = auto()
    PASTE_ENDS = auto()


_CONTROLS: Final = {
    "\x03": Stroke.DISCARD,
    "\x04": Stroke.DISCARD,
    "\x1c": Stroke.DISCARD,
    "\x0f": Stroke.WEAK_ENTER,
    "\x1a": Stroke.WEAK_ENTER,
    "\x1b[200~": Stroke.PASTE_BEGINS,
    "\x1b[201~": Stroke.PASTE_ENDS,
}


class StrokeReader:
    """Cuts input into text and other strokes."""

    __slots__ = ("_decoder", "_is_after_cr", "_unfinished")

    def __init__(self) -> None:
        # Bytes that are not UTF-8 become surrogates (PEP 383).
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._unfinished = ""
        self._is_after_cr = False

    def feed(self, data: bytes) -> Iterator[str | Stroke]:
        """Process input and yield its strokes; what a terminal reports by itself is none."""
        text = self._unfinished + self._decoder.decode(data)
        if self._is_after_cr and text.startswith(("\n", "\0")):
            text = text[1:]
        self._is_after_cr = text.endswith("\r")
        unfinished = _UNFINISHED.search(text, max(0, len(text) - UNFINISHED_MAX_CHARS))
        self._unfinished = "" if unfinished is None else unfinished[0]
        for found in _STROKE.finditer(text, 0, len(text) - len(self._unfinished)):
            stroke = _stroke_of(found)
            if stroke is not None:
                yield stroke


def _stroke_of(found: re.Match[str]) -> str | Stroke | None:
    match found.lastgroup:
        case "text":
            return found[0]
        case "enter":
            return Stroke.ENTER
        case "report":
            return None
        case _:
            return _CONTROLS.get(found[0], Stroke.EDIT)
