"""A program on a pseudo-terminal, as a person uses it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte

from support.machine import DEADLINE_S


class PtyProgram:
    """A program on a real pseudo-terminal, which is its controlling terminal.

    Args:
        command: The program and its arguments.
        folder: Its current folder.
        size: Columns and rows of the terminal.
        environment: Variables in addition to those of this process.
    """

    def __init__(
        self, command: list[str], folder: Path, *, size: tuple[int, int] = (80, 24), **environment: str
    ) -> None:
        self._master, slave = pty.openpty()
        self._display = pyte.Screen(*size)
        self._terminal = pyte.ByteStream(self._display)
        self.resize(*size)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **environment},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- it sends SIGWINCH
        )
        os.close(slave)
        self.screen = b""

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._display.resize(rows, columns)

    def type(self, text: bytes) -> None:
        """Type text, at the keyboard."""
        os.write(self._master, text)

    def wait_for(self, pattern: bytes) -> bytes:
        """Return the screen text up to the pattern, and discard it."""
        deadline = time.monotonic() + DEADLINE_S
        while (match := re.search(pattern, self.screen)) is None:
            self.screen += self._read_before(deadline, f"{pattern!r} did not come; the screen shows {self.screen!r}")
        shown, self.screen = self.screen[: match.end()], self.screen[match.end() :]
        # A terminal that is not in raw mode puts its own CR before each LF.
        return shown.replace(b"\r\r\n", b"\r\n")

    def wait_shown(self, text: str) -> None:
        """Wait until the screen shows a text, whatever sequences draw it; rows end with a newline."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self._shown():
            self._terminal.feed(
                self._read_before(deadline, f"{text!r} was not shown; the screen shows {self._shown()!r}")
            )

    def _shown(self) -> str:
        return "".join(f"{str(row).rstrip()}\n" for row in self._display.display)

    def _read_before(self, deadline: float, otherwise: str) -> bytes:
        left = deadline - time.monotonic()
        assert left > 0, otherwise
        return self._read() if select.select([self._master], [], [], left)[0] else b""

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 65536)
        except OSError as error:
            shown = f"{self.screen!r} {self._shown().strip()!r}"
            raise AssertionError(f"the program has ended; the screen shows {shown}") from error

    def close(self) -> None:
        """Kill the program."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)
