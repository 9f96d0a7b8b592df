"""The open sessions: list them, end one, notify all, and check all their clocks."""

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
from telnetsd.rpc.messages import Announce, SessionRow
from telnetsd.session.session import Session

REIDENTIFIED_PER_TURN: Final = 10


class SessionRegistry:
    """The open sessions of this process, by id."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self.rounds = 0
        """How many times all sessions have been identified again."""
        self.notice = ""
        """The announcement that each new session also sees."""

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session) -> None:
        """Note that a session has begun."""
        self._sessions[session.id] = session

    def remove(self, session: Session) -> None:
        """Note that a session is over, and notify the operators who watch it."""
        self._sessions.pop(session.id, None)
        session.end_watches()

    async def rows(self) -> list[SessionRow]:
        """Return every session, the oldest first."""
        return [session.row() for session in self._sessions.values()]

    async def matching(self, id_end: str) -> list[SessionRow]:
        """Return the sessions whose id is `id_end` or ends with it."""
        return [session.row() for session in self._sessions.values() if session.id.endswith(id_end)]

    async def kick(self, session_id: str, by: str) -> None:
        """Record an event, and end a session with a message to its user; do nothing if it is already over.

        Raises:
            AuditUnavailableError: The event cannot be written; the session continues.
        """
        session = self._sessions.get(session_id)
        if session is not None:
            message = f"{by} ended the session of {session.user}"
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
        """Show a line to every session except this one, and return the number of those sessions."""
        return self._tell(session_id, text)

    def _tell(self, session_id: str, text: str) -> int:
        others = [session for session in self._sessions.values() if session.id != session_id]
        for session in others:
            session.notify(text)
        return len(others)

    def announce(self, news: Announce) -> None:
        """Show a line to every session; a lasting one also to each new session, until the next such announcement."""
        if news.is_for_operators:
            for session in self._sessions.values():
                if session.is_of_operator:
                    session.notify(news.text)
            return
        self.notice = news.text if news.is_lasting else ""
        self._tell("", news.text)

    def tell_of_decisions(self, decision: Callable[[str], str]) -> None:
        """Tell each session about its enrolment requests that were decided.

        Args:
            decision: Returns what to say about a request, by its id; empty if it is not decided.
        """
        for session in self._sessions.values():
            session.tell_of_decisions(decision)

    def end_all(self, reason: EndReason, sentence: str) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            session.end(reason, sentence)

    def adopt(self, services: Services, settings: Settings) -> None:
        """Let every session continue with the reloaded services and settings."""
        for session in self._sessions.values():
            session.adopt(services, settings)

    async def reidentify(
        self, identify: Callable[[PeerCertificate | None, Endpoint], Identity | None]
    ) -> list[Session]:
        """Identify the user of each session again; a session whose identity is no longer valid ends.

        Other clients are served in between, since an installation may have many sessions. If one session cannot be
        checked, the others still are. Then the error is raised, and all sessions are due for another check.

        Args:
            identify: Returns the identity of a client; None if that takes longer.
        Returns: The sessions whose identification takes longer: they are not checked yet.
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
            except Exception as error:  # noqa: BLE001 -- raised below: the others must be checked as well
                failed = error
        if failed is not None:
            raise failed
        return costly

    def check_clocks(self) -> None:
        """Check every session's clocks."""
        now = datetime.now(UTC)
        failed: Exception | None = None
        for session in list(self._sessions.values()):
            try:
                session.check_clocks(now)
            except Exception as error:  # noqa: BLE001 -- raised below: one session must not stop the others' clocks
                failed = error
        if failed is not None:
            raise failed
