"""One session: its identity, and actions on it from outside. The conversation handles the user's input.

It has no timers of its own: the registry checks the clocks of all sessions at intervals.
"""

from collections.abc import Callable
from datetime import datetime

from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Services
from telnetsd.commands.table import OPERATOR_ROLE, CommandError
from telnetsd.config.settings import Settings
from telnetsd.events.reason import EndReason, LineReason, RefusalReason
from telnetsd.identity.outcome import Admitted, Identity, NamedUser, Refusal
from telnetsd.lines.table import LineDeniedError
from telnetsd.own_client import OwnClient, SessionOver
from telnetsd.rpc.messages import SessionRow
from telnetsd.session.clocks import Bounds, Due
from telnetsd.session.conversation import CONNECT, Conversation
from telnetsd.session.facts import Facts
from telnetsd.session.greeting import warn_of_expiry, withdraw
from telnetsd.session.request import Request
from telnetsd.session.visit import GuestTerms, Visit
from telnetsd.telnet.protocol import NvtProtocol


class Session:
    """The session of one client that was admitted.

    Args:
        visit: The connected user, the origin, and the time of connection.
        protocol: The telnet protocol of the connection.
        trail: Bound to the session.
        services: What commands use.
        settings: Clocks and limits.
        guests: What a guest's session shares with those of other guests; None for a named user.
    """

    __slots__ = ("_conversation", "_facts", "_is_told_of_acceptance")

    def __init__(
        self,
        visit: Visit,
        protocol: NvtProtocol,
        trail: Trail,
        services: Services,
        settings: Settings,
        *,
        guests: GuestTerms | None = None,
    ) -> None:
        self._facts = Facts(visit, protocol, trail, services, settings)
        is_request = visit.tls.application == OwnClient.RUN
        self._conversation = Request(self._facts, guests) if is_request else Conversation(self._facts, guests)
        self._is_told_of_acceptance = False

    @property
    def id(self) -> str:
        """The session's UUIDv7."""
        return self._facts.visit.id

    @property
    def visit(self) -> Visit:
        """What does not change while the session lasts."""
        return self._facts.visit

    @property
    def identity(self) -> Admitted:
        """The current identity."""
        return self._facts.identity

    @property
    def user(self) -> str:
        """The user's name, or `guest`."""
        return self._facts.user

    @property
    def is_of_operator(self) -> bool:
        """Whether its user has the role of an operator."""
        return OPERATOR_ROLE in self._facts.services.table.roles_of(self.identity)

    @property
    def trail(self) -> Trail:
        """The logger that is bound to this session."""
        return self._facts.trail

    @property
    def end_reason(self) -> EndReason | RefusalReason | None:
        """Why the session ended; None while it has not."""
        return self._facts.end_reason

    def row(self) -> SessionRow:
        """Return the session as others see it."""
        facts, identity = self._facts, self.identity
        return SessionRow(
            id=self.id,
            user=self.user,
            roles=tuple(identity.roles),
            source=facts.visit.origin.shown,
            certificate_status=identity.status.value,
            certificate_sha256=identity.certificate.sha256 if identity.certificate is not None else "",
            tls=facts.visit.tls.version,
            started_at=facts.visit.started_at,
            idle_s=int(facts.clocks.idle_s(facts.now())),
            line=facts.attachment.line.name if facts.attachment is not None else "",
        )

    async def run(self) -> None:
        """Run the session to its end; `end_reason` says why it ended. The caller records the end."""
        facts = self._facts
        facts.journal.debug("starts, as %s from %s", self.user, facts.visit.origin.shown)
        try:
            await self._conversation.run()
        finally:
            facts.screen.finish(_over(self.end_reason or EndReason.INTERNAL_ERROR, self._conversation))
            facts.journal.debug("ends (%s)", facts.end_reason)

    def tell_of_decisions(self, decision: Callable[[str], str]) -> None:
        """Tell the user of the enrolment requests of this session that were decided; see SessionRegistry."""
        for request in sorted(self._facts.requests):
            if text := decision(request):
                self._facts.requests.discard(request)
                self.notify(text)

    def notify(self, text: str) -> None:
        """Show a line at once, and the prompt again after it."""
        if self._facts.end_reason is not None or self._facts.visit.straight_to:
            return
        if self._facts.protocol.writer.unread_bytes() <= self._facts.settings.session.pending_max_bytes:
            self._facts.screen.interject(text, self._conversation.prompt_now)

    def add_spectator(self, spectator: Callable[[bytes], None]) -> Callable[[], None]:
        """Show an operator the output of this session; return a function that stops that."""
        return self._facts.protocol.writer.add_spectator(spectator)

    def end_watches(self) -> None:
        """Notify the operators who watch that there is nothing more to show."""
        for spectator in self._facts.protocol.writer.spectators:
            spectator(b"")

    def adopt(self, services: Services, settings: Settings) -> None:
        """Continue with the reloaded services and settings."""
        self._facts.services, self._facts.settings = services, settings
        _authorise_line(self._facts)

    def reidentify(self, identity: Identity) -> None:
        """Continue with the identity that the same certificate leads to now; end if it is no user or another one."""
        now = self.identity
        self._facts.journal.debug("was checked again: %s", identity.status)
        if isinstance(identity, Refusal) and identity.otherwise is not None:
            # A late CRL is no reason to end a session that was admitted while the CRL was current.
            identity = identity.otherwise
        if isinstance(identity, Refusal):
            self.end(identity.reason, withdraw(identity))
        elif isinstance(now, NamedUser):
            if not isinstance(identity, NamedUser):
                self.end(EndReason.NOT_MAPPED, withdraw(identity))
            elif identity.name != now.name:
                self.end(EndReason.OTHER_USER, withdraw(identity))
            else:
                self._facts.identity = identity
                _authorise_line(self._facts)
        elif isinstance(identity, NamedUser) and not self._is_told_of_acceptance:
            self._is_told_of_acceptance = True
            self.notify(f"you were accepted as {identity.name}: connect again to log in as {identity.name}")

    def end(self, reason: EndReason | RefusalReason, sentence: str) -> None:
        """End the session from outside, and show `sentence` to its user."""
        if self._facts.end_reason is None:
            self._facts.end_reason = reason
            if self._facts.attachment is not None:
                self._facts.attachment.dismiss(LineReason.SESSION_ENDED, "")
            self._facts.screen.finish(SessionOver(reason.value, sentence))

    def check_clocks(self, at: datetime) -> None:
        """Check the clocks: idle, lifetime, and the certificate's end; `at` is aware, UTC."""
        facts, settings, identity = self._facts, self._facts.settings.session, self.identity
        valid_until = identity.valid_until if isinstance(identity, NamedUser) else None
        bounds = Bounds(
            settings.idle_timeout_s,
            settings.idle_warning_s,
            settings.max_time_s,
            self._facts.services.renewal_window_days,
        )
        for due in facts.clocks.look(facts.now(), at, valid_until, bounds):
            self._act_on(due)

    def _act_on(self, due: Due) -> None:
        match due:
            case Due.CERTIFICATE_EXPIRED:
                self.end(EndReason.CERTIFICATE_EXPIRED, EndReason.CERTIFICATE_EXPIRED.sentence)
            case Due.MAX_TIME:
                self.end(EndReason.MAX_TIME, EndReason.MAX_TIME.sentence)
            case Due.IDLE_TIMEOUT:
                self.end(EndReason.IDLE_TIMEOUT, EndReason.IDLE_TIMEOUT.sentence)
            case Due.IDLE_WARNING:
                left_s = self._facts.settings.session.idle_warning_s
                self.notify(f"nothing was typed for a while: this session ends in {left_s:.0f} seconds")
            case Due.EXPIRY_WARNING:
                if isinstance(self.identity, NamedUser):
                    self.notify(warn_of_expiry(self.identity))


def _over(reason: EndReason | RefusalReason, conversation: Conversation | Request) -> SessionOver:
    """Return the last message to a client of our own, for a session that has not been ended from outside."""
    is_by_user = reason in {EndReason.QUIT, EndReason.END_OF_INPUT}
    return SessionOver(conversation.failure or reason.value, "", is_by_user, conversation.exit_status)


def _authorise_line(facts: Facts) -> None:
    """End the attachment to a line that the user may no longer use."""
    if facts.attachment is None:
        return
    line, services = facts.attachment.line, facts.services
    if services.lines.find(line.name) != line:
        facts.attachment.dismiss(LineReason.REMOVED, f"{line.name} was removed or changed by the operator")
        return
    try:
        services.table.authorise(CONNECT, facts.identity)
        roles = services.table.roles_of(facts.identity)
        services.lines.authorise(line.name, roles, facts.identity.assurance_class)
    except (CommandError, LineDeniedError):
        facts.attachment.dismiss(LineReason.WITHDRAWN, f"you may no longer use {line.name}")
