"""The part of DER (ITU-T X.690) that the X.509 library does not offer: the tag and the length of a value."""

from typing import Final

SEQUENCE: Final = 0x30
BIT_STRING: Final = 0x03
_LONG: Final = 0x80


def encode(tag: int, content: bytes) -> bytes:
    """Return an encoded value: its tag, its length in as few bytes as possible, and its content."""
    if len(content) < _LONG:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(length))) + length + content


def content_of(der: bytes, start: int = 0) -> tuple[int, int]:
    """Return where the content of the value at an offset begins and ends; the library must have parsed the value."""
    length, begin = der[start + 1], start + 2
    if length >= _LONG:
        count = length & ~_LONG
        length, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    return begin, begin + length
