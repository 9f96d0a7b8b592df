"""A tracker of commands that costs almost nothing while no key is pressed, without I/O.

Meanwhile it keeps only the end of the output, and the modes that were set before; it is read at the next key.
"""

import re
from typing import Final, Generic, TypeVar

from telnetsd.lines.typed.tracker import CommandTracker, Finding

KEPT_BYTES: Final = 16_384
"""How much of the output is kept: more than a screen."""
KEPT_MAX_BYTES: Final = 4 * KEPT_BYTES
MODES_MAX_BYTES: Final = 256
LOST_AFTER_BYTES: Final = 65_536
"""After this much output without a key it is no longer known what was typed before it."""
_MODE: Final = re.compile(rb"\x1b\[\?[0-9;]*[hl]|\x1bc")

T = TypeVar("T")


class LazyTracker(Generic[T]):
    """See CommandTracker; it finds the same."""

    __slots__ = ("_kept", "_kept_bytes", "_tracker", "_unattended_bytes")

    def __init__(self, columns: int, rows: int, typist: T) -> None:
        self._tracker = CommandTracker(columns, rows, typist)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._unattended_bytes = 0
        """How much was shown since the last key."""

    def resize(self, columns: int, rows: int, at_s: float) -> list[Finding[T]]:
        """Change the size of the far side's screen."""
        findings = self._catch_up(at_s)
        self._tracker.screen.resize(columns, rows)
        return findings

    def type(self, data: bytes, at_s: float, typist: T) -> list[Finding[T]]:
        """See CommandTracker."""
        findings = self._catch_up(at_s)
        self._unattended_bytes = 0
        return findings + self._tracker.type(data, at_s, typist)

    def show(self, data: bytes, at_s: float) -> list[Finding[T]]:
        """See CommandTracker."""
        self._unattended_bytes += len(data)
        if self.is_attended:
            return self._catch_up(at_s) + self._tracker.show(data, at_s)
        if not self._kept and not self._tracker.is_idle:
            self._tracker.lose_track()
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes > KEPT_MAX_BYTES:
            self._shorten()
        return []

    @property
    def is_attended(self) -> bool:
        """Whether output is read as it comes, which takes time: a key was pressed a short while ago."""
        return not self._tracker.is_idle and self._unattended_bytes <= LOST_AFTER_BYTES

    def _catch_up(self, at_s: float) -> list[Finding[T]]:
        if self._kept_bytes > KEPT_BYTES:
            self._shorten()
        kept, self._kept, self._kept_bytes = b"".join(self._kept), [], 0
        return self._tracker.show(kept, at_s) if kept else []

    def _shorten(self) -> None:
        whole = b"".join(self._kept)
        end = len(whole) - KEPT_BYTES
        end = whole.rfind(b"\n", 0, end) + 1 or end
        modes = b"".join(_MODE.findall(whole, 0, end))[-MODES_MAX_BYTES:]
        self._kept = [modes, whole[end:]]
        self._kept_bytes = len(modes) + len(whole) - end
