"""The sessions that are open now: who is here, ending one, telling all, and the one clock that looks at theirs."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from telnetsd.commands.caller import Services
from telnetsd.config.settings import Settings
from telnetsd.events.of_sessions import SessionKicked, SessionWatched
from telnetsd.events.reason import EndReason
from telnetsd.identity.outcome import Identity
from telnetsd.listener.endpoint import Endpoint
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.rpc.messages import SessionRow
from telnetsd.session.session import Session

REIDENTIFIED_PER_TURN: Final = 10


class SessionRegistry:
    """The open sessions of this process, by id."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self.rounds = 0
        """How often everybody was looked at again."""
        self.notice = ""
        """What whoever comes in now is told as well."""

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session) -> None:
        """Note that a session has begun."""
        self._sessions[session.id] = session

    def remove(self, session: Session) -> None:
        """Note that a session is over; whoever watches it is told."""
        self._sessions.pop(session.id, None)
        session.end_watches()

    async def rows(self) -> list[SessionRow]:
        """Return every session, the oldest first."""
        return [_row(session) for session in self._sessions.values()]

    async def matching(self, id_end: str) -> list[SessionRow]:
        """Return the sessions whose id is `id_end` or ends with it."""
        return [_row(session) for session in self._sessions.values() if session.id.endswith(id_end)]

    async def kick(self, session_id: str, by: str) -> None:
        """End a session, with an event first and a sentence to its user; nothing when it is over already.

        Raises:
            AuditUnavailableError: The event cannot be written; the session goes on.
        """
        session = self._sessions.get(session_id)
        if session is not None:
            message = f"{session.user} was sent away by {by}"
            await session.trail.record(SessionKicked(message=message, operator=by))
            session.end(EndReason.KICKED, f"{by} has ended this session")

    async def watch(self, session_id: str, by: str, show: Callable[[bytes], None]) -> Callable[[], None]:
        """See WatchableSessions.

        Raises:
            AuditUnavailableError: The event cannot be written.
            KeyError: The session is over.
        """
        session = self._sessions[session_id]
        message = f"{session.user} is watched by {by}"
        await session.trail.record(SessionWatched(message=message, operator=by))
        if session_id not in self._sessions:
            raise KeyError(session_id)
        return session.add_spectator(show)

    async def tell_others(self, session_id: str, text: str) -> int:
        """Show a line to every session but this one, and return to how many."""
        return self._tell(session_id, text)

    def _tell(self, session_id: str, text: str) -> int:
        others = [session for session in self._sessions.values() if session.id != session_id]
        for session in others:
            session.notify(text)
        return len(others)

    def announce(self, text: str, *, is_lasting: bool) -> None:
        """Show a line to every session; and to each that comes in, until something else is announced."""
        self.notice = text if is_lasting else ""
        self._tell("", text)

    def end_all(self, reason: EndReason, sentence: str) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            session.end(reason, sentence)

    def adopt(self, services: Services, settings: Settings) -> None:
        """Let every session go on with what a reload brought."""
        for session in self._sessions.values():
            session.adopt(services, settings)

    async def reidentify(
        self, identify: Callable[[PeerCertificate | None, Endpoint], Identity | None]
    ) -> list[Session]:
        """Look again at who each session is; those that do not hold any more end.

        Others are served in between: an installation may have many sessions. When one cannot be looked at, the others
        are, and then what was wrong is raised: everybody is due again.

        Args:
            identify: Says who somebody is; None where that takes longer.
        Returns: The sessions whose identity takes longer: they are not looked at yet.
        """
        self.rounds += 1
        failed: Exception | None = None
        costly = []
        for number, session in enumerate(list(self._sessions.values())):
            if number % REIDENTIFIED_PER_TURN == 0:
                await asyncio.sleep(0)
            try:
                identity = identify(session.visit.peer, session.visit.origin.endpoint)
                if identity is None:
                    costly.append(session)
                else:
                    session.reidentify(identity)
            except Exception as error:  # noqa: BLE001 -- raised below: one session must not keep the others in
                failed = error
        if failed is not None:
            raise failed
        return costly

    def check_clocks(self) -> None:
        """Look at every session's clocks."""
        now = datetime.now(UTC)
        failed: Exception | None = None
        for session in list(self._sessions.values()):
            try:
                session.check_clocks(now)
            except Exception as error:  # noqa: BLE001 -- raised below: one session must not stop the others' clocks
                failed = error
        if failed is not None:
            raise failed


def _row(session: Session) -> SessionRow:
    identity = session.identity
    return SessionRow(
        id=session.id,
        user=session.user,
        roles=tuple(identity.roles),
        source=session.visit.origin.shown,
        certificate_status=identity.status.value,
        certificate_sha256=identity.certificate.sha256 if identity.certificate is not None else "",
        tls=session.visit.tls.version,
        started_at=session.visit.started_at,
        idle_s=int(session.idle_s),
    )
