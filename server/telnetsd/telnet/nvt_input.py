"""Typed input in character mode, without I/O: a network virtual terminal's line end becomes one CR, as from a key."""


class NvtInput:
    """Turns CR LF and CR NUL (RFC 854) into CR, wherever the packets were split.

    Args:
        is_after_cr: Whether the previous byte was a CR.
    """

    __slots__ = ("_is_after_cr",)

    def __init__(self, *, is_after_cr: bool) -> None:
        self._is_after_cr = is_after_cr

    def feed(self, data: bytes) -> bytes:
        """Process received bytes, and return them as a keyboard would send them."""
        if self._is_after_cr and data[:1] in {b"\n", b"\x00"}:
            data = data[1:]
            self._is_after_cr = False
        if data:
            self._is_after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\r").replace(b"\r\x00", b"\r")
