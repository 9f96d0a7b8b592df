"""What happened to an installation after a backup of it: read from its audit log, and applied to what is restored.

The lines after the backup form a chain with those in it. A signature of the audit key covers the lines up to it. What
takes something away from a user (a revocation, a hold, a removal) is applied from every line that is there. What
gives something back (the end of a hold, roles, a name) is applied only if a signature covers it: who can write to a
copy of the log can add lines to its end.
"""

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from telnetsd.audit.chain import EMPTY, ChainError, Head, Link, read_link
from telnetsd.audit.checkpoint import PublicKeys, is_signed, read_seal
from telnetsd.audit.reading.archive import NAME_MAX_CHARS, LogLine, Snapshot, read_lines
from telnetsd.audit.reading.row import LoggedEvent, value_of
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events import of_changes
from telnetsd.events.event import Event
from telnetsd.events.of_changes import ChangeUndone
from telnetsd.events.of_the_server import AuditKeyChanged

_CHANGES: Final = frozenset({AuditKeyChanged.action}) | frozenset(
    one.action
    for one in vars(of_changes).values()
    if isinstance(one, type) and issubclass(one, Event) and hasattr(one, "action")
)
_LATER_MAX: Final = 1_000_000
"""The maximum number of changes that are applied."""


@dataclass(frozen=True, slots=True)
class LaterChange:
    """A change that the log records after the backup; `is_signed`: a signature covers its line."""

    action: str
    event: LoggedEvent
    is_signed: bool

    def text(self, name: str) -> str:
        """Return a field of the event; empty if it has none."""
        value = value_of(self.event, name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class LaterLog:
    """The part of a log after a backup.

    Attributes:
        changes: The changes in it.
        last_sequence: Its last line.
        damage: Where the chain is broken, and how; empty if it is not.
    """

    changes: tuple[LaterChange, ...]
    last_sequence: int
    damage: str


def read_later(snapshot: Snapshot, after: Head, keys: PublicKeys) -> LaterLog:
    """Read what a log has after a backup.

    Args:
        snapshot: The log.
        after: The line with which the backup ends.
        keys: The audit keys of the backup; a line that a later key has signed counts as not signed.
    Raises:
        OperatorError: The log does not continue the backup, or cannot be read.
    """
    reader = _Reader(after, keys, _sealed_head(snapshot, keys))
    for line in read_lines(snapshot):
        # A writer that was killed leaves half a line; the next one sets it aside.
        if line.is_whole:
            reader.take(line)
    return reader.result()


class _Reader:
    """Reads the lines of a log after a head."""

    def __init__(self, after: Head, keys: PublicKeys, sealed: Head) -> None:
        self._after = after
        self._sealed = sealed
        self._head = Head(0, "")
        self._keys = keys
        self._signed_up_to = after.sequence
        self._found: list[tuple[Link, LoggedEvent, bool]] = []
        self._has_gap = self._has_joined = self._is_other = self._is_ours = False
        self.damage = ""

    def take(self, line: LogLine) -> None:
        """Read one line."""
        try:
            link = read_link(line.content)
        except ChainError as error:
            if self._has_joined:
                self._note_damage(line, str(error))
            return
        if not self._has_joined:
            self._join(line, link)
        elif (link.head.sequence, link.previous) != (self._head.sequence + 1, self._head.sha256):
            self._note_damage(line, "it does not follow the line before it")
        if self._has_joined and link.head.sequence > self._after.sequence:
            self._keep(line, link)
            self._head = link.head

    def result(self) -> LaterLog:
        """Return what was read.

        Raises:
            OperatorError: The log does not continue the backup.
        """
        if not self._has_joined or self._is_other or (self._has_gap and not self._is_ours):
            raise OperatorError(
                f"it does not have line {self._after.sequence}, with which the backup ends, or it is another"
                " installation's; name the folder of this installation's log"
            )
        changes: list[LaterChange] = []
        for link, event, is_undamaged in self._found:
            is_proved = is_undamaged and link.head.sequence <= self._signed_up_to
            one = LaterChange(link.action, event, is_proved)
            if link.action != ChangeUndone.action:
                changes.append(one)
            elif one.is_signed:
                _take_back(changes, one.text("message"))
        return LaterLog(tuple(changes), self._head.sequence, self.damage)

    def _join(self, line: LogLine, link: Link) -> None:
        sequence, last = link.head.sequence, self._after.sequence
        is_next = sequence == last + 1 and link.previous == self._after.sha256
        self._has_gap = sequence > last + 1
        self._is_other = self._is_other or (sequence == last and link.head != self._after)
        self._has_joined = link.head == self._after or is_next or self._has_gap
        if self._has_gap:
            self._note_damage(line, f"lines {last + 1} to {sequence - 1} before it are missing")
        self._head = link.head

    def _keep(self, line: LogLine, link: Link) -> None:
        content = line.content
        is_proved = link.head == self._sealed or (link.is_checkpoint and is_signed(content, link, self._keys))
        self._is_ours = self._is_ours or is_proved
        if is_proved and not self.damage:
            self._signed_up_to = link.head.sequence
        if link.action in _CHANGES:
            if len(self._found) >= _LATER_MAX:
                raise OperatorError(f"more than {_LATER_MAX} changes were made after the backup; use a later one")
            try:
                event = msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._note_damage(line, str(error))
            else:
                self._found.append((link, event, not self.damage))

    def _note_damage(self, line: LogLine, what: str) -> None:
        self.damage = self.damage or f"{escape(line.path.name, NAME_MAX_CHARS)} line {line.number}: {what}"


def _sealed_head(snapshot: Snapshot, keys: PublicKeys) -> Head:
    """Return the line up to which the seal proves a log; EMPTY if there is no seal, or none by these keys."""
    try:
        return read_seal(snapshot.seal, keys).head if snapshot.seal else EMPTY
    except ChainError:
        return EMPTY


def _take_back(changes: list[LaterChange], undone: str) -> None:
    """Let the last change give nothing back: it was interrupted and undone, as a later event says.

    What it takes away still counts. If the change was interrupted before it was recorded, the last one that the log
    has is an earlier one, which was made.
    """
    for number in range(len(changes) - 1, -1, -1):
        if changes[number].text("message") not in undone:
            break
        changes[number] = replace(changes[number], is_signed=False)
