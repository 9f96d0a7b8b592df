"""The session as its commands see it; see `commands.caller.Caller`."""

from collections.abc import Sequence
from datetime import datetime

from telnetsd.commands.caller import Question, Services
from telnetsd.commands.enrolment_service import Applicant
from telnetsd.commands.table import CommandError
from telnetsd.events.reason import CommandReason, EndReason
from telnetsd.identity.outcome import Admitted
from telnetsd.lines.table import Line
from telnetsd.rpc.messages import Join
from telnetsd.session.attachment import Attachment, attach
from telnetsd.session.facts import Facts
from telnetsd.session.shell import Shell
from telnetsd.session.typed_input import TypedInput
from telnetsd.tls.engine import TlsDetails


class SessionCaller:
    """What a command may ask of the session that it runs in.

    Args:
        facts: The session's facts.
        typed: The user's input; None for a session of one command.
    """

    __slots__ = ("_facts", "_typed", "shell")

    def __init__(self, facts: Facts, typed: TypedInput | None) -> None:
        self._facts = facts
        self._typed = typed
        self.shell = Shell(self, facts.user, facts.trail, facts.journal, lambda: facts.is_over)
        """Runs the session's lines."""

    @property
    def id(self) -> str:
        """See Caller."""
        return self._facts.visit.id

    @property
    def identity(self) -> Admitted:
        """See Caller."""
        return self._facts.identity

    @property
    def source(self) -> str:
        """See Caller."""
        return self._facts.visit.origin.shown

    @property
    def started_at(self) -> datetime:
        """See Caller."""
        return self._facts.visit.started_at

    @property
    def tls(self) -> TlsDetails:
        """See Caller."""
        return self._facts.visit.tls

    @property
    def history(self) -> Sequence[str]:
        """See Caller."""
        return self.shell.history

    @property
    def services(self) -> Services:
        """See Caller."""
        return self._facts.services

    @property
    def applicant(self) -> Applicant:
        """See Caller."""
        visit = self._facts.visit
        leaf_der = visit.peer.leaf_der if visit.peer is not None else b""
        return Applicant(visit.origin.address, leaf_der, self._facts.trail.fields)

    async def connect(self, line: Line, join: Join) -> None:
        """See Caller; input after the attachment is interpreted as lines again."""
        facts, typed = self._facts, self._typed
        if typed is None:
            sentence = f"a line needs a terminal; use: telnetsd connect HOST {line.name}"
            raise CommandError(CommandReason.WRONG_USAGE, sentence)
        is_bare = bool(facts.visit.straight_to)
        attachment = Attachment(line, facts.user, facts.protocol, facts.trail, is_bare=is_bare)
        attachment.on_heard = facts.note_heard
        facts.attachment = attachment
        facts.journal.debug("asks for the line %s (%s)", line.name, join.value)
        try:
            place = await attach(attachment, join, facts.services, self.id)
            facts.screen.note_line("" if is_bare else line.name)
            try:
                rest, is_after_cr = typed.take_rest()
                typed.give_back(await attachment.talk(place, rest, is_after_cr=is_after_cr))
            finally:
                facts.screen.note_line("")
                await attachment.record_disconnected()
                facts.journal.debug("has left the line %s", line.name)
        finally:
            facts.attachment = None

    def note_request(self, request_id: str) -> None:
        """See Caller."""
        self._facts.requests.add(request_id)

    def ask(self, question: Question) -> None:
        """See Caller."""
        self.shell.ask(question)

    def say(self, text: str) -> None:
        """See Caller."""
        self._facts.screen.say(text)

    async def show_said(self) -> None:
        """See Caller."""
        self._facts.screen.show()
        await self._facts.screen.drain()

    async def wait_gone(self) -> None:
        """See Caller."""
        await self._facts.protocol.wait_lost()

    def leave(self) -> None:
        """See Caller."""
        self._facts.end_with(EndReason.QUIT)
