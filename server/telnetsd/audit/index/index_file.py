"""The index of one rotated file of the log: SQLite, written once and then only read."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from telnetsd.audit.index.blocks import Attachment, LogBlock, Login, Tracked
from telnetsd.audit.reading.archive import LogPart
from telnetsd.audit.reading.selection import Selection
from telnetsd.events.fields import timestamp
from telnetsd.files.atomic import SECRET_FILE_MODE, give_to_owner
from telnetsd.trigrams import TRIGRAM_CHARS, folded, trigram_query

SUFFIX: Final = ".index"
VERSION: Final = 5
_SCHEMA: Final = f"""
PRAGMA user_version = {VERSION};
CREATE TABLE origin(sha256 TEXT NOT NULL, mtime_ns INTEGER NOT NULL);
CREATE TABLE blocks(
    id INTEGER PRIMARY KEY, offset INTEGER NOT NULL, size INTEGER NOT NULL, first_at TEXT NOT NULL,
    last_at TEXT NOT NULL
);
CREATE TABLE words(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, word TEXT NOT NULL, UNIQUE(kind, word));
CREATE TABLE facts(word INTEGER NOT NULL, block INTEGER NOT NULL, PRIMARY KEY(word, block)) WITHOUT ROWID;
CREATE TABLE attachments(
    line TEXT NOT NULL, session TEXT NOT NULL, user TEXT NOT NULL, opened_at TEXT NOT NULL, closed_at TEXT NOT NULL
);
CREATE TABLE logins(user TEXT NOT NULL, certificate_sha256 TEXT NOT NULL, at TEXT NOT NULL);
CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='trigram', detail=none, columnsize=0);
"""

Range = tuple[int, int]
"""Where a block begins in the plain content of its file, and its size, in bytes."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which file an index is of: the SHA-256 of its first line, and when it was last written."""

    sha256: str
    mtime_ns: int


def origin_of(part: LogPart) -> Origin | None:
    """Return what identifies a file; None if its first line is damaged.

    Raises:
        OSError: The file is gone.
    """
    return None if part.first is None else Origin(part.first.head.sha256, part.path.stat().st_mtime_ns)


def write_index(path: Path, origin: Origin, blocks: Iterable[LogBlock], tracked: Tracked) -> None:
    """Write the index of a file; it appears when it is complete.

    Args:
        path: Where.
        origin: Which file it is of.
        blocks: The blocks of that file.
        tracked: What is complete after the last block.

    Raises:
        OSError: It cannot be written.
        sqlite3.Error: It cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_FILE_MODE))
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
            # If the machine stops now, the file has not appeared: nothing has to be written through.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.executescript(f"BEGIN;{_SCHEMA}")
            database.execute("INSERT INTO origin VALUES (?, ?)", (origin.sha256, origin.mtime_ns))
            _add_blocks(database, blocks)
            attachments = map(astuple, tracked.attachments())
            database.executemany("INSERT INTO attachments VALUES (?, ?, ?, ?, ?)", attachments)
            database.executemany("INSERT INTO logins VALUES (?, ?, ?)", map(astuple, tracked.logins()))
            database.execute("COMMIT")
        give_to_owner(unfinished, path.parent)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _add_blocks(database: sqlite3.Connection, blocks: Iterable[LogBlock]) -> None:
    words: dict[tuple[str, str], int] = {}
    for number, block in enumerate(blocks):
        place = (number, block.offset, block.size, block.first_at, block.last_at)
        database.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", place)
        for fact in block.facts:
            if fact not in words:
                words[fact] = len(words)
                database.execute("INSERT INTO words VALUES (?, ?, ?)", (words[fact], *fact))
            database.execute("INSERT INTO facts VALUES (?, ?)", (words[fact], number))
        database.execute("INSERT INTO texts(rowid, text) VALUES (?, ?)", (number, block.text))


class LogIndex:
    """The index of one file, open for reading.

    Raises:
        sqlite3.DatabaseError: It does not exist, is damaged, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            self.origin = self._read_origin()
        except BaseException:
            self.close()
            raise

    def _read_origin(self) -> Origin:
        if self._database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            raise sqlite3.DatabaseError("it was made by another version")
        return Origin(*self._database.execute("SELECT sha256, mtime_ns FROM origin").fetchone())

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def find(self, selection: Selection) -> list[Range]:
        """Return the blocks that may have a selected event, in order.

        Raises:
            sqlite3.DatabaseError: The index is damaged.
        """
        conditions = [*_in_time(selection), *self._with_facts(selection), *_with_text(selection)]
        where = " AND ".join(sql for sql, _ in conditions) or "1"
        values = [value for _, values in conditions for value in values]
        query = f"SELECT offset, size FROM blocks WHERE {where} ORDER BY offset"  # noqa: S608 -- of constants
        return [(offset, size) for offset, size in self._database.execute(query, values)]

    def attachments(self) -> Iterator[Attachment]:
        """Yield the attachments of the file, as far as it has them.

        Raises:
            sqlite3.DatabaseError: The index is damaged.
        """
        rows = self._database.execute(
            "SELECT line, session, user, opened_at, closed_at FROM attachments ORDER BY rowid"
        )
        return (Attachment(*row) for row in rows)

    def logins(self) -> Iterator[Login]:
        """Yield the last logins that the file has.

        Raises:
            sqlite3.DatabaseError: The index is damaged.
        """
        rows = self._database.execute("SELECT user, certificate_sha256, at FROM logins")
        return (Login(*row) for row in rows)

    def _with_facts(self, selection: Selection) -> Iterator[tuple[str, list[str]]]:
        patterns = {
            "session": f"*{selection.session}" if selection.session else "",
            "line": selection.line,
            "action": selection.action,
            "reason": selection.reason,
            "outcome": selection.outcome,
        }
        wanted: dict[str, tuple[str, ...]] = {kind: (pattern,) for kind, pattern in patterns.items() if pattern}
        if selection.user:
            wanted["user"] = (selection.user, *selection.also)
        for kind, any_of in wanted.items():
            ids = [one for pattern in any_of for one in self._matching_words(kind, pattern)]
            yield f"id IN (SELECT block FROM facts WHERE word IN ({','.join(ids)}))", []  # noqa: S608 -- numbers

    def _matching_words(self, kind: str, pattern: str) -> list[str]:
        rows = self._database.execute("SELECT id, word FROM words WHERE kind = ?", (kind,))
        # `user` is no pattern for a selection, but a name has no character that would be special here.
        return [str(number) for number, word in rows if word == pattern or fnmatchcase(word, pattern)]


def _in_time(selection: Selection) -> Iterator[tuple[str, list[str]]]:
    if selection.since is not None:
        yield "last_at >= ?", [timestamp(selection.since)]
    if selection.until is not None:
        yield "first_at <= ?", [timestamp(selection.until)]


def _with_text(selection: Selection) -> Iterator[tuple[str, list[str]]]:
    text = folded(selection.text)
    if len(text) >= TRIGRAM_CHARS:
        yield "id IN (SELECT rowid FROM texts WHERE texts MATCH ?)", [trigram_query(text)]
