"""What a kept-open line has shown, read from its recordings: all segments as one, and on as it grows."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from telnetsd.lines.recordings.name import parse_name
from telnetsd.lines.recordings.playback import LINE_MAX_BYTES, FrameReader, list_recordings, open_recording

LOOK_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Shown:
    """Some output of a line, and when it was shown (aware, UTC)."""

    at: datetime
    data: bytes


@dataclass(frozen=True, slots=True)
class _Segment:
    begun_at: datetime
    path: Path


def read_output(folder: Path, line: str, since: datetime | None, *, follows: bool) -> Iterator[Shown]:
    """Yield what a kept-open line has shown, in order.

    Args:
        folder: The folder of recordings.
        line: The line's name.
        since: Only what was shown since then (aware); None: everything.
        follows: Whether to wait for further output, without end.
    Raises:
        OperatorError: A recording cannot be read, or is damaged.
    """
    segments = _segments(folder, line)
    if since is not None:
        # A segment ends where the next one begins.
        ends = [one.begun_at for one in segments[1:]] + [datetime.max.replace(tzinfo=UTC)]
        segments = [one for one, end in zip(segments, ends, strict=True) if end > since]
    while segments:
        for segment in segments:
            is_growing = partial(_is_newest, folder, line, segment) if follows else None
            yield from (one for one in _read_segment(segment, is_growing) if since is None or one.at >= since)
        segments = _segments(folder, line, segments[-1].begun_at) if follows else []


def _segments(folder: Path, line: str, after: datetime | None = None) -> list[_Segment]:
    """Return the segments of a line in order: those that began after a time."""
    found = []
    for path in list_recordings(folder):
        name = parse_name(path.name)
        if name is not None and name.line == line and not name.session and (after is None or name.begun_at > after):
            found.append(_Segment(name.begun_at, path))
    return found


def _is_newest(folder: Path, line: str, segment: _Segment) -> bool:
    return not _segments(folder, line, segment.begun_at)


def _read_segment(segment: _Segment, is_growing: Callable[[], bool] | None) -> Iterator[Shown]:
    """Yield the output of a segment, and wait for more of it while it grows."""
    reader, row = FrameReader(segment.path), b""
    with open_recording(segment.path) as file:
        while True:
            may_grow = is_growing is not None and is_growing()
            row += file.readline(LINE_MAX_BYTES)
            if row.endswith(b"\n"):
                frame, row = reader.feed(row), b""
                if frame is not None:
                    yield Shown(segment.begun_at + timedelta(seconds=frame.at_s), frame.data)
            elif may_grow:
                time.sleep(LOOK_AGAIN_S)
            else:
                return
