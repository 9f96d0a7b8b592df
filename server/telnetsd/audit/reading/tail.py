"""Reading the end of the log: its last lines, and what comes next."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import sleep as nap
from typing import Final

from telnetsd.audit.file import open_regular, read_tail
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_snapshot
from telnetsd.audit.shipping.source import LogSource, sequence_of
from telnetsd.errors import OperatorError

POLL_S: Final = 0.2


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


def follow(path: Path, count: int) -> tuple[list[bytes], Iterator[bytes]]:
    """Return the last `count` lines, and an endless iterator over each later line, across rotation."""
    lines = last_lines(path, max(count, 1))
    after = max(map(sequence_of, lines), default=0)
    return lines[max(0, len(lines) - count) :], _go_on(LogSource(path, after))


def _go_on(source: LogSource) -> Iterator[bytes]:
    while True:
        for one in source.read():
            yield one.line
        nap(POLL_S)


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
