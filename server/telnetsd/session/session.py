"""One session: greeting, prompt, clocks, goodbye. What a line means is the interpreter's.

The clocks have no timers of their own: the registry looks at them all, every so often.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Question, Services
from telnetsd.commands.enrolment_desk import Applicant
from telnetsd.commands.table import CommandError
from telnetsd.config.settings import Settings
from telnetsd.errors import PeerError
from telnetsd.events.of_sessions import SessionSlowed
from telnetsd.events.reason import CommandReason, EndReason, LineReason, RefusalReason
from telnetsd.identity.outcome import Admitted, Identity, NamedUser, Refusal
from telnetsd.lines.place import Wish
from telnetsd.lines.table import Line, LineDeniedError
from telnetsd.listener.arrival import Origin
from telnetsd.listener.endpoint import Endpoint
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.session.attachment import Console
from telnetsd.session.greeting import LOG_FILLED, greet, is_expiring, warn_of_expiry, withdraw
from telnetsd.session.joining import join_line
from telnetsd.session.pace import Pace
from telnetsd.session.shell import Interpreter
from telnetsd.telnet.line_discipline import (
    EndOfInput,
    Input,
    Interrupt,
    LineDiscipline,
    LineEndless,
    LineNotUtf8,
    LineTooLong,
    TypedLine,
)
from telnetsd.telnet.protocol import NvtProtocol
from telnetsd.tls.engine import TlsDetails

READ_BYTES: Final = 4096
INPUTS_PER_TURN: Final = 16
ENDLESS_MAX_BYTES: Final = 65536
"""A client with more than this unread is not told notices: it would only pile up."""
_NEWLINE: Final = "\r\n"
CONNECT: Final = "connect"
"""The command that leads to lines: whoever has it no more has no line."""
_HTTP_REQUEST: Final = re.compile(r"[A-Z]{2,20} [^ ]+ HTTP/[0-9](\.[0-9])?")
"""A request line (RFC 9112 section 3): what a web page makes a browser send, in the name of the browser's user."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What is known of a session before its first word.

    Attributes:
        id: Its UUIDv7.
        identity: Who is there.
        peer: What was presented, to be looked at again.
        origin: Where they come from.
        tls: What the handshake agreed upon.
        started_at: Since when (aware, UTC).
        straight_to: The line that the session is connected to at once, and alone; empty for a session with a prompt.
    """

    id: str
    identity: Admitted
    peer: PeerCertificate | None
    origin: Origin
    tls: TlsDetails
    started_at: datetime
    straight_to: str = ""


@dataclass(frozen=True, slots=True)
class GuestTerms:
    """What guests share: how fast all of them may type, and whether those of a source may fill more of the log.

    `may_log` counts what it refuses.
    """

    pace: Pace
    may_log: Callable[[], bool]


class Session:
    """The conversation with one client that was let in.

    Args:
        visit: Who, from where, since when.
        protocol: The telnet protocol of the connection.
        trail: Bound to the session.
        services: What commands use.
        settings: Clocks and limits.
        guests: What the session of a guest shares with those of others; None for that of a user.
    """

    def __init__(
        self,
        visit: Visit,
        protocol: NvtProtocol,
        trail: Trail,
        services: Services,
        settings: Settings,
        guests: GuestTerms | None = None,
    ) -> None:
        self._visit = visit
        self._identity = visit.identity
        self._protocol = protocol
        self._trail = trail
        self._services = services
        self._settings, self._limits = settings.session, settings.limits
        self._guests = guests
        self._pace: Pace | None = None
        """Kept from the first line on: many sessions are open, and few type."""
        self._lines = LineDiscipline(
            line_max_bytes=settings.session.line_max_bytes, endless_max_bytes=ENDLESS_MAX_BYTES
        )
        self._interpreter = Interpreter(self, self.user, trail, lambda: self._end_reason is not None)
        self._said: list[str] = []
        self._end_reason: EndReason | RefusalReason | None = None
        self._now = asyncio.get_running_loop().time
        self._started = self._heard = self._now()
        self._is_warned = False
        self._is_told_of_expiry = self._is_told_of_acceptance = False
        self._is_busy = False
        self._is_first_line = True
        self._typed_ahead = b""
        self._line: tuple[Line, Console] | None = None
        """What the session is connected to, or about to be."""

    # What commands see: see commands.caller.Caller.

    @property
    def id(self) -> str:
        """The session's UUIDv7."""
        return self._visit.id

    @property
    def identity(self) -> Admitted:
        """Who is there."""
        return self._identity

    @property
    def peer(self) -> PeerCertificate | None:
        """What was presented, unverified: for `identity` to look at again, and for nothing else."""
        return self._visit.peer

    @property
    def source(self) -> str:
        """Where they come from."""
        return self._visit.origin.shown

    @property
    def endpoint(self) -> Endpoint:
        """By which of the server's addresses they came in."""
        return self._visit.origin.endpoint

    @property
    def started_at(self) -> datetime:
        """Since when (aware, UTC)."""
        return self._visit.started_at

    @property
    def tls(self) -> TlsDetails:
        """What the handshake agreed upon."""
        return self._visit.tls

    @property
    def history(self) -> Sequence[str]:
        """The last lines, escaped, the oldest first."""
        return self._interpreter.history

    @property
    def services(self) -> Services:
        """The server."""
        return self._services

    @property
    def applicant(self) -> Applicant:
        """How the enrolment desk knows this session."""
        leaf_der = self.peer.leaf_der if self.peer is not None else b""
        return Applicant(self._visit.origin.address, leaf_der, self._trail.fields)

    async def connect(self, line: Line, wish: Wish) -> None:
        """Connect the session to a line, until that is over; what is typed behind it is lines again.

        Raises:
            LineError: It is in use, cannot be reached, or is not shared.
            AuditUnavailableError: The log cannot be written: nobody is connected.
        """
        is_bare = bool(self._visit.straight_to)
        console = Console(line, self.user, self._protocol, self._trail, is_bare=is_bare)
        console.on_heard = self._note_heard
        self._line = line, console
        try:
            seat = await join_line(console, line, wish, self._services, self.id)
            try:
                rest, is_after_cr = self._lines.take_rest(), self._lines.is_after_cr
                self._typed_ahead = await console.talk(seat, rest, is_after_cr=is_after_cr)
            finally:
                await console.record_disconnected()
        finally:
            self._line = None

    def ask(self, question: Question) -> None:
        """Have the next lines answer a question."""
        self._interpreter.ask(question)

    def say(self, text: str) -> None:
        """Show text with the next prompt."""
        self._said.extend(text.splitlines() or [""])

    async def show_said(self) -> None:
        """Show what was said so far, and wait until the client has taken enough of it."""
        self._write(self._said, "")
        self._said.clear()
        await self._protocol.drain()

    async def wait_gone(self) -> None:
        """Wait until the client has gone."""
        await self._protocol.wait_lost()

    def leave(self) -> None:
        """End after what was said."""
        self._end_with(EndReason.QUIT)

    # What others do to a session.

    @property
    def trail(self) -> Trail:
        """The logger that is bound to this session."""
        return self._trail

    @property
    def user(self) -> str:
        """The user's name, or `guest`."""
        return self.identity.name if isinstance(self.identity, NamedUser) else "guest"

    @property
    def end_reason(self) -> EndReason | RefusalReason | None:
        """Why it ended, or None while it has not."""
        return self._end_reason

    @property
    def idle_s(self) -> float:
        """For how long nothing was heard, in seconds."""
        return self._now() - self._heard

    def notify(self, text: str) -> None:
        """Show a line at once, and the prompt again behind it."""
        if self._end_reason is not None or self._visit.straight_to:
            return
        if self._protocol.writer.unread_bytes() <= self._settings.pending_max_bytes:
            # While a command runs, the prompt comes with its answer.
            self._write([f"{_NEWLINE}*** {text}"], "" if self._is_busy else self._prompt)

    def add_spectator(self, spectator: Callable[[bytes], None]) -> Callable[[], None]:
        """Show somebody what this session is shown; returns what ends it."""
        return self._protocol.writer.add_spectator(spectator)

    def end_watches(self) -> None:
        """Tell whoever watches that there is nothing more to be shown."""
        for spectator in self._protocol.writer.spectators:
            spectator(b"")

    def adopt(self, services: Services, settings: Settings) -> None:
        """Go on with what a reload brought."""
        self._services, self._settings, self._limits = services, settings.session, settings.limits
        self._authorise_line()

    def reidentify(self, identity: Identity) -> None:
        """Go on as whom the same certificate leads to now, or end when that is nobody or somebody else."""
        now = self._identity
        if isinstance(identity, Refusal) and identity.otherwise is not None:
            # That a CRL is late is no reason to throw anybody out who was let in while it was not.
            identity = identity.otherwise
        if isinstance(identity, Refusal):
            self.end(identity.reason, withdraw(identity))
        elif isinstance(now, NamedUser):
            if not isinstance(identity, NamedUser):
                self.end(EndReason.NOT_MAPPED, withdraw(identity))
            elif identity.name != now.name:
                self.end(EndReason.OTHER_USER, withdraw(identity))
            else:
                self._identity = identity
                self._authorise_line()
        elif isinstance(identity, NamedUser) and not self._is_told_of_acceptance:
            self._is_told_of_acceptance = True
            self.notify(f"you were accepted as {identity.name}: connect again to be {identity.name}")

    def end(self, reason: EndReason | RefusalReason, sentence: str) -> None:
        """End the session from outside: its user reads the sentence."""
        if self._end_reason is None:
            self._end_reason = reason
            self._write([f"{_NEWLINE}*** {sentence}"], "")
            if self._line is not None:
                self._line[1].dismiss(LineReason.SESSION_ENDED, "")
            self._protocol.writer.close()

    def _authorise_line(self) -> None:
        """Take the line away from whoever may not have it any more."""
        if self._line is None:
            return
        (line, console), services = self._line, self._services
        if services.lines.find(line.name) != line:
            console.dismiss(LineReason.REMOVED, f"{line.name} was removed or changed by the operator")
            return
        try:
            services.table.authorise(CONNECT, self._identity)
            roles = services.table.roles_of(self._identity)
            services.lines.authorise(line.name, roles, self._identity.assurance_class)
        except (CommandError, LineDeniedError):
            console.dismiss(LineReason.WITHDRAWN, f"{line.name} is not for you any more")

    def check_clocks(self, at: datetime) -> None:
        """Look at the clocks: idle, lifetime, and the certificate's end; `at` is aware, UTC."""
        settings, identity = self._settings, self.identity
        self._tell_of_expiry(at)
        if isinstance(identity, NamedUser) and at > identity.valid_until:
            self.end(EndReason.CERTIFICATE_EXPIRED, EndReason.CERTIFICATE_EXPIRED.sentence)
        elif self._now() - self._started > settings.max_time_s:
            self.end(EndReason.MAX_TIME, EndReason.MAX_TIME.sentence)
        elif self.idle_s > settings.idle_timeout_s:
            self.end(EndReason.IDLE_TIMEOUT, EndReason.IDLE_TIMEOUT.sentence)
        elif self.idle_s > settings.idle_timeout_s - settings.idle_warning_s and not self._is_warned:
            self._is_warned = True
            self.notify(f"nothing was typed for a while: this session ends in {settings.idle_warning_s:.0f} seconds")

    def _tell_of_expiry(self, at: datetime) -> None:
        """Warn once, when an open session comes into the last days of its certificate."""
        identity, window_days = self.identity, self._services.renewal_window_days
        if self._is_told_of_expiry or not isinstance(identity, NamedUser):
            return
        if is_expiring(identity, at, window_days):
            self._is_told_of_expiry = True
            self.notify(warn_of_expiry(identity))

    # The conversation.

    async def run(self) -> None:
        """Talk until the end; `end_reason` says why it came. The event of the end is the caller's to write."""
        try:
            await (self._be_straight() if self._visit.straight_to else self._greet_and_converse())
        except (OSError, PeerError):
            # A command's own errors end in the interpreter: what comes up to here is the connection's.
            self._end_with(EndReason.CONNECTION_LOST)
        else:
            self._end_with(EndReason.CONNECTION_CLOSED)
        finally:
            self._protocol.writer.close()

    async def _be_straight(self) -> None:
        """Be a bare console: nothing is said that the line does not say, but why there is none."""
        await self._interpreter.interpret(f"{CONNECT} {self._visit.straight_to}")
        self._end_reason = self._end_reason or EndReason.LINE_ENDED
        self._write(self._said, "")

    async def _greet_and_converse(self) -> None:
        self._protocol.decide_com_port(None)
        window_days = self._services.renewal_window_days
        greeting = greet(self.identity, self._services.table, self.started_at, window_days)
        notice = self._services.sessions.notice
        self._write([*greeting, f"*** {notice}"] if notice else greeting, self._prompt)
        if isinstance(self.identity, NamedUser):
            self._is_told_of_expiry = is_expiring(self.identity, self.started_at, window_days)
        await self._converse()

    def _end_with(self, reason: EndReason) -> None:
        """Note why the session ends; the first reason stays."""
        self._end_reason = self._end_reason or reason

    @property
    def _prompt(self) -> str:
        return self._interpreter.prompt_for(f"{self.user}> ")

    async def _converse(self) -> None:
        taken = 0
        while self._end_reason is None:
            data, self._typed_ahead = self._typed_ahead or await self._protocol.reader.read(READ_BYTES), b""
            if not data or self._end_reason is not None:
                return
            self._note_heard()
            for one in self._lines.inputs(data):
                # A client that always has something to say must not keep the others waiting.
                taken += 1
                if one is None or taken % INPUTS_PER_TURN == 0:
                    await asyncio.sleep(0)
                await self._keep_pace()
                if one is not None:
                    await self._take(one)
                if not self._protocol.is_writable:
                    await self._protocol.drain()
                if self._end_reason is not None:
                    return

    def _make_pace(self) -> Pace:
        limits = self._limits
        if isinstance(self.identity, NamedUser):
            return Pace(limits.lines_per_s, limits.lines_burst)
        return Pace(limits.guest_lines_per_s, limits.guest_lines_burst)

    async def _keep_pace(self) -> None:
        """Read on only as fast as lines may come, and tell of it once."""
        if self._pace is None:
            self._pace = self._make_pace()
        delay_s = self._pace.take(self._now())
        if self._guests is not None:
            delay_s = max(delay_s, self._guests.pace.take(self._now()))
        if delay_s > 0:
            if not self._pace.is_told:
                message = f"{self.user} types faster than [limits] allows, and is slowed down"
                # While the log cannot be written, what is typed is refused in words; it is told of later.
                with contextlib.suppress(AuditUnavailableError):
                    await self._trail.record(SessionSlowed(message=message))
                    self._pace.is_told = True
            await asyncio.sleep(delay_s)
            if self._guests is not None and self._protocol.has_other_end_closed:
                # The rest of the input is read so slowly that its end would come late, and nobody reads the answers.
                self._end_with(EndReason.CONNECTION_CLOSED)

    def _note_heard(self) -> None:
        self._heard = self._now()
        self._is_warned = False

    async def _take(self, one: Input) -> None:
        self._is_busy = True
        match one:
            case TypedLine() | LineTooLong() | LineNotUtf8():
                await self._take_line(one)
            case LineEndless():
                self.say(f"goodbye: {ENDLESS_MAX_BYTES} bytes and more without a line end")
                self._end_with(EndReason.LINE_ENDLESS)
            case Interrupt():
                self._interpreter.give_up_answer()
                self.say("")
            case EndOfInput():
                self._end_with(EndReason.END_OF_INPUT)
        self._is_busy = self._is_first_line = False
        self._answer()

    async def _take_line(self, one: TypedLine | LineTooLong | LineNotUtf8) -> None:
        """Interpret a line, whether it can be taken or not: each leaves an event, where the log may have more."""
        if self._is_first_line and isinstance(one, TypedLine) and _HTTP_REQUEST.fullmatch(one.text):
            self.say("goodbye: this is a telnet server, and that was an HTTP request")
            self._end_with(EndReason.HTTP_REQUEST)
            return
        if self._guests is not None and not self._guests.may_log():
            self._said.extend(LOG_FILLED)
            return
        match one:
            case TypedLine(text):
                await self._interpreter.interpret(text)
            case LineTooLong():
                sentence = f"ignored: a line may have {self._settings.line_max_bytes} bytes, yours is longer"
                await self._interpreter.deny("", CommandReason.LINE_TOO_LONG, sentence)
            case LineNotUtf8():
                sentence = "ignored: that line is not UTF-8"
                await self._interpreter.deny("", CommandReason.LINE_NOT_UTF8, sentence)

    def _answer(self) -> None:
        if self._end_reason is EndReason.QUIT or self._end_reason is EndReason.END_OF_INPUT:
            self.say("goodbye")
        self._write(self._said, self._prompt if self._end_reason is None else "")
        self._said.clear()

    def _write(self, lines: Sequence[str], prompt: str) -> None:
        text = "".join(f"{line}{_NEWLINE}" for line in lines) + prompt
        self._protocol.writer.write(text.encode("utf-8", "replace"))
