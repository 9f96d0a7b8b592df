"""The participants of a line, and the notices to them when that changes. Pure: it calls no participant.

A line has at most one writer, and watchers. The writer role changes in three ways: a session takes it
over, the writer hands it over to a watcher that asked, or a watcher gets it when it is free. A change returns its
notices, and `OpenLine` delivers them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from telnetsd.audit.trail import Trail
from telnetsd.events.reason import LineReason
from telnetsd.lines.row_words import who_is_on
from telnetsd.lines.table import LineError

WATCHERS_MAX: Final = 256


class Named(Protocol):
    """What this module knows of a participant."""

    @property
    def name(self) -> str:
        """The user's name."""


class Participant(Protocol):
    """A session that is connected to a line, as the line sees it."""

    @property
    def name(self) -> str:
        """The user's name."""

    def show(self, data: bytes) -> None:
        """Show output of the line."""

    def tell(self, sentence: str) -> None:
        """Show a message about the line itself."""

    def tell_com_port(self, said: bytes) -> None:
        """Pass on an answer or a notification about the line's serial port (RFC 2217)."""

    def unread_bytes(self) -> int:
        """Return how many of the shown bytes the client has not read yet."""

    def is_behind(self) -> bool:
        """Tell whether the line has to wait for the client."""

    async def drain(self) -> None:
        """Wait until the client has read enough.

        Raises:
            ConnectionError: The client is gone.
        """

    @property
    def trail(self) -> Trail:
        """A trail that is bound to the session and the line."""

    def dismiss(self, reason: LineReason, sentence: str) -> None:
        """Note that the session is no longer connected."""


P = TypeVar("P", bound=Named)


@dataclass(frozen=True, slots=True)
class Told(Generic[P]):
    """A message to a participant."""

    to: P
    sentence: str


@dataclass(frozen=True, slots=True)
class Dismissed(Generic[P]):
    """The notice to a participant that it is no longer connected, and why."""

    to: P
    reason: LineReason
    sentence: str


Notices = list[Told[P] | Dismissed[P]]
"""The notices of a change, in order."""


class Participants(Generic[P]):
    """The participants of one line.

    Args:
        line_name: The line's name.
        is_shared: Whether it may have watchers.
        writer: The participant that opens it; None if it is open without one.

    Attributes:
        writer: The current writer; None while there is none.
        asking: The watcher that last asked for the writer role; it may have left since.
    """

    def __init__(self, line_name: str, *, is_shared: bool, writer: P | None) -> None:
        self._line_name = line_name
        self._is_shared = is_shared
        self.writer: P | None = writer
        self.asking: P | None = None
        self._watchers: list[P] = []

    @property
    def watchers(self) -> tuple[P, ...]:
        """The watchers, in the order in which they began to watch."""
        return tuple(self._watchers)

    @property
    def all(self) -> tuple[P, ...]:
        """Every participant, the writer first."""
        return (*([self.writer] if self.writer is not None else []), *self._watchers)

    def has(self, participant: P) -> bool:
        """Tell whether this is one of the participants."""
        return participant is self.writer or participant in self._watchers

    def watch(self, newcomer: P) -> Notices[P]:
        """Add a watcher.

        Raises:
            LineError: The line is in use and not shared, or has too many watchers.
        """
        if self.all and not self._is_shared:
            raise LineError(LineReason.NOT_SHARED, self.in_use())
        if len(self._watchers) >= WATCHERS_MAX:
            count = len(self._watchers)
            raise LineError(LineReason.TOO_MANY, f"{self._line_name} already has {count} watchers; try again later")
        notices = self._tell_others(newcomer, f"{newcomer.name} watches {self._line_name}")
        self._watchers.append(newcomer)
        return notices

    def take_over(self, newcomer: P, former: P | None) -> Notices[P]:
        """Make `newcomer` the writer; `former`, the previous one, watches, or leaves a line that is not shared."""
        self._remove_watcher(newcomer)
        sentence = f"{newcomer.name} has taken over {self._line_name}"
        if not self._is_shared:
            others, self.writer, self._watchers = list(self._others_than(newcomer)), newcomer, []
            return [Dismissed(one, LineReason.TAKEN_OVER, sentence) for one in others]
        notices = self._tell_others(newcomer, f"{newcomer.name} writes to {self._line_name}", former)
        self.writer = newcomer
        if former is None:
            return notices
        self._watchers.append(former)
        return [Told(former, f"{sentence}: you are watching"), *notices]

    def ask(self, watcher: P) -> Notices[P]:
        """Ask the writer to hand over; call this only while there is a writer."""
        if self.writer is None or watcher is self.writer:
            return [Told(watcher, "you are already the writer")]
        self.asking = watcher
        return [
            Told(watcher, f"{self.writer.name} was asked to hand over {self._line_name}"),
            Told(self.writer, f"{watcher.name} asks to write: ~h hands over {self._line_name}"),
        ]

    def next_writer(self, giving: P) -> P | Told[P]:
        """Return the watcher that writes next when `giving` hands over, or a message to `giving` instead."""
        if giving is not self.writer:
            return Told(giving, "you are only watching: ~a asks to write")
        if self.asking is None or self.asking not in self._watchers:
            return Told(giving, "no session has asked to write")
        return self.asking

    def may_promote(self, watcher: P, former: P | None) -> bool:
        """Tell whether a watcher still watches, and `former` still writes (None: there is no writer)."""
        return watcher in self._watchers and self.writer is former

    def promote(self, watcher: P, former: P | None) -> Notices[P]:
        """Make a watcher the writer; `former` hands over to it, and watches."""
        self._remove_watcher(watcher)
        notices: Notices[P] = []
        if former is not None:
            self._watchers.append(former)
            notices.append(Told(former, f"{watcher.name} now writes to {self._line_name}: you are watching"))
        self.writer, self.asking = watcher, None
        others = self._tell_others(watcher, f"{watcher.name} writes to {self._line_name}", former)
        return [*notices, Told(watcher, f"you now write to {self._line_name}"), *others]

    def demote(self, former: P) -> None:
        """Make the writer a watcher, because the log has it as one."""
        if self.writer is former:
            self.writer = None
            self._watchers.append(former)

    def leave(self, leaving: P) -> Notices[P]:
        """Remove a participant; return no notices if it is not one."""
        if leaving is self.writer:
            self.writer = None
            sentence = f"{leaving.name} has left {self._line_name}: ~a lets you write"
            return self._tell_others(leaving, sentence)
        if self._remove_watcher(leaving):
            return self._tell_others(leaving, f"{leaving.name} no longer watches {self._line_name}")
        return []

    def drop(self, watcher: P, reason: LineReason, sentence: str) -> Notices[P]:
        """Dismiss a watcher; the others are not notified."""
        return [Dismissed(watcher, reason, sentence)] if self._remove_watcher(watcher) else []

    def drop_writer(self, writer: P, reason: LineReason, sentence: str) -> Notices[P]:
        """Dismiss the writer; the others are notified as if it had left."""
        return [Dismissed(writer, reason, sentence), *self.leave(writer)] if writer is self.writer else []

    def dismiss_all(self, reason: LineReason, sentence: str) -> Notices[P]:
        """Dismiss every participant."""
        gone, self.writer, self._watchers = self.all, None, []
        return [Dismissed(one, reason, sentence) for one in gone]

    def who(self) -> str:
        """Return a sentence that says who is connected."""
        writer = self.writer.name if self.writer is not None else ""
        return who_is_on(self._line_name, writer, [one.name for one in self._watchers])

    def in_use(self) -> str:
        """Return a sentence that says that the line is in use, and what an operator can do about it."""
        name = self._line_name
        writer = self.writer.name if self.writer is not None else "watchers"
        return f"{name} is in use by {writer}; an operator may take it over: connect --force {name}"

    def _remove_watcher(self, watcher: P) -> bool:
        if watcher not in self._watchers:
            return False
        self._watchers.remove(watcher)
        return True

    def _tell_others(self, about: P, sentence: str, told: P | None = None) -> Notices[P]:
        """Tell everyone else; `told` has another notice."""
        return [Told(one, sentence) for one in self._others_than(about) if one is not told]

    def _others_than(self, about: P) -> Iterable[P]:
        return (one for one in self.all if one is not about)
