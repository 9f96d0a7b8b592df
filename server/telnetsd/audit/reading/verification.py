"""Verification that a log is what was written: order, chain, signatures, beginning and end; pure.

It needs the lines, the seal and the public key. It reads a log line by line, in constant memory. At the first line
that does not fit, it searches the lines after it for the line that should have been there. That determines what kind
of damage it is.

What proves the *beginning*: the line is the first of the whole log; or it is a signed line that opens a file. In the
second case, either a retention event says what was removed before it, or only some files are examined. What proves
the *end*: the seal; or, if only rotated files are examined, a signed line that closes the last of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from telnetsd.audit.chain import EMPTY, ChainError, Head, Link, link_of, read_link
from telnetsd.audit.checkpoint import NO_SEAL, PublicKeys, is_signed, read_seal
from telnetsd.audit.reading.archive import LogLine
from telnetsd.escaping import escape
from telnetsd.events.of_changes import InstallationRestored
from telnetsd.events.of_the_server import AuditDamaged, AuditPruned
from telnetsd.events.reason import CheckpointReason

NAME_MAX_CHARS: Final = 255
NOTED_MAX: Final = 20
"""How many lines of a kind are listed that say what has happened to the log."""


class DamageKind(StrEnum):
    """What was done to a log."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class Damage:
    """The first bad line: the file, the line's number in it (from 1), and what is wrong."""

    kind: DamageKind
    file: str
    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a verification.

    Attributes:
        damage: The first damage, or None.
        events: How many lines are valid.
        checkpoints: How many of them are signed.
        first_sequence, last_sequence: The numbers of the first and the last of them; 0 when there are none.
        first_at, last_at: When those were written, as the lines state it.
        key_ids: The keys that have signed.
        is_sealed: Whether there was a seal.
        unsealed: How many lines after the seal were announced by a writer that was killed before it sealed them.
        pruned: How many lines before the first one were removed by retention, with an event that says so.
        is_partial: Whether only some files were examined, and earlier ones exist.
        restored, damaged: The lines that say that the installation was restored from a backup, or that the log was
            damaged; at most NOTED_MAX of each. The chain is intact there, and yet lines may be missing.
    """

    damage: Damage | None
    events: int
    checkpoints: int
    first_sequence: int
    last_sequence: int
    first_at: str
    last_at: str
    key_ids: tuple[str, ...]
    is_sealed: bool
    unsealed: int
    pruned: int
    is_partial: bool
    restored: tuple[int, ...]
    damaged: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a log is verified against.

    Attributes:
        keys: The keys whose signatures count.
        seal: The content of the seal; empty if there is none.
        is_whole: Whether every file of the log is examined, except those that retention removed.
        checkpoint: An earlier state that was exported, and whose signature is valid; or None.
        witnessed: A line that the whole log had, as remembered elsewhere; EMPTY if none is remembered.
    """

    keys: PublicKeys
    seal: bytes
    is_whole: bool
    checkpoint: Link | None = None
    witnessed: Head = EMPTY


class _Pruned(msgspec.Struct):
    last_sequence: int
    last_sha256: str


class _PrunedTelnetsd(msgspec.Struct):
    audit: _Pruned


class _PrunedEvent(msgspec.Struct):
    telnetsd: _PrunedTelnetsd


class _DamagedError(Exception):
    """The line that was checked last is bad, or the one `back` lines before it."""

    def __init__(self, kind: DamageKind, message: str, back: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.back = back


class _MisfitError(Exception):
    """A line does not follow the one before it."""


def verify(lines: Iterable[LogLine], expected: Expectation) -> Report:
    """Verify a log.

    Args:
        lines: Every line, in order.
        expected: What it is verified against.
    """
    rest, verifier = iter(lines), _Verifier(expected)
    try:
        for line in rest:
            verifier.take(line)
        verifier.finish()
    except _DamagedError as error:
        return verifier.report(error)
    except _MisfitError:
        return verifier.report(verifier.explain(rest))
    return verifier.report(None)


class _Verifier:
    """Keeps the current position in the chain; its methods are called with one line after another."""

    def __init__(self, expected: Expectation) -> None:
        self._expected = expected
        self._line: LogLine | None = None
        self._line_before: LogLine | None = None
        self._link: Link | None = None
        self._first: Link | None = None
        self._last: Link | None = None
        self._head = self._head_before = EMPTY
        self._events = self._checkpoints = 0
        self._key_ids: dict[str, None] = {}
        self._is_pruned = False
        self._noted: dict[str, list[int]] = {InstallationRestored.action: [], AuditDamaged.action: []}
        self._seal_error = "" if expected.seal else "there is no seal"
        try:
            self._sealed = read_seal(expected.seal, expected.keys) if expected.seal else NO_SEAL
        except ChainError as error:
            self._sealed, self._seal_error = NO_SEAL, str(error)

    def take(self, line: LogLine) -> None:
        """Check the next line."""
        self._line_before, self._line = self._line, line
        if not line.is_whole:
            message = "it is incomplete: a writer was interrupted and the next one sets it aside, or the file was cut"
            raise _DamagedError(DamageKind.TORN, message)
        try:
            link = self._link = read_link(line.content)
        except ChainError as error:
            raise _DamagedError(DamageKind.CHANGED, str(error)) from error
        if self._first is None:
            self._begin(link)
        elif link.head.sequence != self._head.sequence + 1 or link.previous != self._head.sha256:
            raise _MisfitError
        if link.is_checkpoint:
            self._check_signature(line, link)
        self._compare(link, self._sealed.head, "the one that was sealed")
        self._compare(link, self._expected.witnessed, "the one in state.db")
        if self._expected.checkpoint is not None:
            self._compare(link, self._expected.checkpoint.head, "the checkpoint that was exported")
        self._note(line, link)
        self._head_before, self._head, self._last = self._head, link.head, link
        self._events += 1

    def finish(self) -> None:
        """Check the beginning and the end, after every line has been checked."""
        first, last, witnessed = self._first, self._last, self._expected.witnessed.sequence
        if last is None and witnessed:
            missing = f"at least {_range(1, witnessed)} {_are(1, witnessed)} missing, according to state.db"
            raise _DamagedError(DamageKind.REMOVED, missing)
        if first is None or last is None:
            raise _DamagedError(DamageKind.TRUNCATED, "it has no lines")
        if self._expected.is_whole and first.head.sequence > 1 and not self._is_pruned:
            last_missing = first.head.sequence - 1
            missing = f"{_range(1, last_missing)} {_are(1, last_missing)} missing, and no retention event says why"
            raise _DamagedError(DamageKind.REMOVED, missing)
        self._judge_end(last)
        if self._expected.checkpoint is not None:
            self._judge_checkpoint(self._expected.checkpoint.head.sequence, first, last)

    def explain(self, rest: Iterator[LogLine]) -> _DamagedError:
        """Determine from the lines after it what was done to a line that does not follow the previous one."""
        link, wanted = self._link, self._head.sequence + 1
        if link is None:
            raise AssertionError("a misfit is a line that was read")
        sequence = link.head.sequence
        if sequence == self._head.sequence and link.previous == self._head_before.sha256:
            return _DamagedError(DamageKind.INSERTED, "it was inserted: the next line does not follow it", back=1)
        behind = _link_of(next(rest, None))
        is_wanted_behind = any(self._follows(one) for one in (behind, *map(_link_of, rest)))
        if sequence > wanted:
            missing = _range(wanted, sequence - 1)
            if is_wanted_behind:
                return _DamagedError(DamageKind.REORDERED, f"it is number {sequence}, and comes before {missing}")
            return _DamagedError(DamageKind.REMOVED, f"{missing} before it {_are(wanted, sequence - 1)} missing")
        if is_wanted_behind:
            return _DamagedError(DamageKind.INSERTED, "it was inserted: it does not follow the previous line")
        # If the next line follows this one, this line is what was written, and the previous one is not.
        is_this_one_good = link.head == self._sealed.head or (
            behind is not None and behind.previous == link.head.sha256
        )
        if is_this_one_good and sequence == wanted:
            return _DamagedError(DamageKind.CHANGED, "it was changed: the next line does not match it", back=1)
        return _DamagedError(DamageKind.CHANGED, "it does not follow the previous line")

    def report(self, error: _DamagedError | None) -> Report:
        """Return the result of the verification."""
        first, last = self._first, self._last
        pruned = first.head.sequence - 1 if first is not None and self._is_pruned else 0
        return Report(
            damage=self._place(error) if error is not None else None,
            events=self._events,
            checkpoints=self._checkpoints,
            first_sequence=first.head.sequence if first is not None and last is not None else 0,
            last_sequence=self._head.sequence,
            first_at=first.at if first is not None else "",
            last_at=last.at if last is not None else "",
            key_ids=tuple(self._key_ids),
            is_sealed=bool(self._expected.seal),
            unsealed=max(0, self._head.sequence - self._sealed.head.sequence) if self._expected.seal else 0,
            pruned=pruned,
            is_partial=first is not None and first.head.sequence > 1 and not pruned,
            restored=tuple(self._noted[InstallationRestored.action]),
            damaged=tuple(self._noted[AuditDamaged.action]),
        )

    def _begin(self, link: Link) -> None:
        opens_file = link.is_checkpoint and link.reason == CheckpointReason.FILE_OPENED
        is_first = link.head.sequence == 1 and link.previous == EMPTY.sha256
        if not is_first and not opens_file:
            before = link.head.sequence - 1
            missing = f"{_range(1, before)} before it {_are(1, before)} missing, and it does not begin a file"
            raise _DamagedError(DamageKind.REMOVED, missing)
        self._first = link
        self._head = Head(link.head.sequence - 1, link.previous)

    def _check_signature(self, line: LogLine, link: Link) -> None:
        if not is_signed(line.content, link, self._expected.keys):
            known = link.key_id in self._expected.keys.by_id
            why = "its signature does not match" if known else f"it is signed by an unknown key {link.key_id[:16]}"
            raise _DamagedError(DamageKind.CHANGED, f"{why}; lines since the last signed one may be changed as well")
        self._checkpoints += 1
        self._key_ids[link.key_id] = None

    def _compare(self, link: Link, head: Head, what: str) -> None:
        if link.head.sequence == head.sequence and link.head != head:
            raise _DamagedError(DamageKind.CHANGED, f"it is not {what}: it was changed, and perhaps lines before it")

    def _note(self, line: LogLine, link: Link) -> None:
        """Note what the log says about itself."""
        if link.action == AuditPruned.action:
            self._note_pruned(line, link.head.sequence)
        noted = self._noted.get(link.action, [])
        if len(noted) < NOTED_MAX:
            noted.append(link.head.sequence)

    def _note_pruned(self, line: LogLine, line_sequence: int) -> None:
        try:
            pruned = msgspec.json.decode(line.content, type=_PrunedEvent).telnetsd.audit
        except msgspec.DecodeError:
            return
        first = self._first
        is_sealed = line_sequence <= self._sealed.next.sequence
        if (
            is_sealed
            and first is not None
            and (pruned.last_sequence, pruned.last_sha256)
            == (
                first.head.sequence - 1,
                first.previous,
            )
        ):
            self._is_pruned = True

    def _judge_end(self, last: Link) -> None:
        if self._expected.seal and self._seal_error:
            raise _DamagedError(DamageKind.CHANGED, f"{self._seal_error}: nothing proves that the log ends here")
        sealed = self._sealed.head.sequence
        if last.head.sequence < sealed:
            missing = _range(last.head.sequence + 1, sealed)
            are = _are(last.head.sequence + 1, sealed)
            raise _DamagedError(DamageKind.TRUNCATED, f"{missing} after it {are} missing, according to the seal")
        if self._expected.seal and last.head not in (self._sealed.head, self._sealed.next):
            message = (
                f"{_range(sealed + 1, last.head.sequence)} are not sealed: a writer was killed while writing, and the"
            )
            raise _DamagedError(DamageKind.INSERTED, f"{message} next one sets them aside; or they were inserted")
        closes_file = last.is_checkpoint and last.reason == CheckpointReason.ROTATION
        if not self._expected.seal and (self._expected.is_whole or not closes_file):
            message = "nothing proves that it is the last line: the file has no seal"
            raise _DamagedError(DamageKind.TRUNCATED, message)

    def _judge_checkpoint(self, sequence: int, first: Link, last: Link) -> None:
        if sequence > last.head.sequence:
            missing, are = _range(last.head.sequence + 1, sequence), _are(last.head.sequence + 1, sequence)
            raise _DamagedError(
                DamageKind.TRUNCATED, f"{missing} after it {are} missing, according to the checkpoint"
            )
        if sequence < first.head.sequence:
            message = f"the checkpoint is line {sequence}, which is no longer here: this log begins with line"
            raise _DamagedError(DamageKind.REMOVED, f"{message} {first.head.sequence}")

    def _follows(self, link: Link | None) -> bool:
        head = self._head
        return link is not None and link.head.sequence == head.sequence + 1 and link.previous == head.sha256

    def _place(self, error: _DamagedError) -> Damage:
        line = self._line_before if error.back else self._line
        # A user who can write to the folder chooses the names of its files.
        name = escape(line.path.name, NAME_MAX_CHARS) if line else ""
        return Damage(error.kind, name, line.number if line else 0, str(error))


def _link_of(line: LogLine | None) -> Link | None:
    return link_of(line.content) if line is not None and line.is_whole else None


def _range(first: int, last: int) -> str:
    """Name lines by their numbers in the log, `event.sequence`, and not by their places in a file."""
    return f"number {first}" if first == last else f"numbers {first} to {last}"


def _are(first: int, last: int) -> str:
    return "is" if first == last else "are"
