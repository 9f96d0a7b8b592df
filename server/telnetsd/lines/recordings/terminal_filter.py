"""Showing another user's screen, without I/O: sequences that draw pass, sequences that control the terminal do not.

A recording or a watched session was made for another terminal, by an unknown party. Text, colours and cursor
movements pass. Sequences that set a title or a clipboard, ask the terminal to answer, or program it do not pass
(ECMA-48: OSC, DCS, SOS, PM, APC, and the control sequences that are not on the list).
"""

import re
from typing import Final

PENDING_MAX_CHARS: Final = 4096
"""Anything longer does not count as a sequence."""
RESET: Final = "\x1b[!p\x1b[?1049l\x1b[?25h\x1b[0m\r\n"
"""Sent after the shown text: it restores the terminal to its previous state."""
_TEXT: Final = r"[^\x00-\x1f\x7f-\x9f\x1b]+|[\b\t\n\v\f\r\x07]"
CONTROL_SEQUENCE: Final = r"\x1b\[(?P<parameters>[0-?]*)(?P<intermediates>[ -/]*)(?P<final>[@-~])"
CONTROL_STRING: Final = r"\x1b[\]PX^_][^\x1b\x07]*(?:\x07|\x1b\\)"
_ESCAPE: Final = r"\x1b(?P<single>[78DEHM=>])|\x1b[()*+][0-9A-B]|\x1b[ -/]*[0-~]"
_TOKEN: Final = re.compile(
    rf"(?P<text>{_TEXT})|{CONTROL_SEQUENCE}|{CONTROL_STRING}|{_ESCAPE}|[\x00-\x1a\x1c-\x1f\x7f-\x9f]"
)
SEQUENCE: Final = re.compile(rf"{CONTROL_SEQUENCE}|{CONTROL_STRING}|{_ESCAPE}")
"""A sequence that is no text, whether it draws or controls."""
UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x1b\x07]*\x1b?|[()*+]|[ -/]*)\Z")
_SAFE_FINALS: Final = frozenset("@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu")
_SAFE_MODES: Final = frozenset({"5", "6", "7", "12", "25", "47", "1047", "1048", "1049", "2026"})
"""DEC modes: reverse screen, origin, wrapping, the cursor; xterm's alternate screen; synchronised output."""
_CHARSET: Final = re.compile(r"\x1b[()][0-9A-B]")


class TerminalFilter:
    """Passes only text and sequences that draw."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> str:
        """Process text, split anywhere, and return the part that may be shown."""
        text, self._pending = self._pending + text, ""
        unfinished = UNFINISHED.search(text)
        if unfinished is not None and len(text) - unfinished.start() <= PENDING_MAX_CHARS:
            text, self._pending = text[: unfinished.start()], text[unfinished.start() :]
        return "".join(one[0] for one in _TOKEN.finditer(text) if _is_shown(one))


def _is_shown(token: re.Match[str]) -> bool:
    if token["text"] is not None or token["single"] is not None:
        return True
    if token["final"] is None:
        return _CHARSET.fullmatch(token[0]) is not None
    parameters, final = token["parameters"], token["final"]
    if token["intermediates"] or final not in _SAFE_FINALS:
        return False
    if parameters.startswith("?"):
        # The private ones include queries, and modes in which a terminal reports mouse, focus and paste.
        return final in "JK" or (final in "hl" and _SAFE_MODES.issuperset(parameters[1:].split(";")))
    # Other private parameters query or program the terminal.
    return not parameters.startswith(("<", "=", ">"))
