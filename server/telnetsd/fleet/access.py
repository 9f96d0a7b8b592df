"""What a node needs to connect to the engine: read from its home folder."""

import ssl
from dataclasses import replace
from typing import Final

import msgspec

from telnetsd.config.settings import FleetSettings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home, require_secret
from telnetsd.fleet.connection import Access
from telnetsd.fleet.credentials import AuthorityKeys, Token, founder_token, system_token
from telnetsd.fleet.subjects import STREAMS_API, Subjects
from telnetsd.state.fleet import Membership

_REMEDY: Final = "restore a backup, or join again: telnetsd fleet join --replace"


def load_access(home: Home, fleet: FleetSettings, membership: Membership) -> Access:
    """Return what this node needs to connect.

    Raises:
        OperatorError: The configuration names another fleet or node than the state, or something cannot be read.
    """
    if (fleet.name, fleet.node) != (membership.fleet, membership.node):
        is_called = f"the node {membership.node} of the fleet {membership.fleet}"
        raise OperatorError(f"state.db is of {is_called}; write its names and servers into [fleet] of telnetsd.toml")
    require_secret(home, home.fleet_node_key, _REMEDY)
    require_secret(home, home.fleet_engine_token, _REMEDY)
    tls = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    try:
        tls = ssl.create_default_context(cafile=str(home.fleet_ca_certificate))
        tls.load_cert_chain(home.fleet_node_certificate, home.fleet_node_key)
        token = msgspec.json.decode(home.fleet_engine_token.read_bytes(), type=Token)
    except (OSError, ssl.SSLError, msgspec.MsgspecError) as error:
        raise OperatorError(f"cannot read what is in {home.shown(home.fleet_folder)}: {error}; {_REMEDY}") from error
    api = Subjects(fleet.name).api
    return Access(servers=fleet.servers, node=fleet.node, api=api, tls=tls, token=token)


def as_founder(access: Access, keys: AuthorityKeys) -> Access:
    """Return the access of the founder, who may do everything in the engine's account of the fleet."""
    return replace(access, node="founder", api=STREAMS_API, token=founder_token(keys))


def as_system(access: Access, keys: AuthorityKeys) -> Access:
    """Return the access of the engine's own account, which changes who is let in."""
    return replace(access, node="system", token=system_token(keys))


def load_authority_keys(home: Home) -> AuthorityKeys:
    """Load the keys that decide who may use the engine.

    Raises:
        OperatorError: They are not here, or cannot be read.
    """
    require_secret(home, home.fleet_authority_keys, "do this on the node that founded the fleet")
    try:
        return msgspec.json.decode(home.fleet_authority_keys.read_bytes(), type=AuthorityKeys)
    except (OSError, msgspec.MsgspecError) as error:
        shown = home.shown(home.fleet_authority_keys)
        raise OperatorError(f"cannot read {shown}: {error}; restore a backup") from error
