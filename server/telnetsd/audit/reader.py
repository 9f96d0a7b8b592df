"""Reading the end of the log: its last lines, and what comes next."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import sleep as nap
from typing import Final

from telnetsd.audit.archive import Snapshot, read_lines, take_snapshot
from telnetsd.errors import OperatorError

POLL_S: Final = 0.2
_CHUNK_BYTES: Final = 65536


def last_lines(path: Path, count: int) -> list[bytes]:
    """Return the last `count` whole lines of a log, without their newlines; none when there is no log.

    Where the current file has fewer, those before come from the files that were rotated away.
    """
    try:
        with path.open("rb") as file:
            lines = _last_lines(file.fileno(), count)[0]
    except FileNotFoundError:
        return []
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


def follow(path: Path, count: int) -> tuple[list[bytes], Iterator[bytes]]:
    """Return the last `count` lines, and an endless iterator over each line that is written then, across rotation."""
    descriptor, position, lines = _open(path), 0, list[bytes]()
    if descriptor >= 0:
        lines, position = _last_lines(descriptor, count)
        lines = _lines_before(path, count - len(lines)) + lines
    return lines, _go_on(path, descriptor, position)


def _go_on(path: Path, descriptor: int, position: int) -> Iterator[bytes]:
    size = _CHUNK_BYTES
    while True:
        # Always from the end of the last whole line: half a line may be taken back, and another come in its place.
        chunk = os.pread(descriptor, size, position) if descriptor >= 0 else b""
        end = chunk.rfind(b"\n") + 1
        if end:
            yield from chunk[: end - 1].split(b"\n")
            position, size = position + end, _CHUNK_BYTES
        elif len(chunk) == size:
            size *= 2
        elif _was_replaced(path, descriptor):
            if descriptor >= 0:
                os.close(descriptor)
            descriptor, position = _open(path), 0
        elif descriptor >= 0 and os.fstat(descriptor).st_size < position:
            position = _last_lines(descriptor, 0)[1]
        else:
            nap(POLL_S)


def _last_lines(descriptor: int, count: int) -> tuple[list[bytes], int]:
    """Return the last whole lines, and the offset behind them."""
    size = start = os.fstat(descriptor).st_size
    tail = b""
    while start > 0 and tail.count(b"\n") <= count:
        start = max(0, start - _CHUNK_BYTES)
        tail = os.pread(descriptor, size - start, start)
    lines = tail.split(b"\n")[:-1]
    return lines[max(0, len(lines) - count) :], start + tail.rfind(b"\n") + 1


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _was_replaced(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    if descriptor < 0:
        return True
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
