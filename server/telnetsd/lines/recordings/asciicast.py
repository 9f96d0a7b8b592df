"""The words of the format of recordings: asciicast v3, with one kind of event of our own."""

from typing import Final

VERSION: Final = 3
OUTPUT: Final = "o"
INPUT: Final = "i"
RESIZE: Final = "r"
RAW: Final = "b"
MARKER: Final = "m"
WRITER: Final = "writer: "
NO_WRITER: Final = "no writer"
"""The labels that say who writes to the line."""
