"""telnetsd recording play, export."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.cli.common import HomeOption, home_of, is_terminal, show_screen
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.lines.recordings.export import to_cast, to_html, to_text
from telnetsd.lines.recordings.name import parse_name, plain_name
from telnetsd.lines.recordings.playback import Frame, find_recording, read_frames
from telnetsd.lines.recordings.vouched import find_vouched, is_vouched_for

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A recording's file name, or the end of it.")]
_SHOWN_BEFORE_BYTES = 65_536
"""How much of the output before the beginning is shown at once, so that the screen is as it was."""
_PAUSE, _QUIT = b" ", b"q"


class Format(StrEnum):
    """The form of an exported recording."""

    TEXT = "text"
    HTML = "html"
    CAST = "cast"


def play(
    context: typer.Context,
    name: NameArgument,
    speed: Annotated[float, typer.Option(min=0.01, max=1000, help="How many times faster than the original.")] = 1.0,
    idle: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="The longest pause, in seconds.")] = 2.0,
    at: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Begin here, in seconds from the start.")] = 0.0,
    raw: Annotated[
        bool, typer.Option("--raw", help="Every byte as recorded, without pauses; not for a terminal.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Play a recording with its timing; space pauses, q ends. Sequences that control the terminal are left out."""
    path = _find(home_of(context, home), name)
    if raw:
        if is_terminal():
            raise OperatorError(
                "--raw is for a file or a program, not for a terminal; omit it, or redirect the output"
            )
        for frame in read_frames(path):
            if frame.at_s >= at:
                sys.stdout.buffer.write(frame.data)
        sys.stdout.buffer.flush()
        return
    with _keys() as keys:
        show_screen(_in_time(read_frames(path), at, speed, idle, keys))


def export(
    context: typer.Context,
    name: NameArgument,
    as_: Annotated[Format, typer.Option("--format", help="Lines of text, a page, or an asciicast.")] = Format.TEXT,
    home: HomeOption = None,
) -> None:
    """Write a recording to standard output: as text with times (UTC), as a page, or as an asciicast to play."""
    path = _find(home_of(context, home), name)
    parsed = parse_name(path.name)
    if parsed is None:
        raise OperatorError(f"{path.name} does not say when it began; give it the name that it had")
    if as_ is Format.CAST:
        for line in to_cast(path):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    title = f"{parsed.line}, {parsed.begun_at:%Y-%m-%d %H:%M:%S} UTC ({plain_name(path.name)})"
    rows = to_html(path, parsed.begun_at, title) if as_ is Format.HTML else to_text(path, parsed.begun_at)
    for row in rows:
        typer.echo(row, nl=as_ is Format.TEXT)


def _find(home: Home, name: str) -> Path:
    """Find a recording, and warn if it is not what the audit log vouches for."""
    path = find_recording(home.recordings_folder, name)
    try:
        vouched = find_vouched(home.audit_file, home.log_index_folder, plain_name(path.name))
    except OperatorError as error:
        typer.echo(f"warning: the audit log does not say whether this recording was changed: {error}", err=True)
        return path
    if vouched is not None and not is_vouched_for(path, vouched):
        typer.echo(f"warning: {path.name} was changed after the audit log vouched for it", err=True)
    return path


class _Keys:
    """The keys that control the player; none if standard input is not a terminal."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def wait(self, seconds: float) -> bool:
        """Wait for a time, or longer if the user pauses; return False if the user ends the player."""
        if self._descriptor is None:
            time.sleep(seconds)
            return True
        end = time.monotonic() + seconds
        while select.select([self._descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
            key = os.read(self._descriptor, 1)
            if key in {_QUIT, b""} or (key == _PAUSE and not self._wait_paused(self._descriptor)):
                return False
        return True

    @staticmethod
    def _wait_paused(descriptor: int) -> bool:
        while (key := os.read(descriptor, 1)) not in {_QUIT, b""}:
            if key == _PAUSE:
                return True
        return False


@contextmanager
def _keys() -> Iterator[_Keys]:
    """Read single keys from the terminal, if there is one."""
    if not (sys.stdin.isatty() and is_terminal()):
        yield _Keys(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield _Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _in_time(frames: Iterator[Frame], at_s: float, speed: float, idle_s: float, keys: _Keys) -> Iterator[bytes]:
    """Yield what was shown, each part at its time; what came before the beginning is shown at once."""
    before = b""
    for frame in frames:
        if frame.at_s < at_s:
            before = (before + frame.data)[-_SHOWN_BEFORE_BYTES:]
            continue
        if before:
            yield before
            before = b""
        if not keys.wait(min(frame.delay_s, frame.at_s - at_s, idle_s) / speed):
            return
        yield frame.data
    yield before
