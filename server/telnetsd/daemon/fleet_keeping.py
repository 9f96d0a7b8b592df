"""What a server does for its fleet: it runs the node's agent, and admits machines that have an invitation.

The agent is a process that is started again when it ends. A server of no fleet imports nothing of `telnetsd.fleet`.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Final

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.replication.agent_link import FleetRefusedError, OutcomeUnknownError, linked
from telnetsd.administration.replication.agent_messages import CatchUp
from telnetsd.commands.enrolment_service import NodeAdmission
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.files.freshness import Freshness
from telnetsd.files.home import Home
from telnetsd.state.opening import open_store

_RESTART_S: Final = 1.0
_RESTART_MAX_S: Final = 30.0
_END_S: Final = 5.0

logger = logging.getLogger(__name__)


def fetch_state(home: Home) -> None:
    """Wait for the state of the fleet, if this node has none yet.

    Raises:
        OperatorError: It cannot be fetched.
    """
    if not home.fleet_node_certificate.exists():
        return
    with closing(open_store(home)) as state:
        membership = state.fleet.require_membership()
    if membership.is_founding or membership.sequence:
        return
    with linked(home) as link:
        try:
            link.ask(CatchUp())
        except (FleetRefusedError, OutcomeUnknownError) as error:
            raise OperatorError(f"this node has nothing of the fleet's state yet: {error}") from error


@asynccontextmanager
async def fleet_agent(home: Home) -> AsyncIterator[None]:
    """Run the agent for as long as the block lasts, if the home folder is of a fleet."""
    if not home.fleet_node_certificate.exists():
        yield
        return
    keeping = asyncio.get_running_loop().create_task(_keep(home))
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def _keep(home: Home) -> None:
    wait_s = _RESTART_S
    while True:
        begun_at = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "telnetsd", "--home", str(home.root), "fleet", "agent"),
            # It ends when this is closed, also because this process was killed.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        if asyncio.get_running_loop().time() - begun_at > _RESTART_MAX_S:
            wait_s = _RESTART_S
        logger.warning("the fleet's agent ended (%d); it is started again", code)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _RESTART_MAX_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def make_admission(home: Home, settings: Settings, ask: AskPassphrase) -> NodeAdmission | None:
    """Return what admits machines to the fleet; None for a server of no fleet."""
    if not settings.fleet.name or not home.fleet_node_certificate.exists():
        return None
    from telnetsd.fleet.admission import AdmissionWorker

    return AdmissionWorker(home, settings.fleet, ask)


def freshness_of(home: Home) -> Freshness | None:
    """Return when this node was last current; None for a server of no fleet."""
    return Freshness(home.fleet_freshness) if home.fleet_node_certificate.exists() else None
