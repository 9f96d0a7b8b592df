"""Applying the changes of other nodes: what the stream of the fleet says, in its order, and urgent notices before it.

Every node judges a message by the same rows, and comes to the same result. A message that does not count is passed
over, with an event: a node that may only take away cannot stop the others. What a node that may make every change has
signed cannot be passed over: if it does not fit, the node stops to apply changes, and an operator has to look.
"""

import contextlib
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from telnetsd.administration.installation.change import at_rest
from telnetsd.administration.installation.staging import Change, put_in_place
from telnetsd.administration.replication.message import (
    ChangeBody,
    ChangeKind,
    LevelError,
    MessageError,
    message_sha256,
    unverified_change,
    verify_change,
)
from telnetsd.administration.replication.node_key import key_of_node, load_fleet_ca
from telnetsd.administration.replication.pending import (
    PendingChange,
    key_of_change,
    list_pending,
    make_pending,
    undo_pending,
    without,
)
from telnetsd.administration.replication.permission import find_objection
from telnetsd.audit.log import AuditLog
from telnetsd.audit.trail import make_event
from telnetsd.errors import StoreConflictError, TelnetsdError
from telnetsd.escaping import escape
from telnetsd.events.event import Event
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.of_the_fleet import FleetChangeApplied, FleetChangeRefused, FleetStopped
from telnetsd.events.reason import FleetChangeReason, FleetObjection, FleetStop
from telnetsd.files.home import Home
from telnetsd.pki.authority import utc_now
from telnetsd.state.fleet import KEYS_KEPT, Capability, FleetNode
from telnetsd.state.rows import RowError
from telnetsd.state.store import Store

FOUNDER_PREFIX: Final = "founder:"
"""What stands before the SHA-256 of the founder's certificate where that of the first change is not known yet."""
_REFUSAL_S: Final = 60.0
_NODES_MAX: Final = 1000


class StoppedError(TelnetsdError):
    """This node must not apply the next change of the fleet.

    Attributes:
        reason: Why.
    """

    def __init__(self, reason: FleetStop, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Outcome(Enum):
    """What became of a message."""

    APPLIED = "applied"
    REFUSED = "refused"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """A message as it stands in the stream.

    Attributes:
        position: Its position in the stream, from 1.
        kind: What its subject says that it does.
        node: The node that its subject names.
        data: The message.
    """

    position: int
    kind: str
    node: str
    data: bytes


class Refusals:
    """Which refusals are on the log: one of a node in a minute, since it may send any number."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def is_due(self, node: str) -> bool:
        """Tell whether a refusal of a node is to be recorded now; else it is counted."""
        now = time.monotonic()
        if now - self._told_at.get(node, -_REFUSAL_S) < _REFUSAL_S:
            self._untold[node] += 1
            return False
        if len(self._told_at) >= _NODES_MAX:
            self._told_at.clear()
        self._told_at[node] = now
        return True

    def take_count(self, node: str) -> int:
        """Return how many refusals of a node were not recorded since the last one that was."""
        return self._untold.pop(node, 0)


class _NotCountingError(TelnetsdError):
    """A message does not count, on any node.

    Attributes:
        objection: Why.
    """

    def __init__(self, objection: FleetObjection, words: str) -> None:
        super().__init__(words)
        self.objection = objection


def apply_message(home: Home, message: StreamMessage, told: Refusals) -> Outcome:
    """Apply the next message of the stream.

    Args:
        home: The installation.
        message: The message.
        told: Which refusals are on the log already.
    Raises:
        StoppedError: It must not be applied, nor passed over.
        OperatorError: It cannot be applied now: the log or the store cannot be written.
    """
    with at_rest(home) as (state, log):
        membership = state.fleet.membership()
        if membership is None or message.position <= membership.sequence:
            return Outcome.KNOWN
        if message.position != membership.sequence + 1:
            raise StoppedError(
                FleetStop.LOST_CHANGES, f"after change {membership.sequence} comes {message.position} in the stream"
            )
        try:
            _apply(home, state, log, message)
        except _NotCountingError as error:
            if not membership.sequence:
                words = f"the first change in the stream is not that of this fleet: {error}"
                raise StoppedError(FleetStop.OTHER_HISTORY, words) from error
            with state.transaction():
                state.fleet.advance(message.position, message_sha256(message.data))
                is_ours = message.node == membership.node
                if is_ours:
                    _forget_refused(state, message)
                if is_ours or told.is_due(message.node):
                    log.append([make_event(_refused(message.node, error, message.position, told))])
            return Outcome.REFUSED
        return Outcome.APPLIED


def apply_notice(home: Home, node: str, data: bytes, told: Refusals) -> Outcome:
    """Apply what a node says outside the stream, since it takes access away; the stream will have it too.

    A notice may come after the stream had the change. It has nothing left to take away then, and is forgotten.

    Raises:
        StoppedError: It needs a newer version.
        OperatorError: It cannot be applied now.
    """
    with at_rest(home) as (state, log):
        membership = state.fleet.membership()
        if membership is None or not membership.sequence or node == membership.node:
            return Outcome.KNOWN
        try:
            body, sender = _verify(home, state, node, data)
            _require_allowed(None, body, sender, (ChangeKind.TAKE, node, membership.fleet))
        except _NotCountingError as error:
            if told.is_due(node):
                log.append([make_event(_refused(node, error, None, told))])
            return Outcome.REFUSED
        pending = _pending_of(body)
        is_old = body.after + KEYS_KEPT <= membership.sequence
        if is_old or state.fleet.was_applied(pending.key) or pending.key in {one.key for one in list_pending(state)}:
            return Outcome.KNOWN
        with state.transaction():
            if not make_pending(state, pending):
                state.replication.forget_pending(pending.key)
                return Outcome.KNOWN
            log.append([make_event(_applied(body, FleetChangeReason.URGENT, None))])
        return Outcome.APPLIED


def _forget_refused(state: Store, message: StreamMessage) -> None:
    """Forget a change of our own that all nodes refuse: to put it into the stream again would not help."""
    with contextlib.suppress(MessageError):
        state.replication.forget_pending(key_of_change(message.node, unverified_change(message.data).id))


def forget_pending(home: Home, key: str) -> None:
    """Forget a pending change that has nothing left to take away.

    Raises:
        OperatorError: The store cannot be written.
    """
    with at_rest(home) as (state, _), state.transaction():
        state.replication.forget_pending(key)


def record_stop(home: Home, error: StoppedError) -> None:
    """Record that this node applies no more changes.

    Raises:
        OperatorError: The log cannot be written.
    """
    with at_rest(home) as (state, log):
        membership = state.fleet.membership()
        position = 0 if membership is None else membership.sequence
        event = FleetStopped(reason=error.reason, message=f"no more changes are applied: {error}", position=position)
        log.append([make_event(event)])


def _apply(home: Home, state: Store, log: AuditLog, message: StreamMessage) -> None:
    """Apply a message, in one transaction.

    Raises:
        _NotCountingError: It does not count.
        StoppedError: It counts, and cannot be applied here.
    """
    with state.transaction():
        # What is judged and changed is what the stream says: what is only pending here is put on top again.
        pending = undo_pending(state)
        body = _judge(home, state, message)
        key, ours = key_of_change(body.node, body.id), state.fleet.require_membership().node
        change = Change(home, state, {}, body.id if body.node == ours else uuid.uuid4().hex)
        is_told = change.folder.exists() or key in {one.key for one in pending}
        _write_rows(state, body, message.position)
        state.replication.forget_pending(key)
        for one in pending:
            _redo(state, one, body, ours)
        _stage(change, body)
        state.fleet.advance(message.position, message_sha256(message.data))
        state.fleet.note_applied(key, message.position)
        if not is_told:
            log.append([make_event(_applied(body, FleetChangeReason.IN_STREAM, message.position))])
    if change.folder.exists():
        put_in_place(home, change.folder, state)


def _redo(state: Store, pending: PendingChange, body: ChangeBody, ours: str) -> None:
    """Make a pending change again, after a change of the stream; inside its transaction.

    What another node told us lasts until a change decides otherwise, or until that node leaves the fleet.
    """
    if pending.key == key_of_change(body.node, body.id):
        return
    if pending.node != ours:
        node = state.fleet.node(pending.node)
        is_decided = body.kind is ChangeKind.GIVE
        pending = without(pending, body.rows) if is_decided else pending
        if node is None or node.revoked_at is not None or not pending.asked:
            state.replication.forget_pending(pending.key)
            return
    make_pending(state, pending)


def _write_rows(state: Store, body: ChangeBody, position: int) -> None:
    try:
        state.replication.apply(body.rows)
    except (RowError, StoreConflictError) as error:
        if body.kind is ChangeKind.GIVE:
            raise StoppedError(FleetStop.UNREADABLE, f"change {position} of {body.node}: {error}") from error
        raise _NotCountingError(FleetObjection.CONTRADICTION, str(error)) from error


def _stage(change: Change, body: ChangeBody) -> None:
    """Stage the files of a change; those of one that was made here, and was not decided, are staged already."""
    if not change.folder.exists():
        if not body.files:
            return
        for file in body.files:
            path = change.home.root / file.path
            if file.content is None:
                change.delete(path)
            else:
                change.write_public(path, file.content)
        change.stage()
    change.state.note_change(change.id)


def _judge(home: Home, state: Store, message: StreamMessage) -> ChangeBody:
    """Return the change in a message that counts; inside the transaction that applies it.

    Raises:
        _NotCountingError: It does not count.
        StoppedError: It counts, and cannot be applied here.
    """
    membership = state.fleet.require_membership()
    body, sender = _verify(home, state, message.node, message.data)
    founder = f"{FOUNDER_PREFIX}{sha256(sender.certificate).hexdigest()}"
    if not membership.sequence and membership.first_sha256 not in {"", message_sha256(message.data), founder}:
        raise StoppedError(FleetStop.OTHER_HISTORY, "the first change is not the one that the invitation named")
    if body.previous != (membership.sha256 if membership.sequence else ""):
        words = f"change {message.position} of {body.node} follows another change than {membership.sequence}"
        is_repeated = state.fleet.was_applied(key_of_change(body.node, body.id))
        if Capability.GIVE in sender.capabilities and sender.revoked_at is None and not is_repeated:
            raise StoppedError(FleetStop.OTHER_HISTORY, words)
        raise _NotCountingError(FleetObjection.OTHER_HISTORY, words)
    _require_allowed(state, body, sender, (message.kind, message.node, membership.fleet))
    return body


def _verify(home: Home, state: Store, node: str, data: bytes) -> tuple[ChangeBody, FleetNode]:
    """Return the change in a message, and the node that signed it.

    Raises:
        _NotCountingError: No node of the fleet signed it, or it cannot be read.
        StoppedError: It needs a newer version.
    """
    try:
        sender = state.fleet.node(node) or _founder_in(data, node, state)
        key = key_of_node(node, sender.certificate, load_fleet_ca(home)) if sender is not None else None
        if sender is None or key is None:
            raise _NotCountingError(FleetObjection.UNKNOWN_NODE, f"no node of the fleet is called {node!a}")
        return verify_change(data, key), sender
    except LevelError as error:
        # A node that may not make every change cannot make the others stop.
        if sender is None or Capability.GIVE not in sender.capabilities:
            raise _NotCountingError(FleetObjection.NOT_ALLOWED, str(error)) from error
        raise StoppedError(FleetStop.LEVEL, f"a change of {node}: {error}") from error
    except MessageError as error:
        raise _NotCountingError(FleetObjection.BAD_SIGNATURE, str(error)) from error


def _founder_in(data: bytes, node: str, state: Store) -> FleetNode | None:
    """Return the node that founded the fleet, as its first change says; the fleet's CA certifies it.

    Raises:
        MessageError: It is not a change.
    """
    if state.fleet.require_membership().sequence:
        return None
    body = unverified_change(data)
    for row in body.rows:
        certificate = row.values.get("certificate")
        if row.table == "fleet_nodes" and row.key == {"name": node} and isinstance(certificate, bytes):
            return FleetNode(
                name=node,
                life=1,
                capabilities=(Capability.GIVE,),
                certificate=certificate,
                engine_key="",
                added_at=utc_now(),
            )
    return None


def _require_allowed(state: Store | None, body: ChangeBody, sender: FleetNode, subject: tuple[str, str, str]) -> None:
    """Refuse a change that its node may not make, or whose subject says another kind, node or fleet.

    Without a state, only its form is judged: what it says is put on top of whatever the state is.

    Raises:
        _NotCountingError: It is refused.
    """
    objection = find_objection(body, sender, state)
    if (body.kind.value, body.node, body.fleet) != subject:
        objection = "it is not what its subject says"
    if objection:
        raise _NotCountingError(FleetObjection.NOT_ALLOWED, objection)


def _refused(node: str, error: _NotCountingError, position: int | None, told: Refusals) -> Event:
    node = escape(node, TEXT_MAX_CHARS)
    which = "a notice" if position is None else f"change {position}"
    more = f" (and {count} before it)" if (count := told.take_count(node)) else ""
    message = f"{which} of the node {node} does not count: {escape(str(error), TEXT_MAX_CHARS)}{more}"
    return FleetChangeRefused(reason=error.objection, message=message, node=node, position=position)


def _applied(body: ChangeBody, reason: FleetChangeReason, position: int | None) -> Event:
    what = escape("; ".join(body.events) or "a change without a description", TEXT_MAX_CHARS)
    by = escape(body.by, TEXT_MAX_CHARS)
    message = f"{what} (by {by} on {body.node})"
    return FleetChangeApplied(reason=reason, message=message, node=body.node, change_id=body.id, position=position)


def _pending_of(body: ChangeBody) -> PendingChange:
    return PendingChange(
        id=body.id,
        node=body.node,
        by=body.by,
        at=body.at,
        events=body.events,
        audit=body.audit,
        asked=body.rows,
        rows=[],
        undo=[],
    )
