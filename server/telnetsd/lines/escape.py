"""The escapes of a user on a line, without I/O: `~.` at the start of a line of input leaves, as in ssh.

A tilde starts an escape only at the very beginning of the input and after a line end. `~~` sends one tilde. A tilde
before any other character is sent unchanged, with that character.
"""

from enum import Enum
from typing import Final

ESCAPE: Final = 0x7E
NUL: Final = 0
_LINE_ENDS: Final = (b"\r", b"\n")


class Escape(Enum):
    """What a connected user can do; the value is the character typed after the tilde."""

    LEAVE = "."
    HELP = "?"
    BREAK = "#"
    MORE_PAST = "r"
    ALL_PAST = "p"
    WHO = "w"
    ASK = "a"
    HAND_OVER = "h"


HELP: Final = (
    "~.  leave the line",
    "~#  send BREAK",
    "~r  show more of the past output",
    "~p  show all past output that is kept",
    "~w  who is connected",
    "~a  ask to write",
    "~h  hand over to the session that asked to write",
    "~~  send a tilde",
    "~?  this help",
)
_BY_BYTE: Final = {ord(one.value): one for one in Escape}


class EscapeReader:
    """Separates escapes from the bytes that are meant for the line."""

    __slots__ = ("_is_at_start", "_is_escaped", "rest")

    def __init__(self) -> None:
        self._is_at_start = True
        self._is_escaped = False
        self.rest = b""
        """What was typed after the escape that leaves, as it came: it is not for the line."""

    def feed(self, data: bytes) -> list[bytes | Escape]:
        """Process typed bytes, split anywhere; return bytes for the line and escapes, in their order.

        Nothing follows the escape that leaves.
        """
        if ESCAPE not in data and not self._is_escaped:
            last = data.rstrip(b"\0")[-1:]
            self._is_at_start = last in _LINE_ENDS if last else self._is_at_start
            return [data] if data else []
        found: list[bytes | Escape] = []
        plain = bytearray()
        for place, byte in enumerate(data, 1):
            taken = self._take(byte)
            if isinstance(taken, bytes):
                plain += taken
                continue
            if plain:
                found.append(bytes(plain))
                plain.clear()
            found.append(taken)
            if taken is Escape.LEAVE:
                self.rest = data[place:]
                break
        if plain:
            found.append(bytes(plain))
        return found

    def _take(self, byte: int) -> bytes | Escape:
        if self._is_escaped:
            self._is_escaped = False
            escape = _BY_BYTE.get(byte)
            self._is_at_start = escape is not None or bytes([byte]) in _LINE_ENDS
            if escape is not None:
                return escape
            return b"~" if byte == ESCAPE else b"~" + bytes([byte])
        if self._is_at_start and byte == ESCAPE:
            self._is_escaped = True
            return b""
        if byte != NUL:
            # Some clients send CR NUL for Enter even where bytes pass unchanged.
            self._is_at_start = bytes([byte]) in _LINE_ENDS
        return bytes([byte])
