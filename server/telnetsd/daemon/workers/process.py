"""What one process serves with: its generation, the connections that go through it, and its open sessions."""

import asyncio
import logging
from typing import Final

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.enrolment.worker import EnrolmentOffice
from telnetsd.administration.installation.generation import Material
from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import LiveSessions, Services
from telnetsd.connection.acceptor import Connections, Stages
from telnetsd.files.home import Home
from telnetsd.identity.identify import Identifier
from telnetsd.identity.outcome import NamedUser
from telnetsd.lines.place import Switchboard
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.session import Session
from telnetsd.state.state import State
from telnetsd.tls.engine import ServerContext, make_server_context

_DUE: Final = -1

logger = logging.getLogger(__name__)


def make_context(material: Material) -> ServerContext:
    """Make the TLS context of a generation.

    Raises:
        OperatorError: OpenSSL does not take the server's certificate.
    """
    trust = material.trust
    return make_server_context(
        list(material.server_chain),
        material.server_key,
        trust.certificates,
        trust.intermediates,
        are_all_cas_known=material.policy.built_in.issuperset(map(certificate_sha256, trust.certificates)),
    )


def has_same_tls(one: Material, other: Material) -> bool:
    """Tell whether two generations are the same for TLS, so that the context of one serves the other."""
    return (one.server_chain, one.trust.certificates, one.trust.intermediates) == (
        other.server_chain,
        other.trust.certificates,
        other.trust.intermediates,
    )


class Serving:
    """One process's part in serving.

    Args:
        home: The installation.
        material: The first generation.
        context: Its TLS context.
        state: The operator's state.
        trail: Bound to nothing.
        ask: For the passphrase of the CA's key.
        registry: The open sessions of this process.
        sessions: The open sessions of all.
        switchboard: The way to the lines.
    """

    def __init__(
        self,
        home: Home,
        material: Material,
        context: ServerContext,
        state: State,
        trail: Trail,
        ask: AskPassphrase,
        registry: SessionRegistry,
        sessions: LiveSessions,
        switchboard: Switchboard,
    ) -> None:
        self._home = home
        self._state = state
        self._trail = trail
        self._ask = ask
        self.registry = registry
        self._sessions = sessions
        self._switchboard = switchboard
        self._state_version = state.version()
        self._context = context
        self.material = material
        self._stages = self._compose(material)
        self.connections = Connections(self._stages)
        self._judging: asyncio.Task[None] | None = None

    async def adopt(self, material: Material) -> None:
        """Serve with another generation; sessions that still hold go on.

        Raises:
            OperatorError: OpenSSL does not take the server's certificate: nothing has changed.
        """
        # Tickets of one context are useless in another: who comes again shakes hands in full.
        context = self._context if has_same_tls(material, self.material) else make_context(material)
        self._context, self.material = context, material
        self._stages = self._compose(material)
        self.connections.change(self._stages)
        await self._look_again()

    async def tick(self) -> None:
        """Look at the state, and at the sessions' clocks."""
        if self._state.version() != self._state_version:
            await self._look_again()
        self.registry.check_clocks()
        self.connections.tick()

    async def _look_again(self) -> None:
        version = self._state.version()
        # Until everybody was looked at, everybody is due: the next tick sees it.
        self._state_version = _DUE
        self.registry.adopt(self._stages.services, self._stages.settings)
        if self._judging is not None:
            self._judging.cancel()
        costly = await self.registry.reidentify(self.connections.identify_at_once)
        self._state_version = version
        # Users first. Nothing else waits for it: who presents much must not keep the clocks from being looked at.
        costly.sort(key=lambda session: not isinstance(session.identity, NamedUser))
        self._judging = asyncio.get_running_loop().create_task(self._look_at(costly)) if costly else None

    async def _look_at(self, sessions: list[Session]) -> None:
        for session in sessions:
            try:
                session.reidentify(await self.connections.identify_again(session.peer, session.endpoint))
            except Exception:
                logger.exception("a session could not be looked at; everybody is looked at again")
                self._state_version = _DUE

    def _compose(self, material: Material) -> Stages:
        settings = material.settings
        services = Services(
            self._sessions,
            material.table,
            settings.session.motd,
            self._home.audit_file,
            EnrolmentOffice(self._home, settings, self._ask),
            settings.renewal.window_days,
            material.lines,
            self._switchboard,
            self._home.recordings_folder,
        )
        identifier = Identifier(material.trust, material.policy, self._state)
        return Stages(self._context, identifier, services, settings, self.registry, self._trail)
