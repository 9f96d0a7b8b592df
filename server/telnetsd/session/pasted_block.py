"""A block of text that was pasted at the prompt by mistake: it may be a private key, and runs nothing."""

import re
from typing import Final

BLOCK_BEGIN: Final = "-----BEGIN "
BLOCK_END: Final = "-----END "
LINES_MAX: Final = 512
"""A block that is longer has lost its end."""
IGNORED: Final = "ignored: an unexpected pasted block, up to its end line or a single dot"
_LABEL: Final = re.compile(r"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,38}[A-Z0-9])-----")
_DOT: Final = "."


class PastedBlock:
    """Counts the lines of a block; nothing else of it is kept, but for its label.

    Args:
        first: Its first line.
    """

    __slots__ = ("_count", "_label", "is_over")

    def __init__(self, first: str) -> None:
        found = _LABEL.search(first)
        self._label = found[1] if found is not None else "…"
        self._count = 1
        self.is_over = BLOCK_END in first.partition(BLOCK_BEGIN)[2]

    def take(self, line: str) -> None:
        """Count a line; `is_over` says whether it was the last one."""
        self._count += 1
        self.is_over = BLOCK_END in line or line.strip() == _DOT or self._count >= LINES_MAX

    @property
    def shown(self) -> str:
        """The block as the log has it: its label, and how many lines it had."""
        return f"{BLOCK_BEGIN}{self._label}----- ({self._count} lines)"
