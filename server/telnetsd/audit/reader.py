"""Reading the audit log: its last lines, what comes next, and each event as a person wants to see it.

What is read here was escaped when it was written; it is looked at again before it is shown, since a file can change.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep as nap
from typing import Any, Final

import msgspec

from telnetsd.escaping import escape

POLL_S: Final = 0.2
MESSAGE_MAX_CHARS: Final = 300
_CHUNK_BYTES: Final = 65536
_NOTHING: Final = "-"


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event for people: every value is one line of printable text, `-` where there is none."""

    time: str
    outcome: str
    user: str
    source: str
    session: str
    action: str
    message: str


def last_lines(path: Path, count: int) -> list[bytes]:
    """Return the last `count` whole lines of a file, without their newlines; none when there is no file."""
    try:
        with path.open("rb") as file:
            return _last_lines(file.fileno(), count)[0]
    except FileNotFoundError:
        return []


def follow(path: Path, count: int) -> Iterator[bytes]:
    """Yield the last `count` lines, and then each line as it is written, across rotation, without end."""
    descriptor, position = _open(path), 0
    if descriptor >= 0:
        lines, position = _last_lines(descriptor, count)
        yield from lines
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


def describe_line(line: bytes) -> EventRow:
    """Return what a person wants to see of a line of the log; of a damaged one, that it is damaged."""
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = {"message": f"damaged line: {line[:80]!r}"}
    return EventRow(
        time=_text(event, "@timestamp")[:19].replace("T", " ") or _NOTHING,
        outcome=_text(event, "event", "outcome") or _NOTHING,
        user=_who(event) or _NOTHING,
        source=_source(event),
        session=short_session_id(_text(event, "telnetsd", "session", "id")) or _NOTHING,
        action=_text(event, "event", "action") or _NOTHING,
        message=_text(event, "message") or _NOTHING,
    )


def short_session_id(session_id: str) -> str:
    """The last 8 characters of a session's id: random, where the first ones are the time."""
    return session_id[-8:]


def _who(event: Any) -> str:  # noqa: ANN401
    """The user's name; `guest`; or whoever used the command line, in brackets, since that is no user of ours."""
    operator = _text(event, "telnetsd", "operator", "name")
    is_guest = _text(event, "telnetsd", "identity", "kind") == "guest"
    return _text(event, "user", "name") or ("guest" if is_guest else f"({operator})" if operator else "")


def _source(event: Any) -> str:  # noqa: ANN401 -- whatever JSON the line holds
    address, port = _text(event, "source", "ip"), _text(event, "source", "port")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}" if address else _NOTHING


def _text(value: Any, *keys: str) -> str:  # noqa: ANN401
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else _printable(str(value))


def _printable(text: str) -> str:
    # Backslashes were doubled when the event was made; only what should not be there at all is escaped again.
    return text[:MESSAGE_MAX_CHARS] if text.isprintable() else escape(text, MESSAGE_MAX_CHARS)


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
