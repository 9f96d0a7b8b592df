"""A user's terminal, as far as a full-screen program needs to know it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal of a line's writer: its type (such as xterm), and its size in characters."""

    kind: str = "vt100"
    columns: int = 80
    rows: int = 24
