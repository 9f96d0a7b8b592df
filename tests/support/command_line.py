"""The command line as an operator uses it, run in this process, since another one would only cost time.

A case that needs its own process (a terminal, a signal, an exit) has one: see tests/end_to_end/test_command_line.py.
"""

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from telnetsd.cli import main
from telnetsd.files.home import Home


@dataclass(frozen=True)
class Finished:
    """How a verb ended, and what it printed."""

    returncode: int
    output: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.output.decode()


def telnetsd(home: Home, *words: str | Path, **environment: str) -> Finished:
    arguments = ["telnetsd", "--home", str(home.root), *map(str, words)]
    output, errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), io.StringIO()
    status = 0
    with (
        open(os.devnull) as nothing,  # noqa: PTH123
        patch.object(sys, "argv", arguments),
        patch.object(sys, "stdin", nothing),
        patch.dict(os.environ, {"COLUMNS": "80", **environment}),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
    buffer = output.buffer
    assert isinstance(buffer, io.BytesIO)
    return Finished(status, buffer.getvalue(), errors.getvalue())


def done(home: Home, *words: str | Path, **environment: str) -> str:
    """Run a verb that must succeed, and return what it printed."""
    finished = telnetsd(home, *words, **environment)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def refused(home: Home, *words: str | Path, **environment: str) -> str:
    """Run a verb that must be refused in one line, and return that line."""
    finished = telnetsd(home, *words, **environment)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    (line,) = finished.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line
