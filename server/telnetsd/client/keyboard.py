"""The terminal of a `telnetsd connect` user: line by line, and key by key while the server echoes."""

import asyncio
import contextlib
import os
import signal
import termios
import threading
import tty
from typing import Any, Final

DEFAULT_SIZE: Final = (80, 24)
READ_BYTES: Final = 65_536


class Keyboard:
    """A descriptor that keys are read from; if it is not a terminal, there is nothing to set.

    Args:
        descriptor: Such as that of standard input.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.is_raw = False
        self.is_terminal = os.isatty(descriptor)
        self._saved: list[Any] | None = termios.tcgetattr(descriptor) if self.is_terminal else None

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
        with contextlib.suppress(termios.error):  # the terminal is gone, and with it its state
            if wanted:
                tty.setraw(self.descriptor, termios.TCSADRAIN)
            else:
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)

    def hide(self) -> None:
        """Let nothing that is typed be shown, until `set_raw` is called: it may have been meant for a line."""
        if self._saved is not None:
            self.set_raw(wanted=False)
            hidden = termios.tcgetattr(self.descriptor)
            hidden[3] &= ~termios.ECHO
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, hidden)

    def show(self) -> None:
        """Let what is typed be shown again, as it was before."""
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)

    def drop_line(self) -> None:
        """Forget the line that the terminal is editing."""
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcflush(self.descriptor, termios.TCIFLUSH)

    def suspend(self) -> None:
        """Stop this program, as ^Z does, and return when it continues; the shell gets the terminal as it was."""
        was_raw = self.is_raw
        self.set_raw(wanted=False)
        os.kill(os.getpid(), signal.SIGSTOP)
        self.set_raw(wanted=was_raw)

    def read_in_background(self) -> "asyncio.Queue[bytes]":
        """Read in a separate thread: a terminal, a pipe and a file are read alike. An empty chunk is the end.

        The thread may still wait for a key when the program ends. It therefore reads the descriptor directly: a
        reader of the standard library holds a lock while it waits, and the interpreter cannot exit without it.
        """
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[bytes] = asyncio.Queue()

        def read() -> None:
            chunk = b"\n"
            while chunk:
                try:
                    chunk = os.read(self.descriptor, READ_BYTES)
                except OSError:
                    chunk = b""  # the terminal is gone
                try:
                    loop.call_soon_threadsafe(chunks.put_nowait, chunk)
                except RuntimeError:
                    return  # the conversation is over, and its loop is closed

        threading.Thread(target=read, daemon=True).start()
        return chunks
