"""What the index knows about a file of the log: its blocks, and who was on which line when; without I/O.

A block is a run of whole lines. A search reads the blocks that may have what it looks for, and looks at each line.
So a changed index can hide an event from a search, but cannot invent or alter one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from telnetsd.audit.reading.row import LoggedEvent, read_event, value_of, who_of
from telnetsd.audit.reading.selection import GUEST, TEXTS, USERS
from telnetsd.events.of_sessions import LineConnected, LineDisconnected, SessionEnded, SessionStarted
from telnetsd.trigrams import folded

BLOCK_BYTES: Final = 16_384
"""About 20 events: with more, most blocks have most groups of three letters."""
FACTS: Final = {
    "user": USERS,
    "session": ("telnetsd.session.id",),
    "line": ("telnetsd.line.name",),
    "action": ("event.action",),
    "reason": ("event.reason",),
    "outcome": ("event.outcome",),
}
"""The words that the index has of each block, by kind, and the fields that they are in."""
_FACT_MAX_CHARS: Final = 256


@dataclass(slots=True, kw_only=True)
class LogBlock:
    """A run of lines of one file.

    Attributes:
        offset: Where it begins in the plain content of the file, in bytes.
        size: Its length in bytes.
        first_at, last_at: The earliest and the latest `@timestamp` in it; empty if no line has one.
        facts: The words in it, as pairs of a kind and a word.
        text: The text that can be searched for, folded.
    """

    offset: int
    size: int = 0
    first_at: str = ""
    last_at: str = ""
    facts: set[tuple[str, str]] = field(default_factory=set)
    text: str = ""

    def add(self, event: LoggedEvent, size: int) -> None:
        """Add a line of `size` bytes, its newline included."""
        self.size += size
        at = value_of(event, "@timestamp")
        if isinstance(at, str):
            self.first_at = min(self.first_at or at, at)
            self.last_at = max(self.last_at, at)
        for kind, paths in FACTS.items():
            words = (value_of(event, path) for path in paths)
            self.facts.update((kind, word[:_FACT_MAX_CHARS]) for word in words if isinstance(word, str))
        if value_of(event, "telnetsd.identity.kind") == GUEST:
            self.facts.add(("user", GUEST))
        texts = (value_of(event, path) for path in TEXTS)
        self.text += "".join(f"{folded(text)}\n" for text in texts if isinstance(text, str))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A session's connection to a line, as far as one file of the log has it.

    Attributes:
        line: The line's name; empty for every line that the session was on when it ended.
        session: The session's id.
        user: Who it was; see `who_of`.
        opened_at, closed_at: The `@timestamp` of its begin and its end; empty if another file has it, or none.
    """

    line: str
    session: str
    user: str
    opened_at: str = ""
    closed_at: str = ""


class AttachmentTracker:
    """Finds the attachments in the events of one file, or of several in order."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Attachment] = {}
        self._closed: list[Attachment] = []

    def note(self, event: LoggedEvent) -> None:
        """Note an event."""
        action, session = value_of(event, "event.action"), value_of(event, "telnetsd.session.id")
        if not isinstance(session, str):
            return
        at, line = str(value_of(event, "@timestamp")), value_of(event, "telnetsd.line.name")
        if action == LineConnected.action and isinstance(line, str):
            self._open.setdefault((session, line), Attachment(line, session, who_of(event), opened_at=at))
        elif action == LineDisconnected.action and isinstance(line, str):
            self._close(Attachment(line, session, who_of(event), closed_at=at))
        elif action == SessionEnded.action:
            self._close_all(Attachment("", session, who_of(event), closed_at=at))

    def join(self, other: Attachment) -> None:
        """Note an attachment as the index of a later file has it."""
        if not other.line:
            self._close_all(other)
            return
        if other.opened_at:
            self._open.setdefault((other.session, other.line), other)
        if other.closed_at:
            self._close(other)

    def every(self) -> list[Attachment]:
        """Return the attachments, the closed ones first."""
        return [*self._closed, *self._open.values()]

    def _close_all(self, ended: Attachment) -> None:
        for session, line in [key for key in self._open if key[0] == ended.session]:
            self._close(Attachment(line, session, ended.user, closed_at=ended.closed_at))

    def _close(self, closed: Attachment) -> None:
        begun = self._open.pop((closed.session, closed.line), None)
        opened_at = begun.opened_at if begun is not None else closed.opened_at
        self._closed.append(Attachment(closed.line, closed.session, closed.user, opened_at, closed.closed_at))


@dataclass(frozen=True, slots=True)
class Login:
    """The last login of a user with one certificate: its SHA-256, and the `@timestamp`."""

    user: str
    certificate_sha256: str
    at: str


class LoginTracker:
    """Finds the last logins in the events of one file, or of several in order."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], str] = {}

    def note(self, event: LoggedEvent) -> None:
        """Note an event."""
        user, sha256 = value_of(event, "user.name"), value_of(event, "tls.client.hash.sha256")
        if value_of(event, "event.action") == SessionStarted.action and isinstance(user, str):
            self.join(Login(user, str(sha256 or "").lower(), str(value_of(event, "@timestamp"))))

    def join(self, login: Login) -> None:
        """Note a login as the index of another file has it."""
        key = (login.user, login.certificate_sha256)
        self._last[key] = max(self._last.get(key, ""), login.at)

    def every(self) -> list[Login]:
        """Return the last login of each user with each certificate."""
        return [Login(user, sha256, at) for (user, sha256), at in self._last.items()]


class Tracked:
    """What is found in the events of a file, besides its blocks."""

    def __init__(self) -> None:
        self._attachments = AttachmentTracker()
        self._logins = LoginTracker()
        self._begun: set[str] = set()
        self._ended: list[Attachment] = []

    def note(self, event: LoggedEvent) -> None:
        """Note an event."""
        self._attachments.note(event)
        self._logins.note(event)
        action, session = value_of(event, "event.action"), value_of(event, "telnetsd.session.id")
        if action == SessionStarted.action:
            self._begun.add(str(session))
        elif action == SessionEnded.action and str(session) not in self._begun:
            at = str(value_of(event, "@timestamp"))
            self._ended.append(Attachment("", str(session), who_of(event), closed_at=at))

    def attachments(self) -> list[Attachment]:
        """Return the attachments, then the ends of sessions that began in an earlier file, and may be on a line."""
        return [*self._attachments.every(), *self._ended]

    def logins(self) -> list[Login]:
        """Return the last login of each user with each certificate."""
        return self._logins.every()


def blocks_of(lines: Iterable[bytes], tracked: Tracked) -> Iterator[LogBlock]:
    """Yield the blocks of a file's lines (without their newlines), and note what is tracked."""
    block = LogBlock(offset=0)
    for line in lines:
        event = read_event(line)
        tracked.note(event)
        block.add(event, len(line) + 1)
        if block.size >= BLOCK_BYTES:
            yield block
            block = LogBlock(offset=block.offset + block.size)
    if block.size:
        yield block
