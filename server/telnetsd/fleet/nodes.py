"""Taking a node out of the fleet."""

from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.turn import is_limited
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.errors import OperatorError
from telnetsd.events.of_the_fleet import FleetNodeRevoked
from telnetsd.events.part import Fields
from telnetsd.files.home import Home


def revoke_node(home: Home, name: str, who: Fields) -> str:
    """Let what a node signs count no longer, and the engine let it in no longer.

    Returns: How far it has come.
    Raises:
        OperatorError: There is no such node, it was revoked already, or this node may not do that.
    """
    if is_limited(home):
        raise OperatorError("this node may not revoke another one; do it on a node that may make every change")
    with changing(home, who, ChangeKind.TAKE) as change:
        fleet = change.state.fleet
        node = fleet.node(name)
        if node is None:
            raise OperatorError(f"the fleet has no node {name!a}; see: telnetsd fleet status")
        if node.revoked_at is not None:
            raise OperatorError(f"the node {name} was revoked on {node.revoked_at:%Y-%m-%d at %H:%M} UTC already")
        if name == fleet.require_membership().node:
            raise OperatorError("a node cannot revoke itself; do it on another one")
        fleet.revoke_node(name, change.at)
        change.record(FleetNodeRevoked(message=f"the node {name} was revoked", node=name))
    return change.spread
