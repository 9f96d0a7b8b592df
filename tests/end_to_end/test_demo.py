"""telnetsd demo: what it shows, and that nothing of it is left."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.machine import DEADLINE_S
from support.pty_program import PtyProgram

COMMAND = [sys.executable, "-m", "telnetsd", "demo"]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; its name is short, since a socket is below it."""
    with TemporaryDirectory(dir="/tmp") as made:
        monkeypatch.setenv("TMPDIR", made)
        yield Path(made)


def processes_in(folder: Path) -> list[bytes]:
    """Return the command lines of the processes that work on a home folder below this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [words for words in found if str(folder).encode() in words]


def test_it_shows_a_login_a_denial_and_the_log_that_proves_them(folder: Path) -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert "you are alice (operator; class 1)" in done.stdout
    assert "permission denied: `sessions` requires the role auditor or operator; you are a guest" in done.stdout
    assert "connection to localhost closed: alice has ended this session" in done.stdout
    assert re.search(r"^\d\d:\d\d:\d\d F guest   sessions \(role-missing\)$", done.stdout, re.MULTILINE)
    assert re.search(rf"\n\$ telnetsd audit verify --home {folder}/telnetsd-\w+/home\nintact\n", done.stdout)
    assert re.search(rf"^{folder}/telnetsd-\w+ was removed\n\Z", done.stdout, re.MULTILINE)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_on_a_terminal_it_goes_on_until_it_is_ended_and_leaves_nothing(number: signal.Signals, folder: Path) -> None:
    shown = PtyProgram(COMMAND, folder)
    shown.wait_for(rb"now you, in another terminal; \^C ends this")
    shown.wait_for(rb"--user alice --home\s+" + re.escape(os.fsencode(folder)))
    assert len(processes_in(folder)) >= 2
    os.kill(shown.process.pid, number)
    shown.wait_for(rb"nothing is missing after them: the seal proves it\r\n.* was removed\r\n")
    assert shown.process.wait(DEADLINE_S) == 0
    assert list(folder.iterdir()) == []
    assert processes_in(folder) == []


def test_it_says_in_one_line_why_it_cannot_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: the demonstration cannot go on: the server: error: .*AF_UNIX.*\n", done.stderr)
    assert list(deep.iterdir()) == []
