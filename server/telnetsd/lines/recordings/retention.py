"""Which recordings of a line are to be removed, since they are old or too large together: the oldest first."""

from collections import defaultdict
from collections.abc import Iterable
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
    """A recording that is to be removed, its line, and why."""

    path: Path
    line: str
    reason: RetentionReason


def find_expired(folder: Path, lines: Iterable[LineSettings], at: datetime) -> list[Expired]:
    """Return the recordings that are to be removed; never a line's newest, which may still be written.

    Args:
        folder: The folder of recordings.
        lines: The settings of each line.
        at: The current time (aware, UTC).
    Raises:
        OSError: A recording cannot be examined.
    """
    of_lines = defaultdict(list)
    for path in list_recordings(folder):
        name = parse_name(path.name)
        if name is not None:
            of_lines[name.line].append((name.begun_at, path))
    return [one for settings in lines for one in _find_expired(of_lines.get(settings.name, []), settings, at)]


def _find_expired(files: list[tuple[datetime, Path]], settings: LineSettings, at: datetime) -> list[Expired]:
    """Return the recordings of one line that are to be removed, the oldest first; `files` are in that order."""
    oldest = at - timedelta(days=settings.recording_retention_days)
    found, total = [], 0
    # From the newest on: the ones before the limit stay.
    for number, (begun_at, path) in enumerate(reversed(files)):
        total += path.stat().st_blocks * _BLOCK_BYTES
        is_too_much = 0 < settings.recording_retention_bytes < total
        is_old = settings.recording_retention_days > 0 and begun_at < oldest
        if number > 0 and (is_too_much or is_old):
            reason = RetentionReason.SIZE if is_too_much else RetentionReason.AGE
            found.append(Expired(path, settings.name, reason))
    return found[::-1]
