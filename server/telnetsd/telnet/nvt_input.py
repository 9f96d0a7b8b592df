"""Line ends of a network virtual terminal, without I/O: two bytes become one CR, as from a key."""

from typing import Final

LF_OR_NUL: Final = b"\n\0"


class NvtInput:
    """Turns CR LF and CR NUL (RFC 854) into CR, wherever the packets were split.

    Args:
        is_after_cr: Whether the previous byte was a CR.
        dropped: The bytes that are dropped after a CR.
    """

    __slots__ = ("_dropped", "_is_after_cr")

    def __init__(self, *, is_after_cr: bool, dropped: bytes = LF_OR_NUL) -> None:
        self._is_after_cr = is_after_cr
        self._dropped = dropped

    def pass_on(self, data: bytes) -> bytes:
        """Return received bytes unchanged (RFC 856), but for the end of a line that began before."""
        if not data or not self._is_after_cr:
            return data
        self._is_after_cr = False
        return data[1:] if data[0] in self._dropped else data

    def feed(self, data: bytes) -> bytes:
        """Process received bytes, and return them as a keyboard would send them."""
        if self._is_after_cr and data and data[0] in self._dropped:
            data = data[1:]
            self._is_after_cr = False
        if data:
            self._is_after_cr = data.endswith(b"\r")
        for byte in self._dropped:
            data = data.replace(bytes([0x0D, byte]), b"\r")
        return data
