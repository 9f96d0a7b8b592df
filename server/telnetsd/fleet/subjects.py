"""The subjects and the streams of a fleet, and which of them the token of a node lets it use.

A name of a fleet or a node is a token of a subject: lower-case letters, digits and dashes.
"""

from dataclasses import dataclass
from typing import Any, Final

from telnetsd.administration.replication.message import ChangeKind
from telnetsd.state.fleet import Capability

STREAMS_API: Final = "$JS.API"
"""What stands before the engine's questions about streams, in the account that has them."""
_ITSELF: Final = "{{name()}}"
"""What the engine replaces by the name in a token."""
LEASE_NS: Final = 15_000_000_000
"""After how long the engine forgets who makes a change: that node may have died."""
_ANSWER_TTL_NS: Final = 30_000_000_000


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of one fleet.

    Attributes:
        fleet: Its name.
    """

    fleet: str

    @property
    def state(self) -> str:
        """The stream of changes."""
        return f"{self.fleet}_STATE"

    @property
    def api(self) -> str:
        """What stands before the questions of nodes about streams."""
        return f"{self.fleet}.js"

    @property
    def nodes(self) -> str:
        """The stream of the signs of life: the last one of each node."""
        return f"{self.fleet}_NODES"

    @property
    def lease(self) -> str:
        """The stream that has one message: who makes a change."""
        return f"{self.fleet}_LEASE"

    @property
    def leases(self) -> str:
        """The subject of that message."""
        return f"{self.fleet}.lease"

    @property
    def news(self) -> str:
        """Where a node says that it has put something into the stream of changes."""
        return f"{self.fleet}.news"

    def change(self, kind: ChangeKind | str, node: str) -> str:
        """Return the subject of the changes of a kind that a node makes."""
        return f"{self.fleet}.{kind}.{node}"

    def life(self, node: str) -> str:
        """Return the subject of a node's signs of life."""
        return f"{self.fleet}.node.{node}"

    def urgent(self, node: str) -> str:
        """Return the subject of a node's urgent notices."""
        return f"{self.fleet}.urgent.{node}"

    def ask(self, verb: str, node: str = "") -> str:
        """Return the subject of a question to all nodes, or to one."""
        return f"{self.fleet}.ask.{verb}" + (f".{node}" if node else "")

    def parse_change(self, subject: str) -> tuple[str, str]:
        """Return the kind and the node in the subject of a change; empty words if it is none."""
        fleet, _, rest = subject.partition(".")
        kind, _, node = rest.partition(".")
        return (kind, node) if fleet == self.fleet and "." not in node else ("", "")

    def streams(self, replicas: int, max_bytes: int) -> list[dict[str, Any]]:
        """Return the streams of the fleet, as the engine wants them described.

        Args:
            replicas: How many servers of the engine keep each message.
            max_bytes: How many bytes the engine may use.
        """
        kinds = [self.change(kind, "*") for kind in ChangeKind]
        common = {"retention": "limits", "storage": "file", "num_replicas": replicas, "discard": "new"}
        common |= {"max_age": 0, "deny_delete": True, "allow_direct": True}
        small = {"max_msgs_per_subject": 1, "discard": "old", "deny_delete": False, "max_bytes": max_bytes // 100}
        return [
            {**common, "name": self.state, "subjects": kinds, "max_bytes": max_bytes // 4},
            {**common, **small, "name": self.nodes, "subjects": [self.life("*")]},
            {**common, **small, "name": self.lease, "subjects": [self.leases], "max_age": LEASE_NS},
        ]


def services(fleet: str) -> dict[str, str]:
    """Return what the account that has the streams does for the account of the nodes: take messages, and show them.

    The streams are in another account than the nodes, which have no way to its other subjects. An engine sends the
    answer of a question to whatever subject the asker names, without checking whether the asker may publish there.

    Returns: The subject in the account of the streams, by the subject in the account of the nodes.
    """
    own = Subjects(fleet)
    questions = (
        *(f"STREAM.INFO.{stream}" for stream in (own.state, own.nodes, own.lease)),
        f"STREAM.MSG.GET.{own.lease}",
        f"DIRECT.GET.{own.state}",
        f"DIRECT.GET.{own.nodes}",
    )
    return {
        **{one: one for one in (*(own.change(kind, "*") for kind in ChangeKind), own.life("*"), own.leases)},
        **{f"{own.api}.{question}": f"{STREAMS_API}.{question}" for question in questions},
    }


def permissions(fleet: str, capabilities: tuple[Capability, ...]) -> dict[str, Any]:
    """Return what a token allows a node with some capabilities, as a scope of a signing key says it."""
    own = Subjects(fleet)
    publish = [
        own.change(ChangeKind.TAKE, _ITSELF),
        own.change(ChangeKind.REQUEST, _ITSELF),
        own.life(_ITSELF),
        own.urgent(_ITSELF),
        own.leases,
        own.news,
        own.ask(">"),
        *(one for one in services(fleet) if one.startswith(own.api)),
    ]
    if Capability.GIVE in capabilities:
        publish.append(own.change(ChangeKind.GIVE, _ITSELF))
    subscribe = [own.news, own.urgent("*"), own.ask("*"), own.ask("*", _ITSELF), f"{inbox(_ITSELF)}.>"]
    return {
        "pub": {"allow": publish},
        "sub": {"allow": subscribe},
        "resp": {"max": 1, "ttl": _ANSWER_TTL_NS},
    }


def inbox(node: str) -> str:
    """Return the subject below which a node gets its answers: no other node can read there."""
    return f"_INBOX_{node}"
