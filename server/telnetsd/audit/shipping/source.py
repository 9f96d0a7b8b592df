"""The lines that a collector does not have yet, read from the files of the log, wherever they are now.

The log itself is the queue: a collector that is unreachable for an hour costs no memory, and later gets what it
missed.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from telnetsd.audit.chain import ChainError
from telnetsd.audit.checkpoint import PublicKeys, read_seal
from telnetsd.audit.file import open_regular, read_seal_of
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_snapshot

_CHUNK_BYTES: Final = 2**18


class Numbered(NamedTuple):
    """A line of the log, and its sequence number."""

    sequence: int
    line: bytes


class _Sequence(msgspec.Struct):
    sequence: int


class _Line(msgspec.Struct):
    event: _Sequence


_line_decoder: Final = msgspec.json.Decoder(_Line)
_seal_decoder: Final = msgspec.json.Decoder(_Sequence)


class SealReader:
    """Reads how far a log is written and sealed.

    Args:
        path: The log.
        keys: The keys that may have signed the seal; None accepts any seal, for a reader that only shows lines.
    """

    def __init__(self, path: Path, keys: PublicKeys | None = None) -> None:
        self._path = path
        self._keys = keys
        self._content = b""
        self._sequence = 0

    def sequence(self) -> int:
        """Return the number of the last sealed line; the previous number if the seal cannot be read."""
        try:
            content = read_seal_of(self._path)
            if content != self._content:
                self._sequence = self._read(content)
                self._content = content
        except (OSError, ChainError, msgspec.DecodeError):
            pass
        return self._sequence

    def _read(self, content: bytes) -> int:
        if self._keys is None:
            return _seal_decoder.decode(content).sequence
        return read_seal(content, self._keys).head.sequence


class LogSource:
    """Reads the log from a given position.

    Args:
        path: The log.
        after: The number of the last line before that position.
        keys: The keys that may have signed the seal; None accepts any seal, for a reader that only shows lines.
    """

    def __init__(self, path: Path, after: int, keys: PublicKeys | None = None) -> None:
        self.after = after
        self.seal = SealReader(path, keys)
        self._path = path
        self._descriptor = -1
        self._offset = 0
        self._missed_limit = 0

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def skip_to(self, after: int) -> None:
        """Continue after another line."""
        self.after = after
        self.close()

    def read(self) -> Iterator[Numbered]:
        """Yield the lines up to the last sealed one; each counts as read when the next one is asked for.

        Raises:
            OperatorError: A file cannot be read.
        """
        limit = self.seal.sequence()
        if limit <= self.after:
            return
        for one in self._read_on():
            if one.sequence > limit:
                return
            yield one
            self.after, self._offset = one.sequence, self._offset + len(one.line) + 1
        if self.after < limit != self._missed_limit:
            yield from self._read_anew(limit)
            # Lines that were not found are not searched for again until there are new lines.
            self._missed_limit = limit if self.after < limit else 0

    def _read_on(self) -> Iterator[Numbered]:
        """Yield the next whole lines of the open file, as long as they are the ones that come next."""
        offset, size = self._offset, _CHUNK_BYTES
        while self._descriptor >= 0:
            chunk = os.pread(self._descriptor, size, offset)
            end = chunk.rfind(b"\n") + 1
            if not end and len(chunk) < size:
                return
            size = _CHUNK_BYTES if end else 2 * size
            for line in chunk[:end].splitlines():
                sequence = sequence_of(line)
                if sequence != self.after + 1:
                    return
                yield Numbered(sequence, line)
            offset += end

    def _read_anew(self, limit: int) -> Iterator[Numbered]:
        """Yield lines from whatever files they are in; afterwards the last file that was read is open."""
        snapshot = take_snapshot(self._path)
        begins = [part.first.head.sequence if part.first else 0 for part in snapshot.parts]
        first = max((place for place, begin in enumerate(begins) if begin <= self.after + 1), default=0)
        for part in snapshot.parts[first:]:
            self.close()
            offset = 0
            for line in read_lines(Snapshot((part,), b"")):
                sequence = sequence_of(line.content)
                if sequence > limit or not line.is_whole:
                    break
                if sequence > self.after:
                    yield Numbered(sequence, line.content)
                    self.after = sequence
                offset += len(line.content) + 1
            if part.path == self._path:
                with contextlib.suppress(OSError), open_regular(part.path) as file:
                    self._descriptor, self._offset = os.dup(file.fileno()), offset


def sequence_of(line: bytes) -> int:
    """Return a line's number; 0 if it is not a line of the log."""
    try:
        return _line_decoder.decode(line).event.sequence
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
