"""Recordings: the output of a line, as asciicast v3, with its timing.

The first line of the file is a header. Each further line is an event: the seconds since the previous event, a code,
and data. The code `o` is output, `i` typed input (only if the line's settings say so), and `r` a new size; `m` says
who writes to the line from then on. Texts are UTF-8. Bytes that are not UTF-8 are shown as U+FFFD. The original bytes
then precede the event, in base64, under the code `b`, which players skip; so nothing is lost.
"""

import base64
import codecs
import contextlib
import errno
import fcntl
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import msgspec

from telnetsd.audit.file import open_regular
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.events.of_sessions import RecordingClosed
from telnetsd.events.reason import CommonReason, EndReason
from telnetsd.files.atomic import SECRET_FILE_MODE, make_secret_folder, sync_folder
from telnetsd.lines.recordings.asciicast import INPUT, MARKER, NO_WRITER, OUTPUT, RAW, RESIZE, VERSION, WRITER
from telnetsd.telnet.terminal import Terminal

_WHOLE_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Recorded:
    """A closed recording: its file's name, SHA-256 and length, and whether it is complete."""

    file: str
    sha256: str
    size: int
    is_whole: bool


class Recording:
    """A recording in progress: one file.

    Args:
        path: The file, which must not exist; its folder is created.
        title: The title that a player shows.
        terminal: The size and type that it begins with.

    Raises:
        OSError: The recording cannot be created.
    """

    def __init__(self, path: Path, title: str, terminal: Terminal) -> None:
        make_secret_folder(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(path, flags, SECRET_FILE_MODE), "wb", buffering=0)
        # Until it is closed, or this process ends: that is how others know a recording that still grows.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.path = path
        self._digest = sha256()
        self.size = 0
        """How many bytes the file has."""
        self._is_whole = True
        self._begun_ms = self._last_ms = time.monotonic_ns() // 1_000_000
        self._texts = {code: codecs.getincrementaldecoder("utf-8")("replace") for code in (OUTPUT, INPUT)}
        header = {
            "version": VERSION,
            "term": {"cols": terminal.columns, "rows": terminal.rows, "type": terminal.kind},
            "timestamp": int(datetime.now(UTC).timestamp()),
            "title": title,
        }
        try:
            self._write(msgspec.json.encode(header) + b"\n")
        except OSError:
            # The next attempt makes another file: this one would only be in the way.
            self._file.close()
            path.unlink(missing_ok=True)
            raise
        self._is_listed = False

    @property
    def offset_s(self) -> float:
        """The time of the last event, in seconds from the beginning."""
        return (self._last_ms - self._begun_ms) / _WHOLE_MS

    def note(self, code: str, data: bytes) -> None:
        """Record bytes that were shown (OUTPUT) or typed (INPUT).

        Raises:
            OSError: The bytes cannot be written.
        """
        self._note_bytes(code, data, is_last=False)

    def note_resize(self, terminal: Terminal) -> None:
        """Record a new screen size.

        Raises:
            OSError: The event cannot be written.
        """
        self._note_event(RESIZE, f"{terminal.columns}x{terminal.rows}")

    def note_writer(self, name: str) -> None:
        """Record who writes to the line from now on; empty: no session does.

        Raises:
            OSError: The event cannot be written.
        """
        self._note_event(MARKER, WRITER + name if name else NO_WRITER)

    def sync(self) -> None:
        """Write to disk what was recorded so far; may run in a thread, beside everything but `close`.

        Raises:
            OSError: The file cannot be written.
        """
        os.fdatasync(self._file.fileno())
        if not self._is_listed:
            sync_folder(self.path.parent)
            self._is_listed = True

    def close(self) -> Recorded:
        """Write the recording to disk, and return what the log has to vouch for.

        Raises:
            OSError: The file cannot be written.
        """
        try:
            for code in self._texts:
                self._note_bytes(code, b"", is_last=True)
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
        sync_folder(self.path.parent)
        return Recorded(self.path.name, self._digest.hexdigest(), self.size, self._is_whole)

    def _note_bytes(self, code: str, data: bytes, *, is_last: bool) -> None:
        decoder = self._texts[code]
        data = decoder.getstate()[0] + data
        decoder.reset()
        text = decoder.decode(data, is_last)
        # The beginning of a character is kept until the rest of it arrives.
        taken = data.removesuffix(decoder.getstate()[0])
        if text.encode() != taken:
            self._note_event(RAW, base64.b64encode(taken).decode())
        if text:
            self._note_event(code, text)

    def _note_event(self, code: str, data: str) -> None:
        if not self._is_whole:
            return
        now_ms = time.monotonic_ns() // 1_000_000
        line = msgspec.json.encode([(now_ms - self._last_ms) / _WHOLE_MS, code, data]) + b"\n"
        self._last_ms = now_ms
        self._write(line)

    def _write(self, line: bytes) -> None:
        """Write a line; the digest covers what is in the file, even if the disk fills up within the line."""
        try:
            written = self._file.write(line)
        except OSError:
            self._is_whole = False
            raise
        self._digest.update(line[:written])
        self.size += written
        if written < len(line):
            self._is_whole = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_growing(path: Path) -> bool:
    """Tell whether a process still writes to a recording.

    Raises:
        OSError: The file cannot be read.
    """
    with open_regular(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        # The header is written once the file is locked.
        return os.fstat(file.fileno()).st_size == 0


async def vouch_for(
    recorded: Recorded,
    line_name: str,
    trail: Trail,
    reason: Literal[CommonReason.OK, EndReason.SERVER_LOST] = CommonReason.OK,
) -> None:
    """Have the log vouch for a recording."""
    message = f"what {line_name} showed was recorded in {recorded.file}"
    with contextlib.suppress(AuditUnavailableError):  # the log keeps it, and writes it late
        await trail.record(
            RecordingClosed(
                reason=reason,
                message=message,
                file=recorded.file,
                sha256=recorded.sha256,
                bytes=recorded.size,
                is_whole=recorded.is_whole,
            )
        )
