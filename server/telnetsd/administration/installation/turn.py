"""What a change needs from the fleet before it counts, on a node of one; and nothing on a machine that is in none.

A change that gives something waits for its turn: no other node makes a change meanwhile, and this one has them all.
It comes into the stream of the fleet before it is committed here. A change that only takes away is committed here
first, and then told to the others: the agent brings it into the stream as soon as it can.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telnetsd.administration.installation.staging import Change
from telnetsd.administration.replication.agent_link import AgentLink, FleetRefusedError, OutcomeUnknownError, linked
from telnetsd.administration.replication.agent_messages import BeginTurn, PublishChange, Spread, SpreadChange
from telnetsd.administration.replication.message import (
    ChangeBody,
    ChangeKind,
    MessageTooLongError,
    encode_change,
    message_sha256,
    sentences,
)
from telnetsd.administration.replication.node_key import load_node_key
from telnetsd.administration.replication.pending import (
    PendingChange,
    keep_pending,
    key_of_change,
    list_pending,
    redo_pending,
    undo_pending,
)
from telnetsd.administration.replication.permission import ROWS_MAX
from telnetsd.audit.chain import Head
from telnetsd.errors import OperatorError, StoreConflictError
from telnetsd.events.part import Fields
from telnetsd.files.home import Home
from telnetsd.state.fleet import Capability, FleetNode, Membership
from telnetsd.state.opening import open_store
from telnetsd.state.rows import Captured, RowError
from telnetsd.state.store import Store


class Turn(Protocol):
    """A change's place among those of the fleet."""

    def capturing(self, state: Store) -> AbstractContextManager[Captured]:
        """Note which rows the block changes."""

    def place_of(self, change: Change, captured: Captured) -> int | None:
        """Return after which change of the fleet this one comes; None if the fleet does not decide about it."""

    def commit(self, change: Change, captured: Captured, head: Head) -> None:
        """Make the change count in the fleet; `head` is the line of our log that tells of it.

        Raises:
            FleetRefusedError: It does not count.
            OutcomeUnknownError: It may come to count.
        """

    @property
    def is_undecided(self) -> bool:
        """Whether the change may have come into the stream."""

    def require_place(self, state: Store) -> None:
        """Refuse a change for which another turn would be needed by now; with the lock of the home folder.

        Raises:
            OperatorError: The home folder has become one of a fleet meanwhile, or its fleet has got its stream.
        """

    def spread(self, change: Change) -> None:
        """Tell the other nodes, when the change counts here."""


class AloneTurn:
    """On a machine that is in no fleet; see Turn."""

    is_undecided = False

    def require_place(self, state: Store) -> None:
        """See Turn."""
        membership = state.fleet.membership()
        if membership is not None and not membership.is_founding:
            raise OperatorError("nothing was changed: this node has just become one of a fleet; try again")

    def capturing(self, _: Store) -> AbstractContextManager[Captured]:
        """See Turn."""
        return nullcontext(Captured())

    def place_of(self, *_: object) -> None:
        """See Turn."""

    def commit(self, *_: object) -> None:
        """See Turn."""

    def spread(self, _: Change) -> None:
        """See Turn."""


class GiveTurn:
    """For a change that waits for the fleet; see Turn.

    Args:
        link: To the agent, which has given the turn.
        key: Signs the change.
        kind: What the change does.
    """

    def __init__(self, link: AgentLink, key: Ed25519PrivateKey, kind: ChangeKind) -> None:
        self._link = link
        self._key = key
        self._kind = kind
        self.is_undecided = False

    def require_place(self, state: Store) -> None:
        """See Turn."""
        state.fleet.require_membership()

    def capturing(self, state: Store) -> AbstractContextManager[Captured]:
        """See Turn."""
        return state.replication.capturing()

    def place_of(self, change: Change, captured: Captured) -> int | None:
        """See Turn."""
        if not captured.rows and not change.shared_files:
            return None
        return change.state.fleet.require_membership().sequence

    def commit(self, change: Change, captured: Captured, head: Head) -> None:
        """See Turn."""
        after = self.place_of(change, captured)
        if after is None:
            return
        _put_below_pending(change.state, captured)
        membership = change.state.fleet.require_membership()
        body = ChangeBody(
            fleet=membership.fleet,
            id=change.id,
            node=membership.node,
            kind=self._kind,
            by=name_in(change.who),
            at=change.at.isoformat(),
            previous=membership.sha256,
            after=after,
            rows=captured.rows,
            files=change.shared_files,
            events=sentences(change.messages),
            audit=(head.sequence, head.sha256),
        )
        try:
            message = encode_change(body, self._key)
        except MessageTooLongError as error:
            raise OperatorError(f"the change is too large for the fleet: {error}; make it in parts") from error
        self.is_undecided = True
        try:
            sequence = self._link.ask(PublishChange(kind=self._kind, message=message, after=after))
        except FleetRefusedError:
            self.is_undecided = False
            raise
        if sequence != after + 1:
            raise OutcomeUnknownError(f"the engine says that the change is at {sequence}, not at {after + 1}")
        change.state.fleet.advance(sequence, message_sha256(message))
        change.state.fleet.note_applied(key_of_change(membership.node, change.id), sequence)

    def spread(self, _: Change) -> None:
        """See Turn; the others learn of it from the stream."""


class TakeTurn:
    """For a change that only takes away: it counts here at once; see Turn.

    Args:
        home: The installation.
    """

    is_undecided = False

    def __init__(self, home: Home) -> None:
        self._home = home
        self._is_kept = False

    def require_place(self, state: Store) -> None:
        """See Turn."""
        state.fleet.require_membership()

    def capturing(self, state: Store) -> AbstractContextManager[Captured]:
        """See Turn."""
        return state.replication.capturing()

    def place_of(self, *_: object) -> None:
        """See Turn."""

    def commit(self, change: Change, captured: Captured, head: Head) -> None:
        """See Turn; the change is kept until it is in the stream."""
        if not captured.rows:
            return
        membership = change.state.fleet.require_membership()
        if is_limited_node(change.state) and len(captured.rows) > ROWS_MAX:
            raise OperatorError(f"this node may put {ROWS_MAX} on hold at a time; name fewer")
        self._is_kept = True
        pending = PendingChange(
            id=change.id,
            node=membership.node,
            by=name_in(change.who),
            at=change.at.isoformat(),
            events=sentences(change.messages),
            audit=(head.sequence, head.sha256),
            asked=captured.rows,
            rows=captured.rows,
            undo=captured.undo,
        )
        keep_pending(change.state, pending)

    def spread(self, change: Change) -> None:
        """See Turn."""
        if not self._is_kept:
            return
        change.is_waiting = True
        try:
            with linked(self._home) as link:
                spread = link.ask(SpreadChange(change.id))
        except OperatorError as error:
            change.spread = f"it counts here; the other nodes do not know of it yet: {error}"
        else:
            change.spread = _describe(spread)
            change.is_waiting = not spread.is_in_stream


@contextmanager
def turn_for(home: Home, kind: ChangeKind) -> Iterator[Turn]:
    """Wait for the turn of a change that a node of a fleet makes.

    Raises:
        OperatorError: The fleet cannot be reached, or this node may not make such a change.
    """
    membership, node = _our_place(home)
    if membership is None or membership.is_founding:
        yield AloneTurn()
    elif kind is ChangeKind.TAKE:
        yield TakeTurn(home)
    else:
        if kind is ChangeKind.GIVE and (node is None or Capability.GIVE not in node.capabilities):
            may_not = f"the node {membership.node} may not make this change"
            raise OperatorError(f"{may_not}; do it on a node that may, see: telnetsd fleet status")
        with linked(home) as link:
            link.ask(BeginTurn())
            yield GiveTurn(link, load_node_key(home), kind)


def _put_below_pending(state: Store, captured: Captured) -> None:
    """Put a change below what is only pending here, as everywhere else, although it was made on top of that.

    Raises:
        OperatorError: It would contradict that.
    """
    if not list_pending(state):
        return
    state.replication.apply(captured.undo)
    pending = undo_pending(state)
    try:
        state.replication.apply(captured.rows)
    except (RowError, StoreConflictError) as error:
        raise OperatorError("nothing was changed: another change is on its way; try again in a moment") from error
    redo_pending(state, pending)


def is_limited_node(state: Store) -> bool:
    """Tell whether this is a node of a fleet that may only put on hold, not revoke or remove."""
    membership = state.fleet.membership()
    if membership is None or membership.is_founding:
        return False
    node = state.fleet.node(membership.node)
    return node is None or Capability.GIVE not in node.capabilities


def is_limited(home: Home) -> bool:
    """Tell the same of a home folder."""
    if not home.fleet_node_certificate.exists():
        return False
    with closing(open_store(home)) as state:
        return is_limited_node(state)


def is_upkeep_ours(state: Store) -> bool:
    """Tell whether this installation looks after what all nodes of its fleet share: only one that can sign does."""
    membership = state.fleet.membership()
    if membership is None or membership.is_founding:
        return True
    node = state.fleet.node(membership.node)
    return node is not None and Capability.ISSUE in node.capabilities


def _our_place(home: Home) -> tuple[Membership | None, FleetNode | None]:
    if not home.fleet_node_certificate.exists():
        return None, None
    with closing(open_store(home)) as state:
        membership = state.fleet.membership()
        return membership, state.fleet.node(membership.node) if membership is not None else None


def name_in(who: Fields) -> str:
    """Return who makes a change, for people: the operator's name, or that of a session's user."""
    operator = who.get("telnetsd", {}).get("operator", {}).get("name")
    return str(operator or who.get("user", {}).get("name") or "a client")


def _describe(spread: Spread) -> str:
    everyone = len(spread.have) + len(spread.away)
    text = f"{len(spread.have)} of {everyone} nodes have it"
    if spread.away:
        text += f"; away: {', '.join(spread.away)}"
    return text if spread.is_in_stream else f"{text}; it is not in the fleet's stream yet"
