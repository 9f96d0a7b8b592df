"""Whom the engine lets in: the node that has the keys tells it which nodes do not belong to the fleet any more."""

import asyncio
import logging
from contextlib import closing
from typing import Final

from telnetsd.errors import OperatorError, StoreError
from telnetsd.files.home import Home
from telnetsd.fleet.access import as_system, load_authority_keys
from telnetsd.fleet.connection import Access, EngineError, open_any
from telnetsd.fleet.credentials import AuthorityKeys, nodes_account
from telnetsd.fleet.follower import Follower
from telnetsd.state.opening import open_store

_ANSWER_S: Final = 5.0
_LOOK_S: Final = 60.0
_RETRY_S: Final = 5.0

logger = logging.getLogger(__name__)


class Gate:
    """Keeps what the engine knows about revoked nodes as the tables say.

    Args:
        home: The installation of the node that has the keys.
        access: What this node needs to connect.
        follower: Tells when a change was applied.
    """

    def __init__(self, home: Home, access: Access, follower: Follower) -> None:
        self._home = home
        self._access = access
        self._follower = follower
        self._told: set[str] = set()

    async def run(self) -> None:
        """Tell the engine whenever a node was revoked, until this is cancelled."""
        while True:
            try:
                await self._tell()
            except (EngineError, OperatorError, StoreError) as error:
                logger.warning("the engine was not told which nodes were revoked: %s; it is tried again", error)
                await asyncio.sleep(_RETRY_S)
            else:
                await self._follower.moves(_LOOK_S)

    async def _tell(self) -> None:
        keys, fleet, revoked = await asyncio.to_thread(_read, self._home)
        if revoked == self._told:
            return
        connection = await open_any(as_system(self._access, keys))
        try:
            await connection.tell_claims(nodes_account(keys, fleet, sorted(revoked)), _ANSWER_S)
        finally:
            await connection.close()
        self._told = revoked


def _read(home: Home) -> tuple[AuthorityKeys, str, set[str]]:
    """Return the keys, the name of the fleet, and the public keys of the tokens of revoked nodes."""
    with closing(open_store(home)) as state:
        membership, nodes = state.fleet.require_membership(), state.fleet.nodes()
    revoked = {one.engine_key for one in nodes if one.revoked_at is not None}
    return load_authority_keys(home), membership.fleet, revoked
