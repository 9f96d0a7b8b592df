"""The command line, as an operator types it."""

import os
import subprocess
import sys
from pathlib import Path

from support.server import DEADLINE_S
from telnetsd.home import Home


def telnetsd(home: Home, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "telnetsd", "--home", str(home.root), *map(str, words)]
    environment = {**os.environ, "COLUMNS": "80", **environment}
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        env=environment,
    )


def done(home: Home, *words: str | Path, **environment: str) -> str:
    """Run a verb that has to succeed, and return what it printed."""
    finished = telnetsd(home, *words, **environment)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def refused(home: Home, *words: str | Path, **environment: str) -> str:
    """Run a verb that has to be refused in one line, and return that line."""
    finished = telnetsd(home, *words, **environment)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    (line,) = finished.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line
