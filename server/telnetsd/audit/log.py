"""The file of the audit log: lock, append, sync.

Many processes write to one file and one chain: each takes the file's lock, looks where the chain ends if somebody
else has written since, appends whole lines, and syncs them to the disk before it lets go. When `append` returns, the
events are on disk; when it raises, nobody may act on them.

After a crash the last line may be torn. It is set aside in a file of its own, and an event says so.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from telnetsd.audit.chain import EMPTY, ChainError, read_head, seal
from telnetsd.audit.event import Action, Fields
from telnetsd.audit.reason import Reason
from telnetsd.audit.record import make_event
from telnetsd.errors import OperatorError
from telnetsd.home import SECRET_FILE_MODE, make_secret_folder, sync_folder, write_secret

_TAIL_BYTES: Final = 65536


class AuditUnavailableError(OperatorError):
    """The audit log cannot be written: nothing may happen that it would have to record."""


class AuditLog:
    """One process's access to the audit log. Not for two threads at once.

    Raises:
        AuditUnavailableError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._head = EMPTY
        self._end = -1
        make_secret_folder(path.parent)
        with self._reported():
            self._open()

    def append(self, events: list[Fields]) -> None:
        """Write events to the chain, in their order, and sync them to the disk.

        Raises:
            AuditUnavailableError: They are not on disk. What was written of them is taken back, at the latest by the
                next append.
        """
        with self._reported(), self._locked():
            if os.fstat(self._descriptor).st_size != self._end:
                self._find_head()
            self._write(events)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
        self._descriptor = -1

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditUnavailableError(
                f"cannot write the audit log: {self._path}: {error.strerror}; free space or repair it"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._lock_current_file()
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _lock_current_file(self) -> None:
        # The file may have been rotated away while this process waited for the lock.
        while True:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if self._is_current():
                return
            self._open()

    def _is_current(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _open(self) -> None:
        # The new file first: a descriptor that was given back already may be somebody else's by now.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(self._path, flags, SECRET_FILE_MODE)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._end = opened, -1
        sync_folder(self._path.parent)

    def _write(self, events: list[Fields]) -> None:
        head, lines = self._head, []
        for event in events:
            line, head = seal(event, head)
            lines.append(line)
        content = b"".join(lines)
        start = self._end
        try:
            self._write_whole(content)
            os.fdatasync(self._descriptor)
        except OSError:
            self._end = -1
            os.ftruncate(self._descriptor, start)
            raise
        self._head, self._end = head, start + len(content)

    def _write_whole(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _find_head(self) -> None:
        """Read where the chain ends, and set aside what stands behind the last whole line."""
        size = os.fstat(self._descriptor).st_size
        line, line_end = self._last_line(size)
        try:
            self._head = read_head(line) if line else EMPTY
        except ChainError as error:
            raise AuditUnavailableError(
                f"the audit log's last line is damaged: {self._path}: {error}; run: telnetsd audit tail, "
                f"then move the file away so that a new one is begun"
            ) from error
        self._end = line_end
        if line_end < size:
            self._set_aside(line_end, size)

    def _last_line(self, size: int) -> tuple[bytes, int]:
        """Return the last whole line without its newline, and the offset behind that newline."""
        tail, start = b"", size
        while start > 0 and tail.count(b"\n") < 2:
            start = max(0, start - _TAIL_BYTES)
            tail = os.pread(self._descriptor, size - start, start)
        end = tail.rfind(b"\n")
        if end < 0:
            return b"", 0
        return tail[tail.rfind(b"\n", 0, end) + 1 : end], start + end + 1

    def _set_aside(self, start: int, end: int) -> None:
        torn = os.pread(self._descriptor, end - start, start)
        aside = self._path.with_name(f"torn-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.part")
        write_secret(aside, torn)
        sync_folder(aside.parent)
        os.ftruncate(self._descriptor, start)
        message = f"a torn last line of {len(torn)} bytes was set aside in {aside.name}"
        self._write([make_event(Action.AUDIT_RECOVERED, message, reason=Reason.TORN_LINE)])
