"""Searching what lines have shown: the index first, and beside it the recordings that are not in it yet."""

import heapq
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.lines.recordings.name import ZSTD_SUFFIX, RecordingName, parse_name, plain_name
from telnetsd.lines.recordings.playback import list_recordings
from telnetsd.lines.search.blocks import BLOCK_MAX_S, PATTERN_MAX_CHARS, TextLine
from telnetsd.lines.search.index_file import FoundBlock, IndexFile
from telnetsd.lines.search.indexing import list_index_files
from telnetsd.lines.search.reading import read_readable_text
from telnetsd.trigrams import TRIGRAM_CHARS, folded

_MS: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK: Final = timedelta(seconds=BLOCK_MAX_S + 1)
_END: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is searched for.

    Attributes:
        pattern: A literal text of TRIGRAM_CHARS characters or more; case makes no difference.
        line: A line's name, in which * matches anything; empty: every line.
        user: The user who writes to the line at that moment; empty: any, or none.
        since: The earliest time (aware, UTC), or None.
        until: The latest time, or None.
        limit: How many hits are wanted.
    """

    pattern: str
    line: str = ""
    user: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 20

    def has(self, line: TextLine, begun_at: datetime) -> bool:
        """Tell whether a line of text is wanted."""
        at = begun_at + timedelta(seconds=line.offset_s)
        return (
            folded(self.pattern) in folded(line.text)
            and self.user in {"", line.writer}
            and (self.since is None or self.since <= at)
            and (self.until is None or at <= self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A line of text that was found.

    Attributes:
        at: When it was shown (aware, UTC).
        line: The line's name.
        user: Who wrote to the line then; empty if no session did.
        text: The whole line of text.
        recording: The name of the recording.
        offset_s: When in the recording, in seconds from its beginning.
    """

    at: datetime
    line: str
    user: str
    text: str
    recording: str
    offset_s: float


def require_pattern(pattern: str) -> str:
    """Return a pattern that can be searched for.

    Raises:
        OperatorError: It is too short or too long.
    """
    if not TRIGRAM_CHARS <= len(pattern) <= PATTERN_MAX_CHARS:
        limits = f"{TRIGRAM_CHARS} to {PATTERN_MAX_CHARS} characters"
        raise OperatorError(f"the pattern has {len(pattern)} characters; search for {limits}")
    return pattern


def search(recordings: Path, index: Path, wanted: Wanted, report: Callable[[datetime], None]) -> Iterator[Hit]:
    """Yield what is found, the newest first.

    Args:
        recordings: The folder of recordings.
        index: The folder of the index.
        wanted: What is searched for.
        report: Called with the time back to which everything has been looked at.
    Raises:
        OperatorError: The index is damaged, or a recording cannot be read.
    """
    existing = {plain_name(path.name): path for path in list_recordings(recordings)}
    sources, indexed = [], set[str]()
    for path in list_index_files(index):
        newest, files = _look_into(path)
        indexed |= files
        sources.append(_Source(newest, partial(_search_index, path, wanted, set(existing))))
    for name, path in existing.items():
        parsed = parse_name(name)
        if name not in indexed and parsed is not None:
            sources.append(_Source(_changed_at(path), partial(_search_recording, path, parsed, wanted)))
    sources = [one for one in sources if wanted.since is None or one.newest >= wanted.since]
    return islice(_newest_first(sources, report), wanted.limit)


@dataclass(frozen=True, slots=True)
class _Source:
    """Something to search: no later than `newest`, and its hits from the newest on."""

    newest: datetime
    hits: Callable[[], Iterator[Hit]]


def _newest_first(sources: Sequence[_Source], report: Callable[[datetime], None]) -> Iterator[Hit]:
    """Merge the hits of sources; none is opened before its time comes."""
    waiting = sorted(sources, key=lambda one: one.newest)
    found: list[tuple[float, int, Hit, Iterator[Hit]]] = []
    number = 0
    while waiting or found:
        while waiting and (not found or waiting[-1].newest >= found[0][2].at):
            source = waiting.pop()
            report(source.newest)
            number += 1
            _push(found, number, source.hits())
        if found:
            _, key, hit, rest = heapq.heappop(found)
            yield hit
            _push(found, key, rest)


def _push(found: list[tuple[float, int, Hit, Iterator[Hit]]], key: int, hits: Iterator[Hit]) -> None:
    hit = next(hits, None)
    if hit is not None:
        heapq.heappush(found, (-hit.at.timestamp(), key, hit, hits))


def _look_into(path: Path) -> tuple[datetime, set[str]]:
    try:
        with closing(IndexFile(path, is_read_only=True)) as file:
            files = file.files()
            return (_EPOCH + timedelta(milliseconds=file.newest_ms()) + _BLOCK if files else _EPOCH), files
    except sqlite3.DatabaseError as error:
        raise _damaged(path) from error


def _search_index(path: Path, wanted: Wanted, existing: set[str]) -> Iterator[Hit]:
    since = 0 if wanted.since is None else _to_ms(max(wanted.since, _EPOCH + _BLOCK) - _BLOCK)
    until = _to_ms(_END if wanted.until is None else wanted.until)
    try:
        with closing(IndexFile(path, is_read_only=True)) as file:
            found = (
                block
                for block in file.find(folded(wanted.pattern), since, until)
                if block.file in existing and _is_of(block.line, wanted)
            )
            yield from _hits_of_blocks(found, wanted)
    except sqlite3.DatabaseError as error:
        raise _damaged(path) from error


def _hits_of_blocks(blocks: Iterator[FoundBlock], wanted: Wanted) -> Iterator[Hit]:
    """Yield the hits in blocks, the newest first; the blocks come by their beginnings, and overlap."""
    held: list[tuple[float, int, Hit]] = []
    number = 0
    for block in blocks:
        begun_at = _EPOCH + timedelta(milliseconds=block.begun_ms)
        # Blocks that begin earlier than this one have nothing later than that.
        end = (begun_at + timedelta(seconds=block.lines[0].offset_s) + _BLOCK).timestamp()
        while held and -held[0][0] > end:
            yield heapq.heappop(held)[2]
        for hit in _hits(reversed(block.lines), block.file, RecordingName(begun_at, block.line, ""), wanted):
            number += 1
            heapq.heappush(held, (-hit.at.timestamp(), number, hit))
    while held:
        yield heapq.heappop(held)[2]


def _search_recording(path: Path, name: RecordingName, wanted: Wanted) -> Iterator[Hit]:
    if _is_of(name.line, wanted) and (wanted.until is None or name.begun_at <= wanted.until):
        if not path.exists():
            path = path.with_name(path.name + ZSTD_SUFFIX)  # it was compressed in the meantime
        lines = (line for line in read_readable_text(path) if wanted.has(line, name.begun_at))
        yield from _hits(reversed(deque(lines, wanted.limit)), plain_name(path.name), name, wanted)


def _hits(lines: Iterator[TextLine], file: str, name: RecordingName, wanted: Wanted) -> Iterator[Hit]:
    for line in lines:
        if wanted.has(line, name.begun_at):
            at = name.begun_at + timedelta(seconds=line.offset_s)
            yield Hit(
                at=at,
                line=name.line,
                user=line.writer,
                text=line.text,
                recording=file,
                offset_s=line.offset_s,
            )


def _is_of(line: str, wanted: Wanted) -> bool:
    return not wanted.line or fnmatchcase(line, wanted.line)


def _to_ms(at: datetime) -> int:
    return int((at - _EPOCH) / timedelta(milliseconds=1))


def _changed_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return _EPOCH  # it was compressed or removed in the meantime


def _damaged(path: Path) -> OperatorError:
    return OperatorError(f"{path.name} of the index is damaged; run: telnetsd recording index")
