"""What one process serves with: its generation, the connections that go through it, and its open sessions."""

import asyncio
import logging
from typing import Final

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.enrolment.notices import words_for_applicant, words_for_operators
from telnetsd.administration.enrolment.worker import EnrolmentWorker
from telnetsd.administration.installation.generation import Generation
from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import LiveSessions, Services
from telnetsd.connection.acceptor import Acceptor
from telnetsd.connection.stages import Stages
from telnetsd.connection.staleness import Staleness
from telnetsd.daemon.fleet_keeping import freshness_of, make_admission
from telnetsd.files.home import Home
from telnetsd.identity.identify import Identifier
from telnetsd.identity.outcome import NamedUser
from telnetsd.lines.place import Directory
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.rpc.messages import Announce
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.session import Session
from telnetsd.state.records import RequestStatus
from telnetsd.state.store import Store
from telnetsd.tls.engine import ServerContext, make_server_context

_DUE: Final = -1

logger = logging.getLogger(__name__)


def make_context(generation: Generation) -> ServerContext:
    """Make the TLS context of a generation.

    Raises:
        OperatorError: OpenSSL rejects the server's certificate.
    """
    trust = generation.trust
    return make_server_context(
        list(generation.server_chain),
        generation.server_key,
        trust.certificates,
        trust.intermediates,
        are_all_cas_known=generation.policy.built_in.issuperset(map(certificate_sha256, trust.certificates)),
    )


def has_same_tls(one: Generation, other: Generation) -> bool:
    """Tell whether two generations are the same for TLS, so that the context of one serves the other."""
    return (one.server_chain, one.trust.certificates, one.trust.intermediates) == (
        other.server_chain,
        other.trust.certificates,
        other.trust.intermediates,
    )


class ServingProcess:
    """One process's part in serving.

    Args:
        home: The installation.
        generation: The first generation.
        context: Its TLS context.
        state: The operator's state.
        trail: Bound to nothing.
        ask: Asks for the passphrase of the CA's key.
        registry: The open sessions of this process.
        sessions: The open sessions of all processes.
        directory: The way to the lines.
    """

    def __init__(
        self,
        home: Home,
        generation: Generation,
        *,
        context: ServerContext,
        state: Store,
        trail: Trail,
        ask: AskPassphrase,
        registry: SessionRegistry,
        sessions: LiveSessions,
        directory: Directory,
    ) -> None:
        self._home = home
        self._state = state
        self._trail = trail
        self._ask = ask
        self.registry = registry
        self._sessions = sessions
        self._directory = directory
        self._state_version = state.version()
        self._pending = {one.id for one in state.requests.every() if one.status is RequestStatus.PENDING}
        """The enrolment requests that operators have been told of."""
        self._context = context
        self.generation = generation
        self._stages = self._compose(generation)
        self.acceptor = Acceptor(self._stages)
        self._judging: asyncio.Task[None] | None = None

    async def adopt(self, generation: Generation) -> None:
        """Serve with another generation; sessions that are still valid continue.

        Raises:
            OperatorError: OpenSSL rejects the server's certificate; nothing has changed.
        """
        # Tickets of one context are useless in another: a client that returns needs a full handshake.
        context = self._context if has_same_tls(generation, self.generation) else make_context(generation)
        self._context, self.generation = context, generation
        self._stages = self._compose(generation)
        self.acceptor.adopt(self._stages)
        await self._look_again()

    async def tick(self) -> None:
        """Check the state and the sessions' clocks."""
        if self._state.version() != self._state_version:
            await self._look_again()
        self.registry.check_clocks()
        self.acceptor.tick()

    async def _look_again(self) -> None:
        version = self._state.version()
        # Until all sessions have been checked, all are due: the next tick detects that.
        self._state_version = _DUE
        self.registry.adopt(self._stages.services, self._stages.settings)
        if self._judging is not None:
            self._judging.cancel()
        costly = await self.registry.reidentify(self.acceptor.identification.at_once)
        self._state_version = version
        self._tell_of_requests()
        # Users first. Nothing else waits for it: a client that presents a lot of data must not delay the clocks.
        costly.sort(key=lambda session: not isinstance(session.identity, NamedUser))
        self._judging = asyncio.get_running_loop().create_task(self._look_at(costly)) if costly else None

    def _tell_of_requests(self) -> None:
        """Tell operators of new enrolment requests, and each applicant who is still connected of the decision."""
        requests = {one.id: one for one in self._state.requests.every()}
        pending = {one.id for one in requests.values() if one.status is RequestStatus.PENDING}
        new, self._pending = [requests[one] for one in sorted(pending - self._pending)], pending
        if new:
            self.registry.announce(Announce(words_for_operators(new), is_for_operators=True))
        self.registry.tell_of_decisions(
            lambda one: words_for_applicant(requests[one]) if one in requests and one not in pending else ""
        )

    async def _look_at(self, sessions: list[Session]) -> None:
        for session in sessions:
            try:
                session.reidentify(
                    await self.acceptor.identification.again(session.visit.peer, session.visit.origin.endpoint)
                )
            except Exception:
                logger.exception("a session could not be checked; all sessions are checked again")
                self._state_version = _DUE

    def _compose(self, generation: Generation) -> Stages:
        settings = generation.settings
        services = Services(
            sessions=self._sessions,
            table=generation.table,
            motd=settings.session.motd,
            audit_file=self._home.audit_file,
            enrolment=EnrolmentWorker(self._home, settings, self._ask),
            nodes=make_admission(self._home, settings, self._ask),
            renewal_window_days=settings.renewal.window_days,
            lines=generation.lines,
            directory=self._directory,
            recordings_folder=self._home.recordings_folder,
            authority_pem=generation.authority_pem,
        )
        identifier = Identifier(generation.trust, generation.policy, self._state)
        return Stages(
            context=self._context,
            identifier=identifier,
            services=services,
            settings=settings,
            registry=self.registry,
            trail=self._trail,
            staleness=Staleness(freshness_of(self._home), settings.fleet),
        )
