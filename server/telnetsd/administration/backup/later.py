"""What happened to an installation after a backup of it: read from its audit log, and applied to what is restored.

The lines after the backup form a chain with those in it. A signature of the audit key covers the lines up to it. What
takes something away from a user (a revocation, a hold, a removal) is applied from every line that is there. What
gives something back (the end of a hold, roles, a name) is applied only if a signature covers it: whoever can write to
a copy of the log can add lines to its end.
"""

from dataclasses import dataclass
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

_CHANGES: Final = frozenset(
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
        self._found: list[tuple[int, LoggedEvent, str]] = []
        self._has_joined = False
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
            self._join(link)
        elif (link.head.sequence, link.previous) != (self._head.sequence + 1, self._head.sha256):
            self._note_damage(line, "it does not follow the line before it")
        if self._has_joined and link.head.sequence > self._after.sequence:
            self._keep(link, line.content)
            self._head = link.head

    def result(self) -> LaterLog:
        """Return what was read.

        Raises:
            OperatorError: The log does not continue the backup.
        """
        if not self._has_joined:
            raise OperatorError(
                f"it does not have line {self._after.sequence}, with which the backup ends, or it is another"
                " installation's; name the folder of this installation's log"
            )
        changes: list[LaterChange] = []
        for sequence, event, action in self._found:
            one = LaterChange(action, event, sequence <= self._signed_up_to)
            if action != ChangeUndone.action:
                changes.append(one)
            elif one.is_signed:
                _take_back(changes, one.text("message"))
        return LaterLog(tuple(changes), self._head.sequence, self.damage)

    def _join(self, link: Link) -> None:
        is_last = link.head == self._after
        is_next = link.head.sequence == self._after.sequence + 1 and link.previous == self._after.sha256
        self._has_joined = is_last or is_next
        self._head = link.head

    def _keep(self, link: Link, content: bytes) -> None:
        is_proved = link.head == self._sealed or (link.is_checkpoint and is_signed(content, link, self._keys))
        if is_proved and not self.damage:
            self._signed_up_to = link.head.sequence
        if link.action in _CHANGES:
            if len(self._found) >= _LATER_MAX:
                raise OperatorError(f"more than {_LATER_MAX} changes were made after the backup; use a later one")
            self._found.append((link.head.sequence, msgspec.json.decode(content), link.action))

    def _note_damage(self, line: LogLine, what: str) -> None:
        self.damage = self.damage or f"{escape(line.path.name, NAME_MAX_CHARS)} line {line.number}: {what}"


def _sealed_head(snapshot: Snapshot, keys: PublicKeys) -> Head:
    """Return the line up to which the seal proves a log; EMPTY if there is no seal, or none by these keys."""
    try:
        return read_seal(snapshot.seal, keys).head if snapshot.seal else EMPTY
    except ChainError:
        return EMPTY


def _take_back(changes: list[LaterChange], undone: str) -> None:
    """Remove the events of the last change, which was interrupted and undone, as a later event says."""
    messages: set[str] = set()
    while changes and (message := changes[-1].text("message")) in undone and message not in messages:
        messages.add(message)
        changes.pop()
