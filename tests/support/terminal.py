"""A terminal of 100 columns that a program writes to."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS = 100
_UP, _ERASE_LINE = "\x1b[1A", "\x1b[2K"
_PARTS = re.compile(r"\r|\n|\x1b\[[?0-9;]*[A-Za-z]|[^\r\n\x1b]+")


def shown_on_terminal(command: Sequence[str], typed: bytes, *, cwd: Path, env: Mapping[str, str]) -> str:
    """Run a command with a pipe as its input and a terminal as its output, and return what the screen then shows."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=terminal,
        stderr=terminal,
        cwd=cwd,
        env={"LANG": "C.UTF-8", "TERM": "xterm", **env},
    ) as process:
        os.close(terminal)
        assert process.stdin is not None
        process.stdin.write(typed)
        process.stdin.close()
        with os.fdopen(screen, "rb", buffering=0) as shown:
            written = b"".join(iter(lambda: _read(shown), b""))
    return _screen_after(written.decode())


def _screen_after(written: str) -> str:
    rows, row, column = [""], 0, 0
    for part in _PARTS.findall(written):
        if part == "\n":
            row, column = row + 1, 0
            rows += [""] * (row == len(rows))
        elif part == "\r":
            column = 0
        elif part == _UP:
            row -= 1
        elif part == _ERASE_LINE:
            rows[row] = ""
        elif not part.startswith("\x1b"):
            rows[row] = f"{rows[row][:column]:<{column}}{part}{rows[row][column + len(part) :]}"
            column += len(part)
    return "\n".join(rows)


def _read(shown: io.FileIO) -> bytes:
    # Linux answers with EIO, and not with the end, when the last process has closed its side of a terminal.
    try:
        return shown.read(65536) or b""
    except OSError:
        return b""
