"""The transcripts in README and docs/: each command in them is run, and must print what the transcript shows.

A transcript follows a mark, `<!-- transcript: NAME -->`. Times, ids and days left are compared by their form.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.server import RunningServer
from support.terminal import shown_on_terminal
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = re.compile(r"<!-- transcript: (?P<name>[a-z-]+) -->\n```console\n(?P<text>.*?)```\n", re.DOTALL)
PROMPT = re.compile(r"(?P<prompt>[a-z]+> )(?P<typed>.*)\n")
FORMS = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"[A-Z][a-z]+day \d{4}-\d\d-\d\d \(UTC[^)]*\)"), "DAY"),
    (re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE), "TIME "),
    (re.compile(r"\b[0-9a-f]{16}\b"), "FINGERPRINT"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"in \d+ days"), "in N days"),
    (re.compile(r"\blines? \d+( to \d+)?"), "lines"),
    (re.compile(r"\bnumbers? \d+( to \d+)?"), "numbers"),
    (re.compile(r"in \d+ files?"), "in FILES"),
    (re.compile(r"signed lines among them: \d+"), "signed lines among them: N"),
)
RUN_BY_OTHERS = {"lines": "test_lines.py: the console server of README by copy and paste"}
"""Transcripts that another test runs, since they need more than a server."""


def transcripts() -> Iterator[tuple[str, str]]:
    for path in DOCUMENTS:
        for found in MARK.finditer(path.read_text()):
            yield found["name"], found["text"]


def by_form(text: str) -> str:
    for pattern, form in FORMS:
        text = pattern.sub(form, text)
    return text


def commands_of(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield each command with its input and its output."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, rest = part.partition("\n")
        typed = "".join(f"{found['typed']}\n" for found in PROMPT.finditer(rest))
        yield command, typed, PROMPT.sub(lambda found: found["prompt"], rest)


def run(command: str, typed: str, home: Home) -> str:
    """Run a shell command in the home folder, on a terminal; return the text that a person reads."""
    path = f"{home.root}/.venv/bin:/usr/bin:/bin"
    return shown_on_terminal(["/bin/sh", "-c", command], typed.encode(), cwd=home.root, env={"PATH": path})


@pytest.fixture
def installed(home: Home) -> Home:
    """A home folder in which `telnetsd` and `.venv/bin/telnetsd` run the program, as in a checkout."""
    program = home.root / ".venv" / "bin" / "telnetsd"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m telnetsd "$@"\n')
    program.chmod(0o755)
    return home


def test_every_transcript_has_a_mark_and_is_run() -> None:
    for path in DOCUMENTS:
        text = path.read_text()
        assert text.count("```console\n") == len(list(MARK.finditer(text))), path
    names = [name for name, _ in transcripts()]
    assert len(set(names)) == len(names)
    assert "first" in names


@pytest.mark.parametrize(
    ("name", "text"),
    [pytest.param(*one, id=one[0]) for one in transcripts() if one[0] not in RUN_BY_OTHERS],
)
def test_a_transcript_shows_what_is_printed(
    name: str, text: str, installed: Home, start: Callable[..., RunningServer]
) -> None:
    server = start()
    # `connect` looks for the server where the configuration says.
    installed.config_file.write_text(f'[listener]\nlisten = "127.0.0.1:{server.port}"\n')
    for command, typed, printed in commands_of(text):
        assert by_form(run(command, typed, installed)) == by_form(printed), command
