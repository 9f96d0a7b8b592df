"""The terminal of a `telnetsd connect` user: line by line, and key by key while the server echoes."""

import os
import termios
import tty
from typing import Any, Final

DEFAULT_SIZE: Final = (80, 24)


class Keyboard:
    """A descriptor that keys are read from; if it is not a terminal, there is nothing to set.

    Args:
        descriptor: Such as that of standard input.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.is_raw = False
        self._saved: list[Any] | None = termios.tcgetattr(descriptor) if os.isatty(descriptor) else None

    @property
    def kind(self) -> str:
        """The terminal's type, as servers know it."""
        return os.environ.get("TERM", "vt100")

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        try:
            return tuple(os.get_terminal_size(self.descriptor))  # type: ignore[return-value]
        except OSError:
            return DEFAULT_SIZE

    def set_raw(self, *, wanted: bool) -> None:
        """Pass on every key unchanged, or let the terminal edit and echo lines again."""
        if self._saved is None or wanted == self.is_raw:
            return
        self.is_raw = wanted
        if wanted:
            tty.setraw(self.descriptor, termios.TCSADRAIN)
        else:
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)
