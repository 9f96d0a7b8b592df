"""Reading the end of the log: its last lines."""

from collections import deque
from pathlib import Path

from telnetsd.audit.file import open_regular, read_tail
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_snapshot
from telnetsd.errors import OperatorError


def last_lines(path: Path, count: int) -> list[bytes]:
    """Return the last `count` whole lines of a log, without their newlines; none when there is no log.

    If the current file has fewer, the earlier ones come from the rotated files.
    """
    try:
        with open_regular(path) as file:
            lines = read_tail(file.fileno(), count)[0]
    except FileNotFoundError:
        lines = []
    return _lines_before(path, count - len(lines)) + lines


def _lines_before(path: Path, count: int) -> list[bytes]:
    """Return the last lines of the files before the current one."""
    if not count:
        return []
    try:
        parts = take_snapshot(path).parts
    except OperatorError:
        return []
    found: deque[bytes] = deque()
    for part in reversed([one for one in parts if one.path != path]):
        lines = deque((line.content for line in read_lines(Snapshot((part,), b""))), count - len(found))
        found.extendleft(reversed(lines))
        if len(found) == count:
            break
    return list(found)
