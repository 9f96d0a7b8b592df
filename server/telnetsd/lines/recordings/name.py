"""The file names of recordings, without I/O: when one begins, of which line, and of which session if there is one."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SUFFIX: Final = ".cast"
ZSTD_SUFFIX: Final = ".zst"
_OF_LINE: Final = "line"
_TIME: Final = "%Y%m%dT%H%M%S.%f"
_NAME: Final = re.compile(rf"([0-9]{{8}}T[0-9]{{6}}\.[0-9]{{6}})-(.+)-({_OF_LINE}|[0-9a-f]{{8}})\.cast")


@dataclass(frozen=True, slots=True)
class RecordingName:
    """What the name of a recording says.

    Attributes:
        begun_at: When it began (aware, UTC).
        line: The line's name.
        session: The end of the session's id; empty for the recording of a line that is kept open.
    """

    begun_at: datetime
    line: str
    session: str


def recording_end(line_name: str, session_id: str) -> str:
    """Return the end of the file name of a session's recording, which follows its time and a dash."""
    return f"{line_name}-{session_id[-8:]}{SUFFIX}"


def line_recording_end(line_name: str) -> str:
    """Return the end of the file name of a kept-open line's recording; no session's recording ends like this."""
    return f"{line_name}-{_OF_LINE}{SUFFIX}"


def name_now(end: str) -> str:
    """Return the name of a recording that begins now."""
    # With microseconds: a session may reconnect to a line at once.
    return f"{datetime.now(UTC).strftime(_TIME)}-{end}"


def parse_name(name: str) -> RecordingName | None:
    """Return what the name of a recording says, compressed or not; None if it is not such a name."""
    found = _NAME.fullmatch(plain_name(name))
    if found is None:
        return None
    try:
        begun_at = datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None  # digits that are no time
    return RecordingName(begun_at, found[2], "" if found[3] == _OF_LINE else found[3])


def plain_name(name: str) -> str:
    """Return the name of a recording as the log has it: that of the file before it was compressed."""
    return name.removesuffix(ZSTD_SUFFIX)
