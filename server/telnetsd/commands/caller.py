"""What a command sees of the session that it runs in, and of the server behind it.

A command gets an identity, never a certificate to judge, and shows text to its user only through `say`: no command
touches a socket. Text from another peer goes through `telnetsd.escaping.escape` before it is shown.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from telnetsd.commands.enrolment_service import Applicant, EnrolmentService, NodeAdmission
from telnetsd.identity.outcome import Admitted
from telnetsd.lines.place import Directory
from telnetsd.lines.table import Line, LineTable
from telnetsd.rpc.messages import Join, SessionRow
from telnetsd.tls.engine import TlsDetails

Handler = Callable[["Caller", str], Awaitable[None]]
"""Runs a command; receives the caller, and what was typed after the command's name, stripped."""
Check = Callable[["Caller", str], None]
"""Raises a PeerError with a `reason` if the caller may not run a command with these arguments."""


Completer = Callable[["Caller"], Awaitable[Sequence[str]]]
"""Returns the words that the arguments of a command may be."""


class LiveSessions(Protocol):
    """The sessions that are open now, on every worker."""

    @property
    def notice(self) -> str:
        """The announcement that each new session also sees; may be empty."""

    async def rows(self) -> list[SessionRow]:
        """Return every session, the oldest first."""

    async def matching(self, id_end: str) -> list[SessionRow]:
        """Return the sessions whose id is `id_end` or ends with it."""

    async def kick(self, session_id: str, by: str) -> None:
        """End a session, with a message to its user and an event; `by` names the operator who requested it."""

    async def tell_others(self, session_id: str, text: str) -> int:
        """Show a line to every session except this one, and return the number of those sessions."""


class PermittedCommand(Protocol):
    """A command that its caller may run; see `commands.table.Command`."""

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
        """Other names for the same command."""

    @property
    def handler(self) -> Handler:
        """The function behind it."""

    @property
    def check(self) -> Check:
        """Decides whether the caller may run it with these arguments."""

    @property
    def completes(self) -> Completer:
        """Returns the words that its arguments may be."""

    def check_arguments(self, arguments: str) -> None:
        """Refuse too few or too many words.

        Raises:
            CommandError: The number is wrong; the message shows the usage.
        """


class Permissions(Protocol):
    """The commands, and which identity may run which of them; see `commands.table.CommandTable`."""

    def permitted(self, identity: Admitted) -> Sequence[PermittedCommand]:
        """Return the commands that `identity` may run, by name."""

    def authorise(self, name: str, identity: Admitted) -> PermittedCommand:
        """Return the command of that name, if `identity` may run it.

        Raises:
            CommandError: There is no such command, or it requires a role or a class that `identity` does not have.
        """

    def roles_of(self, identity: Admitted) -> frozenset[str]:
        """Return the effective roles of `identity`, with the roles that they include."""

    def shown(self, line: str) -> str:
        """Return a line as the log may show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the server offers to commands."""

    sessions: LiveSessions
    table: Permissions
    motd: str
    audit_file: Path
    enrolment: EnrolmentService
    nodes: NodeAdmission | None
    """Admits machines to the fleet; None if this server is in none."""
    renewal_window_days: int
    lines: LineTable
    directory: Directory
    recordings_folder: Path
    authority_pem: str
    """The CA certificates by which clients verify this server, in PEM; empty if they are not the built-in CA's."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a command asks its user to type next. These lines are not commands, and none of them is logged.

    Attributes:
        prompt: Shown in place of the session's prompt.
        max_bytes: A longer answer is discarded.
        is_last: Receives a line, and whether it is the first that is not blank; tells whether the answer is complete
            with it. Raises CommandError if the line cannot be part of an answer.
        then: Receives the answer, its lines joined by newlines.
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
        """The current identity: a named user or a guest."""

    @property
    def source(self) -> str:
        """Where the client comes from: address and port."""

    @property
    def started_at(self) -> datetime:
        """When the session started (aware, UTC)."""

    @property
    def tls(self) -> TlsDetails:
        """What the handshake negotiated."""

    @property
    def history(self) -> Sequence[str]:
        """The last lines of this session, escaped, the oldest first."""

    @property
    def services(self) -> Services:
        """What the server offers."""

    @property
    def applicant(self) -> Applicant:
        """This session, as enrolment sees it."""

    async def connect(self, line: Line, join: Join) -> None:
        """Connect the session to a line, and return when the attachment is over.

        Raises:
            LineError: The line is in use, cannot be reached, or is not shared.
            AuditUnavailableError: The log cannot be written; the session is not connected.
        """

    def note_request(self, request_id: str) -> None:
        """Note an enrolment request of this session: its user is told when it is decided."""

    def ask(self, question: Question) -> None:
        """Use the next lines as the answer to a question; a line with only a dot cancels it."""

    def say(self, text: str) -> None:
        """Show text: one or more lines, without the last line end."""

    async def show_said(self) -> None:
        """Show the text so far, and wait until the client has read enough of it.

        Raises:
            ConnectionError: The client has disconnected.
        """

    async def wait_gone(self) -> None:
        """Wait until the client has disconnected."""

    def leave(self) -> None:
        """End the session after this command."""
