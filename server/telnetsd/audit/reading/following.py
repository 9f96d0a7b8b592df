"""Following the log: its last lines, and each line as it is written."""

from collections.abc import Iterator
from pathlib import Path
from time import sleep as nap
from typing import Final

from telnetsd.audit.reading.tail import last_lines
from telnetsd.audit.shipping.source import LogSource, sequence_of

POLL_S: Final = 0.2


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
