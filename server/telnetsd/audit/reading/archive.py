"""The files of a log, in the order of its chain: the rotated ones, and the one that is currently being written.

A rotated file may have been compressed, by telnetsd or by another program. It may have any name that begins like the
log's. The first lines of the files determine their order. Nothing is trusted here: see `audit.reading.verification`.
"""

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import zstandard

from telnetsd.audit.chain import Link, link_of
from telnetsd.audit.file import open_regular, read_seal_of
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.files.locking import take_lock

LINE_MAX_BYTES: Final = 16 * 2**20
"""No event is this long: a longer line is damage, and is not kept in memory."""
LOCK_TIMEOUT_S: Final = 5.0
NAME_MAX_CHARS: Final = 1024
_PROGRESS_LINES: Final = 4096
_BUFFER_BYTES: Final = 2**20
_BETWEEN_FILES_S: Final = 0.01
_LOOKS_MAX: Final = 10
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_OPENERS: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_BROKEN: Final = (zstandard.ZstdError, lzma.LZMAError, zlib.error, EOFError)


class LogLine(NamedTuple):
    """One line of a log file, without its newline; `is_whole` says whether it had one."""

    path: Path
    number: int
    content: bytes
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class LogPart:
    """One file of a log.

    Attributes:
        path: The file.
        first: The link of its first line; None when that line is damaged.
        size: Its size in bytes.
        is_plain: Whether it is not compressed: then only `size` bytes of it count, since the rest is being written.
    """

    path: Path
    first: Link | None
    size: int
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A log at one moment: its files in order, and its seal (empty when there is none)."""

    parts: tuple[LogPart, ...]
    seal: bytes

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        return sum(part.size for part in self.parts)


def take_snapshot(path: Path) -> Snapshot:
    """Find every file of the log whose current file is at `path`, while no process writes to it.

    Raises:
        OperatorError: There is no file, one cannot be read, or a writer does not release its lock.
    """
    with _readable(path.parent):
        for _ in range(_LOOKS_MAX):
            # Retry if a file that was listed has been compressed, or a new one was begun.
            with contextlib.suppress(FileNotFoundError):
                return _look(path)
        raise FileNotFoundError(errno.ENOENT, "its files keep changing; try again", str(path))


def _look(path: Path) -> Snapshot:
    with _quiet(path):
        before = read_seal_of(path)
        found = [_examine(one) for one in sorted(path.parent.glob(f"{path.stem}*")) if _is_part(one, path)]
        seal = read_seal_of(path)
    if seal != before:
        # Between two files there was no file to lock, and a writer has begun a new one.
        raise FileNotFoundError(errno.ENOENT, "it was written in the meantime; try again", str(path))
    if not found:
        raise OperatorError(f"no audit log at {path} yet; the first event creates it: is this the home folder?")
    return Snapshot(tuple(_in_order(found)), seal)


def take_files(paths: list[Path]) -> Snapshot:
    """Return a snapshot of the named files; the seal is the one beside the last of them.

    Raises:
        OperatorError: A file cannot be read, or a writer does not release its lock.
    """
    with _readable(paths[0]):
        last = _in_order([_examine(path) for path in paths])[-1].path
        with _quiet(last):
            return Snapshot(tuple(_in_order([_examine(path) for path in paths])), read_seal_of(last))


def read_lines(snapshot: Snapshot, on_progress: Callable[[int], None] = lambda _: None) -> Iterator[LogLine]:
    """Yield every line of a log, in constant memory, wherever its files are now.

    Args:
        snapshot: The log.
        on_progress: Called from time to time with how many bytes of the files have been read.
    Raises:
        OperatorError: A file cannot be read, or was removed meanwhile.
    """
    done = 0
    for part in snapshot.parts:
        before = done
        with _readable(part.path), _find_again(part)[1] as raw:
            for line in _lines_of(raw, part.path, part.size if part.is_plain else None):
                yield line
                if line.number % _PROGRESS_LINES == 0:
                    on_progress(before + min(raw.tell(), part.size))
        done = before + part.size
        on_progress(done)


def read_ranges(part: LogPart, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the lines, without their newlines, of some ranges of the plain content of one file.

    Args:
        part: The file.
        ranges: Offset and size of each range, in order; a range has whole lines.
    Raises:
        OperatorError: The file cannot be read, or was removed meanwhile.
    """
    with _readable(part.path), _find_again(part)[1] as raw, contextlib.suppress(*_BROKEN):
        _, source = _unpack(raw)
        at = 0
        for offset, size in ranges:
            while at < offset:
                at += len(source.read(min(_BUFFER_BYTES, offset - at))) or offset
            content = source.read(size)
            at += len(content)
            yield from content.removesuffix(b"\n").split(b"\n")


@contextmanager
def open_part(part: LogPart) -> Iterator[tuple[str, IO[bytes], int]]:
    """Open one file of a log in order to copy it; yields its name, the file, and how many of its bytes count.

    Raises:
        OperatorError: The file cannot be read, or was removed meanwhile.
    """
    with _readable(part.path):
        path, raw = _find_again(part)
        with raw:
            is_plain = _unpack(raw)[0]
            raw.seek(0)
            yield path.name, raw, part.size if is_plain else os.fstat(raw.fileno()).st_size


def _lines_of(raw: IO[bytes], path: Path, limit: int | None) -> Iterator[LogLine]:
    """Yield the lines of one file, up to a limit of its content in bytes.

    If the file cannot be decompressed any further, the last line that is yielded is empty, which is not a valid line.
    """
    number, left = 0, limit
    _, source = _unpack(raw)
    try:
        while content := source.readline(LINE_MAX_BYTES if left is None else min(left, LINE_MAX_BYTES)):
            number += 1
            yield LogLine(path, number, content.rstrip(b"\n"), content.endswith(b"\n"))
            if left is not None:
                left -= len(content)
    except OSError as error:
        # Decompressors raise OSError too, without a number: then the error is about the content.
        if error.errno is not None:
            raise
        yield LogLine(path, number + 1, b"")
    except _BROKEN:
        yield LogLine(path, number + 1, b"")


def _unpack(raw: IO[bytes]) -> tuple[bool, IO[bytes]]:
    """Return whether a file is plain text, and a reader of its content."""
    begin = raw.read(8)
    raw.seek(0)
    if begin.startswith(_ZSTD):
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)
        return False, io.BufferedReader(cast("io.RawIOBase", reader), _BUFFER_BYTES)
    opener = next((one for magic, one in _OPENERS.items() if begin.startswith(magic)), None)
    return opener is None, opener(raw) if opener else raw


def _is_part(one: Path, path: Path) -> bool:
    """Tell from its name whether a file belongs to a log: audit.jsonl, audit-0….jsonl.zst, audit.jsonl.1.gz."""
    is_named_so = one.name.startswith((f"{path.stem}-", path.name)) and path.suffix in one.name
    return is_named_so and one.suffix not in {".part", ".seal"} and one.is_file()


def _examine(path: Path) -> LogPart:
    with open_regular(path) as raw:
        size, is_plain = os.fstat(raw.fileno()).st_size, _unpack(raw)[0]
        raw.seek(0)
        return LogPart(path, _first_link(raw, path), size, is_plain)


def _first_link(raw: IO[bytes], path: Path) -> Link | None:
    line = next(_lines_of(raw, path, None), None)
    raw.seek(0)
    return link_of(line.content) if line else None


def _find_again(part: LogPart) -> tuple[Path, IO[bytes]]:
    """Find and open a file that was listed before, and may have been rotated away or compressed meanwhile.

    Raises:
        FileNotFoundError: It is gone.
    """
    for _ in range(_LOOKS_MAX):
        # Retry, since it may be renamed between being listed and being opened.
        others = (one for one in sorted(part.path.parent.iterdir()) if ".jsonl" in one.name and one.suffix != ".part")
        for path in (part.path, *others):
            with contextlib.suppress(OSError):
                raw = open_regular(path)
                if _first_link(raw, path) == part.first:
                    return path, raw
                raw.close()
    raise FileNotFoundError(errno.ENOENT, "it was removed in the meantime; try again", str(part.path))


def _in_order(parts: list[LogPart]) -> list[LogPart]:
    """Order files by what their first lines say; a file that only repeats the beginning of another is left out.

    Two files that begin alike and continue differently both stay: one of them is not a file of this log, and
    verification reports it.
    """
    ordered: list[LogPart] = []
    for part in sorted((one for one in parts if one.size), key=_place):
        twin = ordered[-1] if ordered and part.first is not None and part.first == ordered[-1].first else None
        if twin is not None and _is_beginning(part, twin):
            continue
        if twin is not None and _is_beginning(twin, part):
            ordered[-1] = part
        else:
            ordered.append(part)
    return ordered or parts[:1]


def _place(part: LogPart) -> tuple[int, str]:
    return (part.first.head.sequence if part.first else 0, part.path.name)


def _is_beginning(one: LogPart, other: LogPart) -> bool:
    """Tell whether a file's lines are the first lines of another one."""
    with open_regular(one.path) as first, open_regular(other.path) as second:
        lines = zip_longest(
            (line.content for line in _lines_of(first, one.path, None)),
            (line.content for line in _lines_of(second, other.path, None)),
        )
        return all(mine is None or mine == theirs for mine, theirs in lines)


@contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """Block writers for a moment, if the file that they write exists."""
    with contextlib.ExitStack() as held:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while not _lock_current(path, held):
            if time.monotonic() > deadline:
                raise OperatorError(f"a writer holds the lock of {path}, and may be suspended; stop it")
        yield


def _lock_current(path: Path, held: contextlib.ExitStack) -> bool:
    """Lock the file at a path, if it exists, and return whether it is still there afterwards."""
    try:
        file = held.enter_context(open_regular(path))
    except FileNotFoundError:
        # Between two files there is no file for a moment.
        time.sleep(_BETWEEN_FILES_S)
        return not path.exists()
    if not take_lock(file.fileno(), LOCK_TIMEOUT_S, is_shared=True):
        return False
    return path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        shown = escape(str(error.filename or path), NAME_MAX_CHARS)
        raise OperatorError(f"cannot read {shown}: {error.strerror or error}; is this the right path?") from error
