"""The conversation of a session: the greeting, the prompt, lines within their rate limit, and the goodbye."""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.errors import PeerError
from telnetsd.events.of_sessions import SessionSlowed
from telnetsd.events.reason import CommandReason, EndReason
from telnetsd.identity.outcome import NamedUser
from telnetsd.session.caller import SessionCaller
from telnetsd.session.clocks import is_expiring
from telnetsd.session.facts import Facts
from telnetsd.session.greeting import LOG_FILLED, greet, warn_of_cut
from telnetsd.session.pace import Pace
from telnetsd.session.typed_input import TypedInput
from telnetsd.session.visit import GuestTerms
from telnetsd.telnet.line_discipline import (
    EndOfInput,
    Input,
    Interrupt,
    LineEndless,
    LineNotUtf8,
    LineTooLong,
    TypedLine,
)
from telnetsd.telnet.line_editor import WordAsked

INPUTS_PER_TURN: Final = 16
ENDLESS_MAX_BYTES: Final = 65536
"""After this many bytes without a line end, the server ends the session."""
CONNECT: Final = "connect"
"""The command that connects to lines: a user who may no longer run it may use no line."""
_HTTP_REQUEST: Final = re.compile(r"[A-Z]{2,20} [^ ]+ HTTP/[0-9](\.[0-9])?")
"""A request line (RFC 9112 section 3): a web page can make a browser send it, on behalf of the browser's user."""


class Conversation:
    """The input of a session, and the answers to it.

    Args:
        facts: The session's facts.
        guests: What a guest's session shares with those of other guests; None for a named user.
    """

    __slots__ = ("_facts", "_guests", "_is_busy", "_is_first_line", "_pace", "_screen", "_shell", "_typed")

    def __init__(self, facts: Facts, guests: GuestTerms | None) -> None:
        self._facts = facts
        self._guests = guests
        self._screen = facts.screen
        self._pace: Pace | None = None
        """Created at the first line: many sessions are open, but few users type."""
        self._typed = TypedInput(
            facts.protocol,
            self,
            line_max_bytes=facts.settings.session.line_max_bytes,
            endless_max_bytes=ENDLESS_MAX_BYTES,
        )
        self._shell = SessionCaller(facts, self._typed).shell
        self._is_busy = False
        self._is_first_line = True

    @property
    def exit_status(self) -> int:
        """See Request; a session with a prompt has none."""
        return 0

    @property
    def failure(self) -> str:
        """See Request."""
        return ""

    @property
    def prompt_now(self) -> str:
        """The prompt that is on the screen now; empty while a command runs, since the prompt follows its answer."""
        return "" if self._is_busy else f"{self.prompt()}{self._typed.shown}"

    # See EditingContext.

    def prompt(self) -> str:
        """See EditingContext."""
        return self._shell.prompt_for(f"{self._facts.user}> ")

    def columns(self) -> int:
        """See EditingContext."""
        return self._facts.protocol.agreement.window[0]

    def history(self) -> Sequence[str]:
        """See EditingContext."""
        return self._shell.history

    async def run(self) -> None:
        """Run the conversation to its end; the session's `end_reason` says why it ended."""
        try:
            if self._facts.visit.straight_to:
                await self._be_straight()
            else:
                self._greet()
                await self._converse()
        except (OSError, PeerError):
            # The shell handles a command's own errors: an error that reaches this point is the connection's.
            self._facts.end_with(EndReason.CONNECTION_LOST)
        else:
            self._facts.end_with(EndReason.CONNECTION_CLOSED)
        finally:
            await self._shell.end_block()

    async def _be_straight(self) -> None:
        """Act as a bare line: the server itself sends nothing, except the reason why there is no line."""
        await self._shell.interpret(f"{CONNECT} {self._facts.visit.straight_to}")
        self._facts.end_with(EndReason.LINE_ENDED)
        self._screen.show()

    def _greet(self) -> None:
        facts = self._facts
        facts.protocol.agreement.decide_com_port(None)
        window_days, started_at = facts.services.renewal_window_days, facts.visit.started_at
        greeting = greet(facts.identity, facts.services.table, started_at, window_days)
        if facts.visit.cut_off_since is not None:
            greeting.append(warn_of_cut(facts.visit.cut_off_since))
        notice = facts.services.sessions.notice
        self._screen.write([*greeting, f"*** {notice}"] if notice else greeting, self.prompt())
        if isinstance(facts.identity, NamedUser):
            facts.clocks.is_told_of_expiry = is_expiring(facts.identity.valid_until, started_at, window_days)

    async def _converse(self) -> None:
        facts, taken = self._facts, 0
        while not facts.is_over:
            data = await self._typed.read()
            if not data or facts.is_over:
                return
            facts.note_heard()
            for one in self._typed.inputs(data):
                # A client that sends without a pause must not keep the others waiting.
                taken += 1
                if one is None or taken % INPUTS_PER_TURN == 0:
                    await asyncio.sleep(0)
                await self._keep_pace()
                await self._react(one)
                if not facts.protocol.is_writable:
                    await self._screen.drain()
                if facts.is_over:
                    return

    def _make_pace(self) -> Pace:
        limits = self._facts.settings.limits
        if isinstance(self._facts.identity, NamedUser):
            return Pace(limits.lines_per_s, limits.lines_burst)
        return Pace(limits.guest_lines_per_s, limits.guest_lines_burst)

    async def _keep_pace(self) -> None:
        """Delay further reading to the permitted rate of lines, and record the first delay."""
        if self._pace is None:
            self._pace = self._make_pace()
        delay_s = self._pace.take(self._facts.now())
        if self._guests is not None:
            delay_s = max(delay_s, self._guests.pace.take(self._facts.now()))
        if delay_s > 0:
            if not self._pace.is_told:
                await self._record_slowed(self._pace)
            await asyncio.sleep(delay_s)
            if self._guests is not None and self._facts.protocol.has_other_end_closed:
                # At this rate the end of the input would be reached late, and the client no longer reads the answers.
                self._facts.end_with(EndReason.CONNECTION_CLOSED)

    async def _record_slowed(self, pace: Pace) -> None:
        message = f"{self._facts.user} types faster than [limits] allows, and is slowed down"
        # While the log cannot be written, each line is refused with a message; the slowdown is recorded later.
        with contextlib.suppress(AuditUnavailableError):
            await self._facts.trail.record(SessionSlowed(message=message))
            pace.is_told = True

    async def _react(self, one: Input | WordAsked | None) -> None:
        if isinstance(one, WordAsked):
            self._typed.complete(await self._shell.completions(one.before))
        elif one is not None:
            await self._take(one)

    async def _take(self, one: Input) -> None:
        self._is_busy = True
        match one:
            case TypedLine() | LineTooLong() | LineNotUtf8():
                await self._take_line(one)
            case LineEndless():
                self._screen.say(f"goodbye: {ENDLESS_MAX_BYTES} bytes or more without a line end")
                self._facts.end_with(EndReason.LINE_ENDLESS)
            case Interrupt():
                await self._shell.give_up_answer()
                self._screen.say("")
            case EndOfInput():
                self._facts.end_with(EndReason.END_OF_INPUT)
        self._is_busy = self._is_first_line = False
        self._answer()

    async def _take_line(self, one: TypedLine | LineTooLong | LineNotUtf8) -> None:
        """Interpret a line, readable or not: each leaves an event, unless a guest's share of the log is used up."""
        if self._is_first_line and isinstance(one, TypedLine) and _HTTP_REQUEST.fullmatch(one.text):
            self._screen.say("goodbye: this is a telnet server, and that was an HTTP request")
            self._facts.end_with(EndReason.HTTP_REQUEST)
            return
        if self._guests is not None and not self._guests.may_log():
            for sentence in LOG_FILLED:
                self._screen.say(sentence)
            return
        match one:
            case TypedLine(text):
                await self._shell.interpret(text)
            case LineTooLong():
                sentence = f"ignored: the line is longer than {self._typed.line_max_bytes} bytes"
                await self._shell.deny("", CommandReason.LINE_TOO_LONG, sentence)
            case LineNotUtf8():
                sentence = "ignored: the line is not UTF-8"
                await self._shell.deny("", CommandReason.LINE_NOT_UTF8, sentence)

    def _answer(self) -> None:
        end_reason = self._facts.end_reason
        if end_reason is EndReason.QUIT or end_reason is EndReason.END_OF_INPUT:
            self._screen.say("goodbye")
        self._screen.show(self.prompt() if end_reason is None else "")
