"""After a server was killed, the next one closes what is open on the log, and vouches for its recordings."""

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from telnetsd.audit.compression import UNFINISHED
from telnetsd.audit.file import open_regular
from telnetsd.audit.open_sessions import fields_of_session, find_unended
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_snapshot
from telnetsd.audit.reading.row import LoggedEvent, read_event, text_of, who_of
from telnetsd.audit.trail import Trail
from telnetsd.errors import OperatorError
from telnetsd.events.context import LinePart
from telnetsd.events.of_sessions import LineConnected, RecordingClosed, SessionEnded
from telnetsd.events.of_the_server import ServerStarted, ServerStopped
from telnetsd.events.part import Fields, to_fields
from telnetsd.events.reason import EndReason
from telnetsd.files.home import Home
from telnetsd.lines.recordings.name import SUFFIX, parse_name, recording_end
from telnetsd.lines.recordings.recording import Recorded, vouch_for
from telnetsd.lines.table import LineTable

_STARTED: Final = f'"action":"{ServerStarted.action}"'.encode()
_STOPPED: Final = f'"action":"{ServerStopped.action}"'.encode()
CLOSED_AT_ONCE: Final = 1000
"""How many sessions are closed together: fewer than the sink gathers."""
_UNKNOWN_KIND: Final = "unknown"
"""The kind of a line that is no longer in the configuration."""
_CHUNK_BYTES: Final = 1024 * 1024
_LINES: Final = tuple(f'"action":"{one}"'.encode() for one in (LineConnected.action, RecordingClosed.action))

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the previous server ended: whether it was killed, and which sessions and recordings it has left open."""

    was_killed: bool = False
    unended: tuple[Fields, ...] = ()
    recordings: tuple[Path, ...] = ()


def look_back(home: Home) -> LastRun:
    """Read the last file of the log that has events; each file begins with the sessions that are open then.

    Raises:
        OperatorError: The log cannot be read.
    """
    audit_file = home.audit_file
    if not audit_file.parent.exists():
        return LastRun()
    try:
        snapshot = take_snapshot(audit_file)
    except OperatorError:
        return LastRun()  # there is no log; the code that writes to it reports what is wrong
    parts = [part for part in snapshot.parts if part.size]
    last = parts[-1:]
    # A file without a start or a stop belongs to the server that was started in an earlier one.
    is_running = len(parts) > 1

    def lines() -> Iterator[bytes]:
        nonlocal is_running
        for line in read_lines(Snapshot(tuple(last), b"")):
            if _STARTED in line.content or _STOPPED in line.content:
                is_running = _STARTED in line.content
            yield line.content

    unended = tuple(find_unended(lines()))
    # Before any new recordings are made: from then on, a recording may belong to the new server.
    recordings = tuple(sorted(home.recordings_folder.glob(f"*{SUFFIX}")))
    return LastRun(bool(last) and is_running, unended, recordings)


async def close_sessions(last: LastRun, trail: Trail) -> None:
    """Record that the sessions of a server that was killed are over.

    Raises:
        AuditUnavailableError: The log cannot be written.
    """
    for start in range(0, len(last.unended), CLOSED_AT_ONCE):
        await asyncio.gather(*(_close(began, trail) for began in last.unended[start : start + CLOSED_AT_ONCE]))


def _close(began: Fields, trail: Trail) -> Awaitable[None]:
    reason = EndReason.SERVER_LOST
    message = f"{who_of(began)}: the session ended ({reason.value})"
    return trail.with_fields(fields_of_session(began)).record(SessionEnded(reason=reason, message=message))


async def vouch_for_recordings(home: Home, last: LastRun, lines: LineTable, trail: Trail) -> None:
    """Have the log vouch for the content of the recordings that a server was making when it was killed.

    The whole log is read for this, in a thread.
    """
    try:
        for unfinished in home.recordings_folder.glob(UNFINISHED):
            unfinished.unlink()  # its compression was interrupted; the recording itself is still there
        left = await asyncio.to_thread(_find_unvouched, home, last.recordings)
        for path, (line, connected) in left.items():
            recorded = await asyncio.to_thread(_examine, path)
            fields = fields_of_session(dict(connected)) if connected is not None else _fields_of_line(line, lines)
            await vouch_for(recorded, line, trail.with_fields(fields), EndReason.SERVER_LOST)
    except (OSError, OperatorError) as error:
        logger.warning("recordings of the server that was killed are not vouched for: %s", error)


def _fields_of_line(name: str, lines: LineTable) -> Fields:
    line = lines.find(name)
    return to_fields(LinePart(name=name, kind=line.kind if line is not None else _UNKNOWN_KIND))


def _find_unvouched(home: Home, recordings: tuple[Path, ...]) -> dict[Path, tuple[str, LoggedEvent | None]]:
    """Return recordings that the log does not vouch for: their line, and the event that connected their session.

    The recording of a kept-open line belongs to no session.
    """
    waiting = {path.name: path for path in recordings}
    names = ((path.name, parse_name(path.name)) for path in recordings)
    found: dict[str, tuple[str, LoggedEvent | None]] = {
        file: (name.line, None) for file, name in names if name is not None and not name.session
    }
    by_end = defaultdict(list)
    for name in waiting:
        by_end[name.partition("-")[2]].append(name)
    for line in read_lines(take_snapshot(home.audit_file)) if waiting else ():
        if not any(mark in line.content for mark in _LINES):
            continue
        event = read_event(line.content)
        if text_of(event, "event.action") == RecordingClosed.action:
            waiting.pop(text_of(event, "telnetsd.recording.file"), None)
            continue
        line_name = text_of(event, "telnetsd.line.name")
        for name in by_end.get(recording_end(line_name, text_of(event, "telnetsd.session.id")), ()):
            found[name] = (line_name, event)
    return {path: found[name] for name, path in waiting.items() if name in found}


def _examine(path: Path) -> Recorded:
    """Return the digest and size of a recording.

    Raises:
        OSError: The recording cannot be read.
    """
    digest, size = sha256(), 0
    with open_regular(path) as file:
        os.fsync(file.fileno())
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Recorded(path.name, digest.hexdigest(), size, is_whole=False)
