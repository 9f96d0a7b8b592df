"""A session's view of the lines: a directory that finds it a place, and the place that it has on one line.

A line may be open in this process or in another one; the session sees no difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from telnetsd.events.of_sessions import ConnectedReason
from telnetsd.lines.participants import Participant
from telnetsd.lines.table import Line
from telnetsd.rpc.messages import Join, LineRow
from telnetsd.telnet.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Visitor:
    """A session that asks for a place on a line.

    The fields are its participant, its terminal, its UUIDv7, and whether it is shown past output of the line.
    """

    participant: Participant
    terminal: Terminal
    session_id: str
    wants_past: bool


class Place(Protocol):
    """One session's place on a line: first reserved, then entered once that is recorded in the log."""

    @property
    def reason(self) -> ConnectedReason:
        """Whether the session opens the line and writes, takes it over, or watches."""

    @property
    def writer(self) -> str:
        """The name of the current writer; empty if no other session writes."""

    async def enter(self) -> str:
        """Enter the place; return the sentence to show about it.

        Raises:
            LineError: The line has been closed, or has too many watchers, or the log cannot be written.
        """

    def begin(self) -> None:
        """Start to show the line's output; call this once the user has been notified of the connection."""

    async def type(self, keys: bytes) -> bool:
        """Send typed bytes, and wait until the upstream accepts them; return False for a watcher."""

    def resize(self, terminal: Terminal) -> None:
        """Pass on a new screen size."""

    def ask_com_port(self, question: bytes) -> None:
        """Ask about the serial port (RFC 2217); the participant is told the answer, if there is one."""

    def send_break(self) -> None:
        """Send BREAK."""

    def end_input(self) -> None:
        """Pass on that the client has ended its input, if no other session can type on the line."""

    def show_past(self, *, is_all: bool) -> None:
        """Show more of what the line showed before, or all of it that is kept."""

    def tell_who(self) -> None:
        """Tell the participant who is connected."""

    async def ask_to_write(self) -> None:
        """Ask for the writer role; a session that connected only to watch is notified of that."""

    async def hand_over(self) -> None:
        """Give the writer role to the session that asked for it, once that is recorded in the log."""

    def leave(self) -> None:
        """Give up the place, whether entered or only reserved; may be called more than once."""


class Directory(Protocol):
    """Access to every line."""

    async def rows(self, lines: Sequence[Line]) -> list[LineRow]:
        """Return the state of each line."""

    async def require_free(self, line: Line, join: Join) -> None:
        """Refuse early what `place` would refuse now.

        Raises:
            LineError: The line is in use and not shared, or there is no session to watch.
        """

    async def place(self, line: Line, join: Join, visitor: Visitor) -> Place:
        """Find a place for a visitor; open the line if necessary.

        A line that is opened here shows nothing before the place is entered.

        Raises:
            LineError: The line is in use, cannot be reached, or cannot be recorded.
        """
