"""The file that is written now: its descriptor, its lock, its last line; and the seal beside it.

It may be moved away, emptied or deleted at any moment, by a rotation of ours or by somebody else. Who holds the lock
knows that the descriptor is that of the file at the path. What was deleted while it was open is saved first: its
lines can still be read.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from telnetsd.audit.chain import ChainError, Link, read_link
from telnetsd.audit.checkpoint import SEAL_BYTES
from telnetsd.audit.reason import CheckpointReason
from telnetsd.home import SECRET_FILE_MODE, make_secret_folder, sync_folder, write_secret
from telnetsd.locking import take_lock

LOCK_TIMEOUT_S: Final = 3.0
"""How long another writer may hold the lock: one that was stopped keeps nobody waiting for ever."""
TAIL_BYTES: Final = 65536
SEAL_SUFFIX: Final = ".seal"


def seal_path(path: Path) -> Path:
    """Return where the seal of a log is."""
    return path.with_suffix(SEAL_SUFFIX)


def rotated_path(path: Path, first_sequence: int) -> Path:
    """Return where a log goes whose first line has that sequence number, when it is rotated away."""
    return path.with_name(f"{path.stem}-{first_sequence:012d}{path.suffix}")


class LogFile:
    """One process's descriptor of the log, never inherited, always at the end.

    Attributes:
        saved_as: Where the lines of a deleted file went, until somebody takes note of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved_as: Path | None = None
        make_secret_folder(path.parent)
        self._descriptor = -1
        self._open()

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
        self._descriptor = -1

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the file that is at the path now.

        Raises:
            TimeoutError: Another process holds it for too long.
            OSError: The file cannot be opened.
        """
        try:
            self.lock()
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def lock(self) -> bool:
        """Take the lock of the file that is at the path now; tells whether it is another file than before."""
        is_another = False
        while True:
            if not take_lock(self._descriptor, LOCK_TIMEOUT_S):
                raise TimeoutError(None, "another process holds its lock, and may have been stopped")
            if self._is_current():
                return is_another
            self._open()
            is_another = True

    def size(self) -> int:
        """Return how long the file is, in bytes."""
        return os.fstat(self._descriptor).st_size

    def append(self, content: bytes) -> None:
        """Write all of it at the end."""
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """Put on the disk what was written."""
        os.fdatasync(self._descriptor)

    def cut(self, size: int) -> None:
        """Take back what stands behind that offset."""
        os.ftruncate(self._descriptor, size)

    def move(self, target: Path) -> None:
        """Give the file another name; the next `lock` begins a new one."""
        self.path.rename(target)
        sync_folder(self.path.parent)

    def first_link(self) -> Link | None:
        """Return what the first line says; None when there is none, or it is damaged or very long."""
        return _link_of(os.pread(self._descriptor, TAIL_BYTES, 0).partition(b"\n")[0])

    def last_line(self) -> tuple[bytes, int]:
        """Return the last whole line without its newline, and the offset behind that newline."""
        return _last_line(self._descriptor)

    def set_aside(self, start: int) -> Path:
        """Move what stands behind an offset to a file of its own, and return its path."""
        torn = os.pread(self._descriptor, self.size() - start, start)
        aside = self.path.with_name(f"torn-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.part")
        write_secret(aside, torn)
        sync_folder(aside.parent)
        self.cut(start)
        return aside

    def read_seal(self) -> bytes:
        """Return the seal; empty when there is none."""
        try:
            return seal_path(self.path).read_bytes()
        except FileNotFoundError:
            return b""

    def write_seal(self, content: bytes) -> None:
        """Write the seal in its place: the old one is gone, so that it cannot serve again."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(seal_path(self.path), flags, SECRET_FILE_MODE)
        try:
            os.pwrite(descriptor, content, 0)
            if os.fstat(descriptor).st_size != SEAL_BYTES:
                os.ftruncate(descriptor, SEAL_BYTES)
        finally:
            os.close(descriptor)

    def _is_current(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _open(self) -> None:
        if self._descriptor >= 0:
            self._save_if_deleted()
        # The new file first: a descriptor that was given back already may be somebody else's by now.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(self.path, flags, SECRET_FILE_MODE)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = opened
        sync_folder(self.path.parent)

    def _save_if_deleted(self) -> None:
        """Keep the lines of a file that somebody deleted, and that no rotation had closed."""
        if os.fstat(self._descriptor).st_nlink > 0:
            return
        first, (last, end) = self.first_link(), self.last_line()
        if first is None or _is_closed(last):
            return
        target = rotated_path(self.path, first.head.sequence)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
        with os.fdopen(os.dup(self._descriptor), "rb") as source, unfinished.open("wb") as saved:
            os.fchmod(saved.fileno(), SECRET_FILE_MODE)
            source.seek(0)
            shutil.copyfileobj(source, saved)
            saved.truncate(end)
            saved.flush()
            os.fsync(saved.fileno())
        try:
            os.link(unfinished, target)
            self.saved_as = target
        except FileExistsError:
            pass  # Another process had the file open as well, and has saved it.
        unfinished.unlink()


def _is_closed(line: bytes) -> bool:
    link = _link_of(line)
    return link is not None and link.is_checkpoint and link.reason == CheckpointReason.ROTATION


def _link_of(line: bytes) -> Link | None:
    try:
        return read_link(line)
    except ChainError:
        return None


def _last_line(descriptor: int) -> tuple[bytes, int]:
    size = start = os.fstat(descriptor).st_size
    tail = b""
    while start > 0 and tail.count(b"\n") < 2:
        start = max(0, start - TAIL_BYTES)
        tail = os.pread(descriptor, size - start, start)
    end = tail.rfind(b"\n")
    if end < 0:
        return b"", 0
    return tail[tail.rfind(b"\n", 0, end) + 1 : end], start + end + 1
