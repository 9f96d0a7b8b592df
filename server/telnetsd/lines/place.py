"""What a session sees of the lines: a directory that finds it a place, and the place that it has on one line.

A line may be open in this process or in another one; a session cannot tell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from telnetsd.audit.trail import Trail
from telnetsd.events.of_sessions import ConnectedReason, LineConnected
from telnetsd.events.reason import LineReason
from telnetsd.lines.participants import Participant
from telnetsd.lines.table import Line
from telnetsd.rpc.messages import Join
from telnetsd.telnet.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who comes to a line: the session's part in it, their terminal, what a program is told, where it is recorded.

    `trail` is bound to the session and the line: the log vouches for the recording.
    """

    participant: Participant
    terminal: Terminal
    environment: Mapping[str, str]
    recording: Path
    trail: Trail


class Place(Protocol):
    """One session's place on a line: reserved at first, and taken when that is on the log."""

    @property
    def reason(self) -> ConnectedReason:
        """Whether they open it and write, take it over, or watch."""

    @property
    def writer(self) -> str:
        """Who writes to it now; empty for nobody else."""

    async def enter(self) -> str:
        """Take the place; returns what to say of it.

        Raises:
            LineError: It has been closed, or too many watch it, or the log cannot be written.
        """

    def begin(self) -> None:
        """Show what the line shows, from now on: once it was said that they are connected."""

    async def type(self, keys: bytes) -> bool:
        """Send what was typed, and wait until it is taken; False for who only watches."""

    def resize(self, terminal: Terminal) -> None:
        """Pass on another size of the screen."""

    def ask_com_port(self, question: bytes, answer: Callable[[bytes], None]) -> None:
        """Ask about the serial port (RFC 2217); the answer comes in the order of the questions, if at all."""

    def send_break(self) -> None:
        """Send BREAK."""

    def tell_who(self) -> None:
        """Have the participant told who is connected."""

    async def ask_to_write(self) -> None:
        """Ask for the writer's place; whoever came only to watch is told that they did."""

    async def hand_over(self) -> None:
        """Give the writer's place to whoever asked for it, once that is on the log."""

    def leave(self) -> None:
        """Give the place up, taken or not; once or more."""


class Directory(Protocol):
    """The way to every line."""

    async def states(self, lines: Sequence[Line]) -> list[str]:
        """Say of each line whether it is free, in use by whom, or could not be reached the last time."""

    async def require_free(self, line: Line, join: Join) -> None:
        """Refuse early what `place` would refuse now.

        Raises:
            LineError: It is in use and not shared, or nobody is there to be watched.
        """

    async def place(self, line: Line, join: Join, visitor: Visitor) -> Place:
        """Find somebody a place; a line that is not open is opened, and shows nothing before the place is taken.

        Raises:
            LineError: It is in use, cannot be reached, or cannot be recorded.
        """


async def record_role(trail: Trail, who: str, line: str, reason: ConnectedReason, cause: LineReason) -> None:
    """Tell the log that somebody who is on a line is about to write to it, or only to watch.

    Args:
        trail: Bound to their session and the line.
        who: Their name.
        line: The line's name.
        reason: WATCHING, or why they write.
        cause: What it comes from.
    Raises:
        AuditUnavailableError: It cannot be written.
    """
    deed = f"only watches {line} now" if reason is LineReason.WATCHING else f"writes to {line}"
    await trail.record(LineConnected(reason=reason, message=f"{who} {deed} ({cause.value})"))
