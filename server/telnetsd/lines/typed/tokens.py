"""The output of a line in pieces that mean something to a terminal, without I/O: text, controls and sequences."""

import codecs
import re
from collections.abc import Iterator
from typing import Final

from telnetsd.lines.recordings.terminal_filter import CONTROL_SEQUENCE, CONTROL_STRING, UNFINISHED

UNFINISHED_MAX_CHARS: Final = 4096
"""Anything longer does not count as a sequence."""
_TOKEN: Final = re.compile(
    rf"(?P<text>[^\x00-\x1f\x7f-\x9f]+)|{CONTROL_SEQUENCE}|{CONTROL_STRING}"
    r"|\x1b[ -/]+[0-~]|\x1b(?P<escape>[0-~])|(?P<control>[\x00-\x1f\x7f-\x9f])"
)


class TokenReader:
    """Cuts output into tokens: matches with one of the groups `text`, `control`, `escape` and `final`, or none."""

    __slots__ = ("_decoder", "_unfinished")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""

    def feed(self, data: bytes) -> Iterator[re.Match[str]]:
        """Process output, split anywhere, and return its tokens."""
        text = self._unfinished + self._decoder.decode(data)
        unfinished = UNFINISHED.search(text, max(0, len(text) - UNFINISHED_MAX_CHARS))
        self._unfinished = "" if unfinished is None else unfinished[0]
        return _TOKEN.finditer(text, 0, len(text) - len(self._unfinished))
