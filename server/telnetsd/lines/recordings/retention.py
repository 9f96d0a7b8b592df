"""Which recordings of a line are to be removed, since they are old or too large together: the oldest first."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from telnetsd.config.settings import LineSettings
from telnetsd.events.reason import RetentionReason
from telnetsd.lines.recordings.name import parse_name
from telnetsd.lines.recordings.playback import list_recordings

_BLOCK_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Expired:
    """A recording that is to be removed, and why."""

    path: Path
    reason: RetentionReason


def find_expired(folder: Path, settings: LineSettings, at: datetime) -> list[Expired]:
    """Return the recordings of a line that are to be removed; never its newest, which may still be written.

    Args:
        folder: The folder of recordings.
        settings: The line's settings.
        at: The current time (aware, UTC).
    Raises:
        OSError: A recording cannot be examined.
    """
    named = ((parse_name(path.name), path) for path in list_recordings(folder))
    files = [(name.begun_at, path) for name, path in named if name is not None and name.line == settings.name]
    oldest = at - timedelta(days=settings.recording_retention_days)
    found, total = [], 0
    # From the newest on: the ones before the limit stay.
    for number, (begun_at, path) in enumerate(reversed(files)):
        total += path.stat().st_blocks * _BLOCK_BYTES
        is_too_much = 0 < settings.recording_retention_bytes < total
        is_old = settings.recording_retention_days > 0 and begun_at < oldest
        if number > 0 and (is_too_much or is_old):
            found.append(Expired(path, RetentionReason.SIZE if is_too_much else RetentionReason.AGE))
    return found[::-1]
