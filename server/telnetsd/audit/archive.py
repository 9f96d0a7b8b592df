"""The files of a log, in the order of its chain: those that were rotated away, and the one that is written now.

A rotated file may have been compressed, by us or by somebody else, and may have any name that begins like the log's.
What orders them is what their first lines say. Nothing here is believed: see `audit.verification`.
"""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import zstandard

from telnetsd.audit.chain import ChainError, Link, read_link
from telnetsd.audit.file import seal_path
from telnetsd.errors import OperatorError
from telnetsd.locking import take_lock

LINE_MAX_BYTES: Final = 16 * 2**20
"""No event is so long: what is longer is damage, and is not kept in memory."""
LOCK_TIMEOUT_S: Final = 5.0
_PROGRESS_LINES: Final = 4096
_BUFFER_BYTES: Final = 2**20
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_OPENERS: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_BROKEN: Final = (zstandard.ZstdError, gzip.BadGzipFile, lzma.LZMAError, EOFError)


class Line(NamedTuple):
    """One line of a log's file, without its newline; `is_whole` tells whether it had one."""

    path: Path
    number: int
    content: bytes
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a log.

    Attributes:
        path: The file.
        first: What its first line says; None when that is damaged.
        size: How many of its bytes count; the rest is being written.
    """

    path: Path
    first: Link | None
    size: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A log at one moment: its files in order, and its seal (empty when there is none)."""

    parts: tuple[Part, ...]
    seal: bytes

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        return sum(part.size for part in self.parts)


def take_snapshot(path: Path) -> Snapshot:
    """Find every file of the log whose current file is at `path`, while nobody writes.

    Raises:
        OperatorError: There is none, one cannot be read, or a writer does not let go of it.
    """
    with _readable(path.parent), _quiet(path):
        found = [_examine(one) for one in sorted(path.parent.glob(f"{path.stem}*")) if _is_part(one, path)]
        seal = _read_seal(path)
    if not found:
        raise OperatorError(f"no audit log at {path} yet; the first event makes it: is this the home folder?")
    return Snapshot(tuple(_in_order(found)), seal)


def take_files(paths: list[Path]) -> Snapshot:
    """Take the files that are named; the seal is the one beside the last of them.

    Raises:
        OperatorError: One cannot be read.
    """
    found = []
    for path in paths:
        with _readable(path), _quiet(path):
            found.append(_examine(path))
    ordered = _in_order(found)
    with _readable(ordered[-1].path):
        return Snapshot(tuple(ordered), _read_seal(ordered[-1].path))


def read_lines(snapshot: Snapshot, on_progress: Callable[[int], None] = lambda _: None) -> Iterator[Line]:
    """Yield every line of a log, in constant memory.

    Args:
        snapshot: The log.
        on_progress: Told now and then how many bytes of the files have been read.
    Raises:
        OperatorError: A file cannot be read.
    """
    done = 0
    for part in snapshot.parts:
        before = done
        with _readable(part.path), _open(part.path) as raw:
            for line in _lines_of(part, raw):
                yield line
                if line.number % _PROGRESS_LINES == 0:
                    on_progress(before + raw.tell())
        done = before + part.size
        on_progress(done)


def _lines_of(part: Part, raw: IO[bytes]) -> Iterator[Line]:
    """Yield the lines of one file; where it cannot be decompressed any further, a line that is none."""
    number, left = 0, part.size
    is_plain, source = _unpack(raw)
    try:
        while content := source.readline(LINE_MAX_BYTES):
            left -= len(content)
            if is_plain and left < 0:
                content = content[:left]
            if not content:
                return
            number += 1
            yield Line(part.path, number, content.rstrip(b"\n"), content.endswith(b"\n"))
            if is_plain and left <= 0:
                return
    except _BROKEN:
        yield Line(part.path, number + 1, b"", is_whole=True)


def _unpack(raw: IO[bytes]) -> tuple[bool, IO[bytes]]:
    """Return whether a file is plain text, and a reader of its content."""
    begin = raw.read(8)
    raw.seek(0)
    if begin.startswith(_ZSTD):
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return False, io.BufferedReader(cast("io.RawIOBase", reader), _BUFFER_BYTES)
    opener = next((one for magic, one in _OPENERS.items() if begin.startswith(magic)), None)
    return opener is None, opener(raw) if opener else raw


def _is_part(one: Path, path: Path) -> bool:
    """Tell from its name whether a file is one of a log's: audit.jsonl, audit-0….jsonl.zst, audit.jsonl.1.gz."""
    is_named_so = one.name.startswith((f"{path.stem}-", path.name)) and path.suffix in one.name
    return is_named_so and one.suffix not in {".part", ".seal"} and one.is_file()


def _examine(path: Path) -> Part:
    with _open(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        line = next(_lines_of(Part(path, None, size), raw), None)
    try:
        return Part(path, read_link(line.content) if line else None, size)
    except ChainError:
        return Part(path, None, size)


def _in_order(parts: list[Part]) -> list[Part]:
    """Order files by what their first lines say; a copy of another one counts once, and empty ones not at all."""
    ordered: list[Part] = []
    for part in sorted((one for one in parts if one.size), key=_place):
        if not ordered or part.first is None or part.first != ordered[-1].first:
            ordered.append(part)
        elif _is_rather(part, ordered[-1]):
            ordered[-1] = part
    return ordered or parts[:1]


def _place(part: Part) -> tuple[int, str]:
    return (part.first.head.sequence if part.first else 0, part.path.name)


def _is_rather(one: Part, other: Part) -> bool:
    """Tell which of two copies counts: the plain one, since the other may not have been finished."""
    return one.path.suffix == ".jsonl" and other.path.suffix != ".jsonl"


def _read_seal(path: Path) -> bytes:
    try:
        return seal_path(path).read_bytes()
    except FileNotFoundError:
        return b""


def _open(path: Path) -> IO[bytes]:
    """Open a file for reading; one that has been compressed meanwhile is opened so."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return path.with_name(f"{path.name}.zst").open("rb")


@contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """Keep writers away for a moment, if there is the file that they write."""
    if not path.is_file():
        yield
        return
    with closing(path.open("rb")) as file:
        if not take_lock(file.fileno(), LOCK_TIMEOUT_S, is_shared=True):
            raise OperatorError(
                f"a writer holds the lock of {path}, and may have been stopped; end it, and try again"
            )
        yield


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperatorError(f"cannot read {error.filename or path}: {error.strerror}; is this the place?") from error
