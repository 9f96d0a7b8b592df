"""What a process that makes a change says to the agent of its node: one JSON object a line, each way.

The agent is the node's only client of the engine. A connection that has asked for a turn has it until it is closed.
"""

from typing import Final, Generic, TypeVar

import msgspec

from telnetsd.administration.replication.message import ChangeKind

LINE_MAX_BYTES: Final = 2**21
"""The longest line: a message, in base64."""
A_co = TypeVar("A_co", covariant=True)


class AgentRequest(msgspec.Struct, Generic[A_co], frozen=True, forbid_unknown_fields=True, tag_field="verb"):
    """A request to the agent; the answer is a value of the type in brackets."""


class BeginTurn(AgentRequest[None], frozen=True, tag="begin"):
    """Let no other process of the fleet make a change, for some seconds; answered when this node has them all."""


class PublishChange(AgentRequest[int], frozen=True, kw_only=True, tag="publish"):
    """Put a change into the fleet's stream, directly after a position; the answer is the position that it has.

    Attributes:
        kind: What it does.
        message: The change, signed.
        after: The position after which it comes.
    """

    kind: ChangeKind
    message: bytes
    after: int


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a node; `lag` is how many changes it lacks; None: it is away."""

    name: str
    version: str
    capabilities: list[str]
    seen_at: str
    lag: int | None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How far a change that takes access away has come: which nodes have it, and which are away."""

    have: list[str]
    away: list[str]
    is_in_stream: bool


class SpreadChange(AgentRequest[Spread], frozen=True, tag="spread"):
    """Tell every node of a change that takes access away, and put it into the stream; wait for some seconds."""

    id: str


class FleetState(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet as this node sees it.

    Attributes:
        server: The engine's server that the agent is connected to; empty: none.
        is_current: Whether the majority of the engine answers, and this node has every change.
        position: The last change that this node has.
        last: The last change in the stream; None if the engine does not say.
        problem: Why this node has stopped to apply changes; empty if it has not.
        waiting: How many changes of this node are not in the stream yet.
        nodes: Every node.
    """

    server: str
    is_current: bool
    position: int
    last: int | None
    problem: str
    waiting: int
    nodes: list[NodeStatus]


class CatchUp(AgentRequest[None], frozen=True, tag="catch-up"):
    """Answer when this node has every change that is in the stream now."""


class DescribeFleet(AgentRequest[FleetState], frozen=True, tag="status"):
    """Return the fleet as this node sees it."""


AnyAgentRequest = BeginTurn | PublishChange | SpreadChange | CatchUp | DescribeFleet


class AgentAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request: `ok`, or why it is refused.

    Attributes:
        ok: The answer.
        error: What is wrong, and what to do; empty if it was done.
        is_unknown: Whether a change may still come into the stream.
    """

    ok: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    is_unknown: bool = False
