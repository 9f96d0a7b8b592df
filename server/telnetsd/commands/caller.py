"""What a command sees of the session that it runs in, and of the server behind it.

A command gets an identity, never a certificate to judge, and speaks to its user through `say` alone: no command
touches a socket. Text of another peer goes through `telnetsd.escaping.escape` before it is said.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from telnetsd.commands.enrolment_service import Applicant, EnrolmentService
from telnetsd.identity.outcome import Admitted
from telnetsd.lines.place import Directory
from telnetsd.lines.table import Line, LineTable
from telnetsd.rpc.messages import Join, SessionRow
from telnetsd.tls.engine import TlsDetails

Handler = Callable[["Caller", str], Awaitable[None]]
"""Runs a command: the caller, and what was typed behind the command's name, stripped."""
Check = Callable[["Caller", str], None]
"""Raises a PeerError with a `reason` where the caller may not have a command with these arguments."""


class LiveSessions(Protocol):
    """The sessions that are open now, on every worker."""

    @property
    def notice(self) -> str:
        """What whoever comes in now is told as well; may be empty."""

    async def rows(self) -> list[SessionRow]:
        """Return every session, the oldest first."""

    async def matching(self, id_end: str) -> list[SessionRow]:
        """Return the sessions whose id is `id_end` or ends with it."""

    async def kick(self, session_id: str, by: str) -> None:
        """End a session, with a sentence to its user and an event; `by` says who wants it."""

    async def tell_others(self, session_id: str, text: str) -> int:
        """Show a line to every session but this one, and return to how many."""


class PermittedCommand(Protocol):
    """A command that its caller may have; see `commands.table.Command`."""

    @property
    def name(self) -> str:
        """What is typed."""

    @property
    def summary(self) -> str:
        """One line for `help`."""

    @property
    def synopsis(self) -> str:
        """The name with its arguments."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names for the same."""

    @property
    def handler(self) -> Handler:
        """The function behind it."""

    @property
    def check(self) -> Check:
        """Decides whether the caller may have it with these arguments."""

    def check_arguments(self, arguments: str) -> None:
        """Refuse too few or too many words.

        Raises:
            CommandError: With the usage.
        """


class Permissions(Protocol):
    """Which commands there are, and who has which; see `commands.table.CommandTable`."""

    def permitted(self, identity: Admitted) -> Sequence[PermittedCommand]:
        """Return the commands that somebody has, by name."""

    def authorise(self, name: str, identity: Admitted) -> PermittedCommand:
        """Return the command of that name, if `identity` has it.

        Raises:
            CommandError: There is no such command, or it takes a role or a class that `identity` has not.
        """

    def roles_of(self, identity: Admitted) -> frozenset[str]:
        """Return the roles of somebody that count, with those that they include."""

    def shown(self, line: str) -> str:
        """Return a line as the log may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the server offers to commands."""

    sessions: LiveSessions
    table: Permissions
    motd: str
    audit_file: Path
    enrolment: EnrolmentService
    renewal_window_days: int
    lines: LineTable
    directory: Directory
    recordings: Path


@dataclass(frozen=True, slots=True)
class Question:
    """What a command wants to be typed next. The lines are no commands, and no line of them is on the log.

    Attributes:
        prompt: Shown in place of the session's prompt.
        max_bytes: A longer answer is given up.
        is_last: Tells from a line, and whether it is the first that is not blank, if the answer is whole with it;
            raises CommandError when it cannot be one.
        then: Takes the answer, its lines joined by newlines.
    """

    prompt: str
    max_bytes: int
    is_last: Callable[[str, bool], bool]
    then: Callable[[str], Awaitable[None]]


class Caller(Protocol):
    """The session that a command runs in."""

    @property
    def id(self) -> str:
        """The session's UUIDv7."""

    @property
    def identity(self) -> Admitted:
        """Who is there: a named user or a guest."""

    @property
    def source(self) -> str:
        """Where they come from: address and port."""

    @property
    def started_at(self) -> datetime:
        """Since when (aware, UTC)."""

    @property
    def tls(self) -> TlsDetails:
        """What the handshake agreed upon."""

    @property
    def history(self) -> Sequence[str]:
        """The last lines of this session, escaped, the oldest first."""

    @property
    def services(self) -> Services:
        """The server."""

    @property
    def applicant(self) -> Applicant:
        """How enrolment knows this session."""

    async def connect(self, line: Line, join: Join) -> None:
        """Connect the session to a line, until that is over.

        Raises:
            LineError: It is in use, cannot be reached, or is not shared.
            AuditUnavailableError: The log cannot be written: nobody is connected.
        """

    def ask(self, question: Question) -> None:
        """Have the next lines answer a question; a line with a dot alone gives it up."""

    def say(self, text: str) -> None:
        """Show text: one or more lines, without the last line end."""

    async def show_said(self) -> None:
        """Show what was said so far, and wait until the client has taken enough of it.

        Raises:
            ConnectionError: It is gone.
        """

    async def wait_gone(self) -> None:
        """Wait until the client has gone."""

    def leave(self) -> None:
        """End the session after this command."""
