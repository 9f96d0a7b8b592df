"""The file that is currently being written: its descriptor, its lock, its last line; and the seal beside it.

It may be moved away, emptied or deleted at any moment, by our own rotation or by another program. A process that
holds the lock knows that its descriptor is that of the file at the path. If the file was deleted while it was open,
its content is saved first, since its lines can still be read.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import IO, Final

from telnetsd.audit.chain import SEAL_BYTES, Head, Link, link_of
from telnetsd.events.reason import CheckpointReason
from telnetsd.files.atomic import SECRET_FILE_MODE, make_secret_folder, sync_folder, write_secret
from telnetsd.files.locking import take_lock

LOCK_TIMEOUT_S: Final = 3.0
"""How long another writer may hold the lock: a stopped process does not block the others indefinitely."""
TAIL_BYTES: Final = 65536
SEAL_SUFFIX: Final = ".seal"


def seal_path(path: Path) -> Path:
    """Return the path of a log's seal."""
    return path.with_suffix(SEAL_SUFFIX)


def rotated_path(path: Path, first_sequence: int) -> Path:
    """Return the path to which a log is rotated, given the sequence number of its first line."""
    return path.with_name(f"{path.stem}-{first_sequence:012d}{path.suffix}")


def free_rotated_path(path: Path, first_sequence: int) -> Path:
    """Return an unused path to which a log is rotated; a number is appended where a damaged log needs it."""
    wanted = rotated_path(path, first_sequence)
    numbered = (wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}") for number in count(1))
    return next(one for one in (wanted, *islice(numbered, 1000)) if not _is_taken(one))


class LogFile:
    """One process's descriptor of the log; it is never inherited, and always writes at the end.

    Attributes:
        saved_as: Where the lines of a deleted file were saved, until the caller has noted it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # As text: a path object builds its text again each time, and these two are used for every batch.
        self._path_text, self._seal_text = str(path), str(seal_path(path))
        self.saved_as: Path | None = None
        make_secret_folder(path.parent)
        self._descriptor = -1
        self._seal_syncs = ThreadPoolExecutor(1, "seal-sync")
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._seal_syncs.shutdown()
        os.close(self._descriptor)
        self._descriptor = -1

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock of the file that is now at the path; yields whether it is a different file than before.

        Raises:
            TimeoutError: Another process holds it for too long.
            OSError: The file cannot be opened.
        """
        try:
            yield self.lock()
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def lock(self) -> bool:
        """Lock the file that is now at the path; returns whether it is a different file than before."""
        is_another = False
        while True:
            if not take_lock(self._descriptor, LOCK_TIMEOUT_S):
                raise TimeoutError(None, "another process holds its lock, and may be suspended")
            if self._is_current():
                return is_another
            self._open()
            is_another = True

    def size(self) -> int:
        """Return the size of the file in bytes."""
        return os.fstat(self._descriptor).st_size

    def append(self, content: bytes) -> None:
        """Append the whole content."""
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        """Sync what was written to the disk, and the seal that announces it.

        Lines beyond the seal count as inserted. So after a power cut the seal must not be older than the lines. Both
        are synced at the same time, since a disk then needs little longer than for one.
        """
        seal = self._seal_syncs.submit(self._sync_seal)
        try:
            os.fdatasync(self._descriptor)
        finally:
            seal.result()

    def cut(self, size: int) -> None:
        """Remove everything after an offset."""
        os.ftruncate(self._descriptor, size)

    def move(self, target: Path) -> None:
        """Rename the file; the next `lock` begins a new one."""
        self.path.rename(target)
        sync_folder(self.path.parent)

    def first_link(self) -> Link | None:
        """Return the link of the first line; None when there is no line, or it is damaged or very long."""
        return link_of(os.pread(self._descriptor, TAIL_BYTES, 0).partition(b"\n")[0])

    def last_line(self) -> tuple[bytes, int]:
        """Return the last whole line without its newline, and the offset after that newline."""
        lines, end = read_tail(self._descriptor, 1)
        return (lines[-1] if lines else b""), end

    def end_of(self, head: Head) -> int | None:
        """Return the offset after the line that a head names; None when it is not found. Reads the whole file."""
        offset = 0
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            for line in file:
                offset += len(line)
                link = link_of(line.rstrip(b"\n"))
                if link is not None and link.head == head:
                    return offset
        return None

    def set_aside(self, start: int) -> Path:
        """Move everything after an offset to a separate file, and return the path of that file."""
        torn = os.pread(self._descriptor, self.size() - start, start)
        aside = self.path.with_name(f"torn-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.part")
        write_secret(aside, torn)
        sync_folder(aside.parent)
        self.cut(start)
        return aside

    def read_seal(self) -> bytes:
        """Return the seal; empty when there is none."""
        return read_seal_of(self.path)

    def write_seal(self, content: bytes) -> None:
        """Overwrite the seal in place: the old one is gone, so that it cannot be used again."""
        with self._open_seal() as descriptor:
            if os.pwrite(descriptor, content, 0) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _sync_seal(self) -> None:
        with self._open_seal() as descriptor:
            os.fdatasync(descriptor)

    @contextlib.contextmanager
    def _open_seal(self) -> Iterator[int]:
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self._seal_text, flags)
        except FileNotFoundError:
            descriptor = os.open(self._seal_text, flags | os.O_CREAT, SECRET_FILE_MODE)
            sync_folder(self.path.parent)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _is_current(self) -> bool:
        try:
            there = os.stat(self._path_text)  # noqa: PTH116
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _open(self) -> None:
        if self._descriptor >= 0:
            # Every byte of a file that was moved away has to be on the disk, whatever the durability.
            os.fdatasync(self._descriptor)
            self._save_if_deleted()
        # Open the new file first: the number of a closed descriptor may already belong to another file.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(self.path, flags, SECRET_FILE_MODE)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise OSError(errno.EINVAL, "it is not a regular file")
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = opened
        sync_folder(self.path.parent)

    def _save_if_deleted(self) -> None:
        """Save the lines of a file that was deleted before a rotation closed it."""
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
            pass  # Another process also had the file open, and has saved it.
        unfinished.unlink()


def _is_taken(path: Path) -> bool:
    return path.exists() or path.with_name(f"{path.name}.zst").exists()


def _is_closed(line: bytes) -> bool:
    link = link_of(line)
    return link is not None and link.is_checkpoint and link.reason == CheckpointReason.ROTATION


def read_tail(descriptor: int, count: int) -> tuple[list[bytes], int]:
    """Return the last `count` whole lines of a file, without their newlines, and the offset after them."""
    start = os.fstat(descriptor).st_size
    blocks: deque[bytes] = deque()
    newlines = 0
    while start > 0 and newlines <= count:
        begin = max(0, start - TAIL_BYTES)
        blocks.appendleft(os.pread(descriptor, start - begin, begin))
        newlines += blocks[0].count(b"\n")
        start = begin
    tail = b"".join(blocks)
    end = tail.rfind(b"\n") + 1
    lines = tail[:end].split(b"\n")[:-1]
    if start > 0:
        del lines[:1]  # the first one may have begun before `start`
    return lines[max(0, len(lines) - count) :], start + end


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading; a device, pipe or folder in its place is refused without waiting for it.

    Raises:
        OSError: It is not a regular file, or it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_seal_of(path: Path) -> bytes:
    """Return the seal of a log; empty when there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with open_regular(seal_path(path)) as file:
            return file.read(SEAL_BYTES)
    except FileNotFoundError:
        return b""
