"""One file of the index: SQLite with FTS5 trigrams over blocks of text, and the blocks themselves, compressed.

The index has nothing that the recordings do not have, and can be rebuilt. A file covers the recordings that began
on one day, so that it is removed with them, and rebuilt alone if it is damaged.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from telnetsd.files.atomic import SECRET_FILE_MODE, give_to_owner
from telnetsd.lines.search.blocks import Block, TextLine
from telnetsd.trigrams import folded, trigram_query

SUFFIX: Final = ".index"
BLOCK_MAX_BYTES: Final = 2**20
_BUSY_TIMEOUT_S: Final = 30.0
_MS: Final = 1000
_SCHEMA: Final = """
CREATE TABLE recordings(
    id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, line TEXT NOT NULL, begun_ms INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE TABLE blocks(
    id INTEGER PRIMARY KEY, recording INTEGER NOT NULL REFERENCES recordings, writer TEXT NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE TABLE texts(id INTEGER PRIMARY KEY, lines BLOB NOT NULL);
CREATE INDEX blocks_by_time ON blocks(at_ms);
CREATE VIRTUAL TABLE shown USING fts5(text, content='', tokenize='trigram', detail=none, columnsize=0);
PRAGMA user_version = 1;
"""
_FIND: Final = """
SELECT blocks.id FROM shown JOIN blocks ON blocks.id = shown.rowid
WHERE shown MATCH ? AND blocks.at_ms BETWEEN ? AND ? ORDER BY blocks.at_ms DESC
"""
_GET: Final = """
SELECT recordings.file, recordings.line, recordings.begun_ms, blocks.writer, texts.lines
FROM blocks JOIN texts USING (id) JOIN recordings ON recordings.id = blocks.recording WHERE blocks.id = ?
"""

_decoder: Final = msgspec.msgpack.Decoder(list[tuple[float, str]])


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block that may have what is searched for."""

    file: str
    line: str
    begun_ms: int
    lines: Block


class IndexFile:
    """One file of the index, open.

    Args:
        path: The file; made if it does not exist and may be written.
        is_read_only: Whether it is only searched.

    Raises:
        sqlite3.DatabaseError: The file is damaged, or cannot be opened.
    """

    def __init__(self, path: Path, *, is_read_only: bool) -> None:
        self.path = path
        if not is_read_only:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET_FILE_MODE))
            give_to_owner(path, path.parent)
        mode = "ro" if is_read_only else "rw"
        self._database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None
        )
        try:
            self._prepare(is_read_only=is_read_only)
        except BaseException:
            self.close()
            raise

    def _prepare(self, *, is_read_only: bool) -> None:
        if not is_read_only:
            self._database.execute("PRAGMA journal_mode = WAL")
            # What is removed is overwritten.
            self._database.execute("PRAGMA secure_delete = ON")
        if self._database.execute("PRAGMA user_version").fetchone()[0] or is_read_only:
            return
        if self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it was made by another version")
        self._database.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def require_intact(self) -> None:
        """Look for damage, which reads the whole file.

        Raises:
            sqlite3.DatabaseError: The file is damaged.
        """
        verdict = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def files(self) -> set[str]:
        """Return the names of the recordings that it covers; a file that was just made covers none."""
        if not self._database.execute("PRAGMA user_version").fetchone()[0]:
            return set()
        return {file for (file,) in self._database.execute("SELECT file FROM recordings")}

    def newest_ms(self) -> int:
        """Return the time of the last block, in milliseconds since 1970; 0 if there is none."""
        return int(self._database.execute("SELECT coalesce(max(at_ms), 0) FROM blocks").fetchone()[0])

    def begin(self) -> None:
        """Begin to add a recording: all of it, or nothing, is added."""
        self._database.execute("BEGIN IMMEDIATE")

    def add_block(self, recording: int, begun_ms: int, block: Block) -> None:
        """Add a block of a recording."""
        blob = zstandard.compress(msgspec.msgpack.encode([(line.offset_s, line.text) for line in block]))
        at_ms = begun_ms + round(block[0].offset_s * _MS)
        row = self._database.execute(
            "INSERT INTO blocks(recording, writer, at_ms) VALUES (?, ?, ?)", (recording, block[0].writer, at_ms)
        ).lastrowid
        self._database.execute("INSERT INTO texts(id, lines) VALUES (?, ?)", (row, blob))
        self._database.execute(
            "INSERT INTO shown(rowid, text) VALUES (?, ?)", (row, _folded_text(line.text for line in block))
        )

    def add_recording(self, file: str, line: str, begun_ms: int) -> int:
        """Add a recording, and return its number."""
        added = self._database.execute(
            "INSERT INTO recordings(file, line, begun_ms, sha256) VALUES (?, ?, ?, '')", (file, line, begun_ms)
        )
        return int(added.lastrowid or 0)

    def commit(self, recording: int, sha256: str) -> None:
        """Complete a recording; `sha256` is that of its content, as the audit log has it."""
        self._database.execute("UPDATE recordings SET sha256 = ? WHERE id = ?", (sha256, recording))
        self._database.execute("COMMIT")

    def remove(self, file: str) -> None:
        """Remove a recording with all of its text: it no longer exists."""
        self._database.execute("BEGIN IMMEDIATE")
        rows = self._database.execute(
            "SELECT blocks.id, lines FROM blocks JOIN texts USING (id)"
            " JOIN recordings ON recordings.id = recording WHERE file = ?",
            (file,),
        )
        for row, blob in rows.fetchall():
            # A table without content has to be told what it had.
            self._database.execute(
                "INSERT INTO shown(shown, rowid, text) VALUES ('delete', ?, ?)",
                (row, _folded_text(text for _, text in _decode(blob))),
            )
            self._database.execute("DELETE FROM texts WHERE id = ?", (row,))
            self._database.execute("DELETE FROM blocks WHERE id = ?", (row,))
        self._database.execute("DELETE FROM recordings WHERE file = ?", (file,))
        self._database.execute("COMMIT")

    def rollback(self) -> None:
        """Drop the recording that was being added."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def find(self, pattern: str, since_ms: int, until_ms: int) -> Iterator[FoundBlock]:
        """Yield the blocks that have a pattern, the newest first.

        Args:
            pattern: As `folded` returns it, at least three characters long.
            since_ms: The earliest time, in milliseconds since 1970.
            until_ms: The latest time.
        """
        for (row,) in self._database.execute(_FIND, (trigram_query(pattern), since_ms, until_ms)).fetchall():
            file, line, begun_ms, writer, blob = self._database.execute(_GET, (row,)).fetchone()
            lines = _decode(blob)
            # A block that has every trigram need not have the pattern.
            if pattern in _folded_text(text for _, text in lines):
                yield FoundBlock(file, line, begun_ms, [TextLine(at_s, writer, text) for at_s, text in lines])


def _folded_text(texts: Iterable[str]) -> str:
    return folded("\n".join(texts))


def _decode(blob: bytes) -> list[tuple[float, str]]:
    """Return the times and texts of the lines of a block.

    Raises:
        sqlite3.DatabaseError: The block is damaged.
    """
    try:
        return _decoder.decode(zstandard.decompress(blob, max_output_size=BLOCK_MAX_BYTES))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise sqlite3.DatabaseError(str(error)) from error
