"""A recording in other forms: lines of text with their time, a page for a browser, an asciicast for other players."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from html import escape as escape_html
from pathlib import Path
from typing import Final

from telnetsd.escaping import escape_controls
from telnetsd.lines.recordings.asciicast import INPUT, RAW
from telnetsd.lines.recordings.plain_text import TextLines
from telnetsd.lines.recordings.playback import FrameReader, lines_of, open_recording, read_frames

_DIGITS: Final = 3
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; }}
pre {{ font-size: 90%; white-space: pre-wrap; }}
time {{ color: #666; user-select: none; }}
</style>
</head>
<body>
<h1>{title}</h1>
<pre>
"""
_PAGE_END: Final = """</pre>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class TimedLine:
    """A line of plain text, and when its end was shown (aware, UTC); None for one that has no end yet."""

    at: datetime | None
    text: str


def timed_lines(frames: Iterable[tuple[datetime, bytes]]) -> Iterator[TimedLine]:
    """Yield the lines of text of some output, each part with its time."""
    lines = TextLines()
    for at, data in frames:
        for text in lines.feed(data):
            yield TimedLine(at, text)
    if rest := lines.rest():
        yield TimedLine(None, rest)


def to_text(path: Path, begun_at: datetime) -> Iterator[str]:
    """Yield the rows of a recording as text, each with its time.

    Raises:
        OperatorError: The recording cannot be read.
    """
    for line in timed_lines(_at_their_times(path, begun_at)):
        yield row_of(line)


def row_of(line: TimedLine, zone: tzinfo | None = UTC) -> str:
    """Return a line with its time in a zone (None: this machine's) to the millisecond, or with blanks instead."""
    at = "" if line.at is None else f"{line.at.astimezone(zone):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return f"{at:23}  {escape_controls(line.text)}"


def to_html(path: Path, begun_at: datetime, title: str) -> Iterator[str]:
    """Yield the parts of a page; nothing in it is loaded from elsewhere, and no script is in it.

    Raises:
        OperatorError: The recording cannot be read.
    """
    yield _PAGE.format(title=escape_html(title))
    for line in timed_lines(_at_their_times(path, begun_at)):
        at = "" if line.at is None else f'<time datetime="{line.at.isoformat()}">{line.at:%H:%M:%S}</time>  '
        yield f"{at}{escape_html(escape_controls(line.text))}\n"
    yield _PAGE_END


def to_cast(path: Path) -> Iterator[bytes]:
    """Yield the lines of an asciicast for other players: without typed input, and without what players skip.

    Raises:
        OperatorError: The recording cannot be read.
    """
    reader, passed_s = FrameReader(path), 0.0
    with open_recording(path) as file:
        yield file.readline()
        for line in lines_of(file):
            delay_s, code, data = reader.read_event(line)
            passed_s += delay_s
            if code not in {INPUT, RAW}:
                event = json.dumps((round(passed_s, _DIGITS), code, data))
                # No control character is left as it is: the file may be shown on a terminal.
                yield event.replace("\x7f", "\\u007f").encode() + b"\n"
                passed_s = 0.0


def _at_their_times(path: Path, begun_at: datetime) -> Iterator[tuple[datetime, bytes]]:
    for frame in read_frames(path):
        yield begun_at + timedelta(seconds=frame.at_s), frame.data
