"""The audit log: one chain over successive files, with many writers.

Each process takes the file's lock. If another process has written since, it finds the new end of the chain. It
appends whole lines, syncs them to the disk and seals them before it releases the lock. When `append` returns, the
events are on disk; when it raises, the caller must not act on them.

A log that was cut off is not continued as if nothing had been there: the gap stays visible permanently, and an event
records that it was detected. What a crash leaves behind is repaired, and an event records that too.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from telnetsd.audit.chain import EMPTY, ChainError, Draft, Head, make_draft, seal
from telnetsd.audit.checkpoint import AuditKey, Seal
from telnetsd.audit.file import LogFile, free_rotated_path
from telnetsd.audit.key import load_audit_key
from telnetsd.audit.open_sessions import OpenSessions
from telnetsd.audit.recovery import ChainEnd, LogFault, find_end
from telnetsd.audit.trail import make_event
from telnetsd.config.settings import AuditSettings
from telnetsd.config.values import Durability
from telnetsd.errors import OperatorError
from telnetsd.events.fields import parse_timestamp
from telnetsd.events.of_the_server import AuditCheckpoint, AuditDamaged, AuditRecovered
from telnetsd.events.part import Fields
from telnetsd.events.reason import CheckpointReason, DamageReason, RecoveryReason
from telnetsd.files.home import Home

UNROTATED: Final = AuditSettings(rotate_bytes=0, rotate_age_s=0)
"""For command-line writers: no rotation. They write a few events, and leave rotation to the server."""
ROTATION_RETRY_S: Final = 60.0

logger = logging.getLogger(__name__)


class AuditUnavailableError(OperatorError):
    """The audit log cannot be written, so nothing that it would have to record may happen."""


class Witness(Protocol):
    """A record of where the log ended that is kept elsewhere, so that a missing log is detected."""

    def read(self) -> tuple[int, str]:
        """Return the sequence number and the SHA-256 of the last known line; the number is 0 if there is none."""

    def write(self, sequence: int, sha256: str) -> bool:
        """Remember a line; returns False if that is not possible now."""


class AuditLog:
    """One process's access to the audit log. Two threads must not use it at the same time.

    Args:
        path: The file.
        key: Signs checkpoints and the seal.
        settings: When to sync, sign and rotate.
        witness: Notified of where the log ends when this process begins to write, and when it closes the log.

    Raises:
        AuditUnavailableError: The file cannot be opened.
    """

    def __init__(
        self, path: Path, key: AuditKey, settings: AuditSettings = UNROTATED, witness: Witness | None = None
    ) -> None:
        self._witness = witness
        sequence, sha256 = witness.read() if witness is not None else (0, "")
        self._witnessed = Head(sequence, sha256) if sequence else EMPTY
        self._path = path
        self._key = key
        self._settings = settings
        self._end = ChainEnd(EMPTY)
        self._size = -1
        """The file's size while it ends where `_end` says; -1 when the end has to be found again."""
        self._notes: list[Draft] = []
        self._noted: set[str] = set()
        """The findings that have to be written before anything else, until they are on the log."""
        self._open = OpenSessions()
        self._opening_bytes = 0
        """How many bytes of the file repeat what other files have; they do not count towards its maximum size."""
        self._begun_at = datetime.now(UTC)
        self._first_sequence = 0
        self._signed_at = time.monotonic()
        self._rotate_from = 0.0
        self._is_synced = True
        with self._reported():
            self._file = LogFile(path)

    def append(self, events: Iterable[Fields]) -> Head:
        """Write events: see `append_drafts`."""
        return self.append_drafts([make_draft(event) for event in events])

    def append_drafts(self, events: Sequence[Draft]) -> Head:
        """Write events to the chain, in order, and sync them to the disk; return where the chain ends then.

        Raises:
            AuditUnavailableError: They are not on disk. Any part that was written is removed, at the latest by the
                next append.
        """
        with self._reported(), self._file.locked() as is_another:
            self._catch_up(is_another=is_another)
            if self._is_rotation_due():
                self._rotate()
            self._write([*events, *self._due_checkpoint(len(self._notes) + len(events))])
            head = self._end.head
        if self._witnessed == EMPTY:
            self._tell_witness()
        return head

    def checkpoint(self, reason: CheckpointReason) -> bytes:
        """Sign the log at its current end, unless it is already signed there, and return its last line.

        Raises:
            AuditUnavailableError: It cannot be written.
        """
        with self._reported(), self._file.locked() as is_another:
            self._catch_up(is_another=is_another)
            if self._notes or not self._end.is_signed or reason is CheckpointReason.REQUESTED:
                self._write([self._make_checkpoint(reason)])
            return self._file.last_line()[0]

    def sync(self) -> None:
        """Sync to the disk what was appended with interval durability.

        Raises:
            AuditUnavailableError: The sync failed.
        """
        if not self._is_synced:
            with self._reported():
                self._file.sync()
            self._is_synced = True

    def close(self) -> None:
        """Close the file."""
        self._tell_witness()
        self._file.close()

    def _tell_witness(self) -> None:
        """Save the end of the log with the witness; without its lock, since a writer of the state may wait for it."""
        head = self._end.head
        if self._witness is None or head.sequence <= self._witnessed.sequence:
            return
        if self._witness.write(head.sequence, head.sha256):
            self._witnessed = head

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # The file is examined again before anything else is written.
            self._size = -1
            raise AuditUnavailableError(
                f"cannot write the audit log: {self._path}: {error.strerror}; free space or repair it"
            ) from error

    def _catch_up(self, *, is_another: bool) -> None:
        """Find where the chain ends, and note any other findings."""
        if not is_another and self._file.size() == self._size:
            return
        line, line_end = self._file.last_line()
        seal = self._file.read_seal()
        try:
            self._end = find_end(line, seal, self._end.head, self._key.public, self._witnessed)
        except ChainError as error:
            raise AuditUnavailableError(
                f"the audit log's last line is damaged: {self._path}: {error}; run: telnetsd audit verify, "
                "then move the file away so that a new one is started"
            ) from error
        self._note(*((finding, "") for finding in self._end.findings))
        self._note(*self._set_right(line_end))
        self._remember_begin()
        self._size = self._file.size()

    def _set_right(self, line_end: int) -> Iterator[tuple[LogFault, str]]:
        """Set aside what a crash or a deletion has left; yields each fault to record, and the file's name."""
        if self._end.is_overrun:
            yield from self._set_overrun_aside()
        torn_bytes = self._file.size() - line_end
        if torn_bytes > 0:
            aside = self._file.set_aside(line_end).name
            message = f"a torn last line of {torn_bytes} bytes was set aside in {aside}"
            yield LogFault(RecoveryReason.TORN_LINE, message), aside
        if self._file.saved_as is not None:
            name, self._file.saved_as = self._file.saved_as.name, None
            message = f"the audit log's file was deleted; its lines were saved as {name}"
            yield LogFault(RecoveryReason.FILE_DELETED, message), name

    def _set_overrun_aside(self) -> Iterator[tuple[LogFault, str]]:
        """Set aside lines after the seal: a writer was killed while it wrote them, or another program added them."""
        end = self._file.end_of(self._end.head)
        if end is None:
            message = "the last lines of the audit log were changed"
            yield LogFault(DamageReason.LAST_LINE_CHANGED, message), ""
            return
        aside = self._file.set_aside(end).name
        message = f"unacknowledged lines were set aside in {aside}: a writer was killed, or the lines were inserted"
        yield LogFault(RecoveryReason.UNSEALED_LINES, message), aside

    def _note(self, *found: tuple[LogFault, str]) -> None:
        """Note findings that have not been noted yet."""
        for finding, file_name in found:
            if finding.message not in self._noted:
                self._noted.add(finding.message)
                self._notes.append(_note_of(finding, file_name))

    def _remember_begin(self) -> None:
        first = self._file.first_link()
        self._first_sequence = first.head.sequence if first else self._end.head.sequence + 1
        self._begun_at = (parse_timestamp(first.at) if first else None) or datetime.now(UTC)

    def _is_rotation_due(self) -> bool:
        if not self._size or time.monotonic() < self._rotate_from:
            return False
        age_s = (datetime.now(UTC) - self._begun_at).total_seconds()
        is_long = 0 < self._settings.rotate_bytes <= self._size - self._opening_bytes
        return is_long or 0 < self._settings.rotate_age_s <= age_s

    def _rotate(self) -> None:
        """Close the file with a checkpoint, and begin a new one; if that is not possible, continue with this one."""
        self._write([self._make_checkpoint(CheckpointReason.ROTATION)])
        self.sync()
        target = free_rotated_path(self._path, self._first_sequence)
        try:
            self._file.move(target)
        except OSError as error:
            logger.warning(
                "the audit log cannot be rotated: %s: %s; the current file stays in use", target, error.strerror
            )
            self._rotate_from = time.monotonic() + ROTATION_RETRY_S
            return
        self._catch_up(is_another=self._file.lock())

    def _due_checkpoint(self, count: int) -> list[Draft]:
        """Return the checkpoint that is due after `count` more lines, or an empty list."""
        before, every = self._end.head.sequence, self._settings.checkpoint_events
        if not count:
            return []
        if before // every != (before + count) // every:
            return [self._make_checkpoint(CheckpointReason.EVENTS)]
        if time.monotonic() - self._signed_at >= self._settings.checkpoint_interval_s:
            return [self._make_checkpoint(CheckpointReason.INTERVAL)]
        return []

    def _make_checkpoint(self, reason: CheckpointReason) -> Draft:
        event = AuditCheckpoint(reason=reason, message=reason.sentence, key_id=self._key.id)
        return make_draft(make_event(event))

    def _write(self, events: Sequence[Draft]) -> None:
        """Write the noted findings, and then the events, at the end of the chain: completely, or not at all."""
        if not events and not self._notes:
            return
        opening = [] if self._size else [self._make_checkpoint(CheckpointReason.FILE_OPENED), *self._open.continued()]
        drafts = [*opening, *self._notes, *events]
        lines, head = self._seal_lines(drafts)
        content = b"".join(lines)
        start, before = self._size, self._end.head
        try:
            self._file.write_seal(self._key.make_seal(Seal(before, head)))
            self._file.append(content)
            self._sync_if_due()
            self._file.write_seal(self._key.make_seal(Seal(head, head)))
        except OSError:
            self._size = -1
            self._file.cut(start)
            raise
        self._open.note([*self._notes, *events])
        if opening:
            self._opening_bytes = sum(map(len, lines[1 : len(opening)]))
        is_checkpoint = drafts[-1].action == AuditCheckpoint.action
        self._end, self._size = ChainEnd(head, is_checkpoint), start + len(content)
        self._notes, self._noted = [], set()
        if is_checkpoint:
            self._signed_at = time.monotonic()

    def _seal_lines(self, drafts: Sequence[Draft]) -> tuple[list[bytes], Head]:
        """Make events the next lines of the chain; returns the lines, and the new end of the chain."""
        head, lines = self._end.head, []
        for draft in drafts:
            is_checkpoint = draft.action == AuditCheckpoint.action
            line, head = seal(draft, head, self._key.sign_checkpoint if is_checkpoint else None)
            lines.append(line)
        return lines, head

    def _sync_if_due(self) -> None:
        if self._settings.durability is Durability.COMMIT:
            self._file.sync()
        else:
            self._is_synced = False


def open_log(home: Home, settings: AuditSettings = UNROTATED, witness: Witness | None = None) -> AuditLog:
    """Open the audit log of an installation.

    Raises:
        OperatorError: The audit key is missing, accessible to other users, or cannot be read.
        AuditUnavailableError: The file cannot be opened.
    """
    return AuditLog(home.audit_file, load_audit_key(home), settings, witness)


def _note_of(finding: LogFault, file_name: str) -> Draft:
    """Return the event that records a finding."""
    reason, message, lines = finding.reason, finding.message, finding.lines or None
    if isinstance(reason, DamageReason):
        return make_draft(make_event(AuditDamaged(reason=reason, message=message, lines=lines)))
    event = AuditRecovered(reason=reason, message=message, file=file_name or None, lines=lines)
    return make_draft(make_event(event))
