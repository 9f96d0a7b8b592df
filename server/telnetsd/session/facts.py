"""The current facts of a session: its parts share them, and each part changes only its own."""

import asyncio

from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Services
from telnetsd.config.settings import Settings
from telnetsd.events.reason import EndReason, RefusalReason
from telnetsd.identity.outcome import Admitted, NamedUser
from telnetsd.session.attachment import Attachment
from telnetsd.session.clocks import Clocks
from telnetsd.session.journal import Journal
from telnetsd.session.screen import make_screen
from telnetsd.session.visit import Visit
from telnetsd.telnet.protocol import NvtProtocol


class Facts:
    """The facts of one session.

    Args:
        visit: The connected user, the origin, and the time of connection.
        protocol: The telnet protocol of the connection.
        trail: Bound to the session.
        services: What commands use.
        settings: Clocks and limits.

    Attributes:
        identity: The current identity: a reload may give a user other roles.
        end_reason: Why the session ended; None while it has not.
        attachment: The session's attachment to a line, or the one that is being made.
        requests: The enrolment requests that were made in this session, and are not decided yet.
    """

    __slots__ = (
        "attachment", "clocks", "end_reason", "identity", "journal", "protocol", "requests", "screen",
        "services", "settings", "trail", "visit",
    )  # fmt: skip

    def __init__(
        self, visit: Visit, protocol: NvtProtocol, trail: Trail, services: Services, settings: Settings
    ) -> None:
        self.visit = visit
        self.identity: Admitted = visit.identity
        self.protocol = protocol
        self.screen = make_screen(protocol, visit.tls.application)
        self.trail = trail
        self.services = services
        self.settings = settings
        self.end_reason: EndReason | RefusalReason | None = None
        self.attachment: Attachment | None = None
        self.requests: set[str] = set()
        self.journal = Journal(visit.id)
        self.clocks = Clocks(self.now())

    @property
    def user(self) -> str:
        """The user's name, or `guest`."""
        return self.identity.name if isinstance(self.identity, NamedUser) else "guest"

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, or is about to."""
        return self.end_reason is not None

    def now(self) -> float:
        """Return the monotonic clock, in seconds."""
        return asyncio.get_running_loop().time()

    def note_heard(self) -> None:
        """Note that the user has typed something."""
        self.clocks.note_heard(self.now())

    def end_with(self, reason: EndReason) -> None:
        """Note why the session ends; the first reason stays."""
        self.end_reason = self.end_reason or reason
