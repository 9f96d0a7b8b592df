"""A tracker of commands that costs almost nothing while no key is pressed, without I/O.

Meanwhile it keeps only the end of the output, and the modes that were set before; it is read at the next key. Work
comes in steps that take a few milliseconds at most, whatever the peers send: the caller leaves time to other work
between them.
"""

import re
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from telnetsd.lines.typed.screen import ALTERNATE_MODES, PASTE_MODE, WRAP_MODE
from telnetsd.lines.typed.tracker import CommandTracker, Finding

KEPT_BYTES: Final = 16_384
"""How much of the output is kept: more than a screen, as a rule."""
KEPT_MAX_BYTES: Final = 2 * KEPT_BYTES
LOST_AFTER_BYTES: Final = 65_536
"""After this much output without a key it is no longer known what was typed before it."""
SHOWN_STEP_BYTES: Final = 512
WAITED_STEP_BYTES: Final = 64
"""While an echo is awaited, each line that ends takes longer."""
TYPED_STEP_BYTES: Final = 64
_MODES: Final = re.compile(rb"\x1b\[\?(?P<modes>[0-9;]*)(?P<set>[hl])|\x1bc")

T = TypeVar("T")


class LazyTracker(Generic[T]):
    """See CommandTracker; it finds the same. Each step returns what it has found."""

    __slots__ = ("_kept", "_modes", "_tracker", "_unattended_bytes")

    def __init__(self, columns: int, rows: int, typist: T) -> None:
        self._tracker = CommandTracker(columns, rows, typist)
        self._kept = bytearray()
        self._modes: dict[str, bool] = {}
        """The modes that were set in output that is no longer kept."""
        self._unattended_bytes = 0
        """How much was shown since the last key."""

    @property
    def is_attended(self) -> bool:
        """Whether output is read as it comes, which takes time: a key was pressed a short while ago."""
        return not self._tracker.is_idle and self._unattended_bytes <= LOST_AFTER_BYTES

    @property
    def is_waiting(self) -> bool:
        """Whether the echo of an Enter is awaited."""
        return self._tracker.is_waiting

    def resize(self, columns: int, rows: int, at_s: float) -> Iterator[list[Finding[T]]]:
        """Change the size of the far side's screen, step by step."""
        yield from self._catch_up(at_s)
        self._tracker.screen.resize(columns, rows)

    def type(self, data: bytes, at_s: float, typist: T) -> Iterator[list[Finding[T]]]:
        """See CommandTracker; step by step."""
        yield from self._catch_up(at_s)
        self._unattended_bytes = 0
        for start in range(0, len(data), TYPED_STEP_BYTES):
            yield self._tracker.type(data[start : start + TYPED_STEP_BYTES], at_s, typist)

    def show(self, data: bytes, at_s: float) -> Iterator[list[Finding[T]]]:
        """See CommandTracker; step by step. There is no step while no key is pressed."""
        self._unattended_bytes += len(data)
        if self.is_attended:
            yield from self._catch_up(at_s)
            yield from self._show_now(data, at_s)
            return
        if not self._tracker.is_idle:
            self._tracker.lose_track()
        self._kept += data
        if len(self._kept) > KEPT_MAX_BYTES:
            self._shorten()

    def _show_now(self, data: bytes, at_s: float) -> Iterator[list[Finding[T]]]:
        start = 0
        while start < len(data):
            end = start + (WAITED_STEP_BYTES if self._tracker.is_waiting else SHOWN_STEP_BYTES)
            yield self._tracker.show(data[start:end], at_s)
            start = end

    def _catch_up(self, at_s: float) -> Iterator[list[Finding[T]]]:
        if len(self._kept) > KEPT_BYTES:
            self._shorten()
        modes = "".join(f"\x1b[?{mode}{'h' if is_on else 'l'}" for mode, is_on in self._modes.items())
        kept, self._kept, self._modes = modes.encode() + bytes(self._kept), bytearray(), {}
        yield from self._show_now(kept, at_s)

    def _shorten(self) -> None:
        end = len(self._kept) - KEPT_BYTES
        # From the beginning of a line, if that is not far.
        newline = self._kept.find(b"\n", end, end + KEPT_BYTES // 2)
        end = newline + 1 if newline >= 0 else end
        for found in _MODES.finditer(self._kept, 0, end):
            self._note_modes(found)
        del self._kept[:end]

    def _note_modes(self, found: re.Match[bytes]) -> None:
        if found["set"] is None:
            self._modes = {"1049": False, PASTE_MODE: False, WRAP_MODE: True}  # the terminal was reset
            return
        for mode in found["modes"].decode().split(";"):
            name = "1049" if mode in ALTERNATE_MODES else mode
            if name in {"1049", PASTE_MODE, WRAP_MODE}:
                self._modes[name] = found["set"] == b"h"
