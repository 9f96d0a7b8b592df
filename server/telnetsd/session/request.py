"""A session of one command: `telnetsd run` sends a request, and gets the command's output and its exit status.

It is a session like any other: the same identity, roles and limits, and the same events in the log.
"""

import asyncio
from typing import Final

from telnetsd.errors import PeerError
from telnetsd.events.reason import CommandReason, EndReason
from telnetsd.own_client import REQUEST_MAX_BYTES, RunRequest, decode_request
from telnetsd.session.caller import SessionCaller
from telnetsd.session.facts import Facts
from telnetsd.session.greeting import LOG_FILLED
from telnetsd.session.shell import FAILED
from telnetsd.session.visit import GuestTerms

READ_BYTES: Final = 4096


class Request:
    """The one command of a session.

    Args:
        facts: The session's facts.
        guests: What a guest's session shares with those of other guests; None for a named user.
    """

    __slots__ = ("_facts", "_guests", "_shell", "exit_status")

    def __init__(self, facts: Facts, guests: GuestTerms | None) -> None:
        self._facts = facts
        self._guests = guests
        self._shell = SessionCaller(facts, None).shell
        self.exit_status = FAILED
        """0 if the command has done its work, 1 if it was denied or failed; a program's own."""

    @property
    def failure(self) -> str:
        """The word for why the command was denied, or failed; empty if it has done its work."""
        return self._shell.failure.value if self._shell.failure is not None else ""

    @property
    def prompt_now(self) -> str:
        """Empty: there is no prompt."""
        return ""

    async def run(self) -> None:
        """Read the request, and run its command; the session's `end_reason` says why it ended."""
        try:
            data = await self._read()
            if data:
                await self._take(data)
                self._facts.end_with(EndReason.QUIT)
        except (OSError, PeerError):
            self._facts.end_with(EndReason.CONNECTION_LOST)
        else:
            self._facts.end_with(EndReason.CONNECTION_CLOSED)
        finally:
            await self._shell.end_block()

    async def _read(self) -> bytes:
        """Return the line of the request, or more than a request may be long; empty if the client has ended."""
        data = b""
        while b"\n" not in data and len(data) <= REQUEST_MAX_BYTES:
            piece = await self._facts.protocol.reader.read(READ_BYTES)
            if not piece or self._facts.is_over:
                return b""
            data += piece
        self._facts.note_heard()
        return data

    async def _take(self, data: bytes) -> None:
        """Carry a request out, or record why it is refused."""
        if self._guests is not None:
            await asyncio.sleep(self._guests.pace.take(self._facts.now()))
            if not self._guests.may_log():
                for sentence in LOG_FILLED:
                    self._facts.screen.say(sentence)
                self._facts.screen.show()
                return
        line_max_bytes = self._facts.settings.session.line_max_bytes
        if b"\n" not in data:
            await self._refuse(f"the request is longer than {REQUEST_MAX_BYTES} bytes")
            return
        try:
            request = decode_request(data.split(b"\n", 1)[0])
        except ValueError:
            await self._refuse("not a request: it is not JSON of the right form, or has a control character")
            return
        if self._facts.visit.straight_to:
            await self._refuse("this address leads to a line, and has no commands")
        elif len(request.line.encode()) > line_max_bytes:
            await self._refuse(f"the line is longer than {line_max_bytes} bytes", CommandReason.LINE_TOO_LONG)
        else:
            await self._carry_out(request)

    async def _carry_out(self, request: RunRequest) -> None:
        await self._shell.interpret(request.line)
        for answer in request.answers:
            if not self._shell.is_asking:
                break
            await self._shell.interpret(answer)
        if self._shell.is_asking:
            await self._shell.interpret(".")
        self._facts.screen.show()
        self.exit_status = self._shell.exit_status

    async def _refuse(self, sentence: str, reason: CommandReason = CommandReason.WRONG_USAGE) -> None:
        """Refuse what the client sent, and record that."""
        await self._shell.deny("", reason, sentence)
        self._facts.screen.show()
