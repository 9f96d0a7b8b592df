"""Changes that take access away and are not in the fleet's stream yet: they count here already.

The tables of a node are what the stream says, and on top of it the pending changes. Before a change of the stream is
applied, the pending ones are undone, in the same transaction; afterwards they are made again, so that the stream
alone decides in which order things happened. Made again, a change takes away what is there to be taken away by then.
"""

from datetime import datetime
from typing import Final

import msgspec

from telnetsd.events.reason import RevocationReason
from telnetsd.pki.revocation import Revocation, still_counts
from telnetsd.state.records import to_time
from telnetsd.state.rows import RowChange
from telnetsd.state.store import Store


class PendingChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A change that is not in the stream yet.

    Attributes:
        id: The id of the change.
        node: The node that made it: this one, or another one that told us.
        by: Who made it there, for people.
        at: When (ISO 8601).
        events: What it did, one sentence an event.
        audit: Where the log of its node ended: see ChangeBody.
        asked: The rows that it changed when it was made.
        rows: The rows that it changes now.
        undo: What undoes that.
    """

    id: str
    node: str
    by: str
    at: str
    events: list[str]
    audit: tuple[int, str]
    asked: list[RowChange]
    rows: list[RowChange]
    undo: list[RowChange]

    @property
    def key(self) -> str:
        """What tells it apart from all others: no node can speak of the changes of another one."""
        return key_of_change(self.node, self.id)


def key_of_change(node: str, change_id: str) -> str:
    """Return what tells a change apart from all others."""
    return f"{node}.{change_id}"


_decoder: Final = msgspec.msgpack.Decoder(PendingChange)


def keep_pending(state: Store, change: PendingChange) -> None:
    """Keep a change until it is in the stream; inside its transaction."""
    state.replication.keep_pending(change.key, msgspec.msgpack.encode(change))


def list_pending(state: Store) -> list[PendingChange]:
    """Return the changes that are not in the stream yet, the oldest first."""
    return [_decoder.decode(body) for _, body in state.replication.pending()]


def undo_pending(state: Store) -> list[PendingChange]:
    """Make the tables what the stream says, and return what was undone; inside a transaction."""
    found = list_pending(state)
    for change in reversed(found):
        state.replication.apply(change.undo)
    return found


def without(change: PendingChange, rows: list[RowChange]) -> PendingChange:
    """Return a change without what concerns rows that another change has decided since."""
    decided = {(row.table, tuple(sorted(row.key.items()))) for row in rows}
    left = [row for row in change.asked if (row.table, tuple(sorted(row.key.items()))) not in decided]
    return msgspec.structs.replace(change, asked=left)


def redo_pending(state: Store, changes: list[PendingChange]) -> None:
    """Make changes again that were undone; inside the same transaction."""
    for change in changes:
        make_pending(state, change)


def make_pending(state: Store, change: PendingChange) -> bool:
    """Make a change that is not in the stream yet, as far as it still takes something away; inside a transaction.

    Returns: Whether it takes anything away.
    """
    with state.replication.capturing() as captured:
        at = datetime.fromisoformat(change.at)
        for row in change.asked:
            _take(state, row, at)
    keep_pending(state, msgspec.structs.replace(change, rows=captured.rows, undo=captured.undo))
    return bool(captured.rows)


def _take(state: Store, row: RowChange, at: datetime) -> None:
    match row.op, row.table:
        case "set", "certificates":
            certificate = state.certificates.find(str(row.key["sha256"]))
            if certificate is not None:
                wanted = _revocation_in(row, certificate.revocation)
                if _is_stronger(wanted, certificate.revocation):
                    state.certificates.revoke(certificate.sha256, wanted)
        case "set", "pins":
            pin = state.pins.find(str(row.key["spki_sha256"]))
            if pin is not None and _is_stronger(wanted := _revocation_in(row, pin.revocation), pin.revocation):
                state.pins.revoke(pin.spki_sha256, wanted)
        case ("cut", "users") | ("put", "removed_users"):
            # The user may have been renamed while the removal was not known.
            name = str(row.key["name"])
            name = state.users.renamed_to(name) or name
            state.users.remove(name)
            _revoke_what_came_since(state, name, at)
        case _:
            state.replication.apply([row])


def _revocation_in(row: RowChange, present: Revocation | None) -> Revocation | None:
    """Return the revocation that a row writes; what it does not write stays as it is."""
    at, reason = row.values.get("revoked_at"), row.values.get("revocation_reason")
    revoked_at = to_time(at) if isinstance(at, str) else present.revoked_at if present is not None else None
    if revoked_at is None:
        return None
    return Revocation(revoked_at, RevocationReason(str(reason)) if reason else RevocationReason.UNSPECIFIED)


def _is_stronger(wanted: Revocation | None, present: Revocation | None) -> bool:
    """Tell whether a revocation takes more away than what is there: a permanent one stays as it is."""
    if wanted is None:
        return False
    return present is None or (present.is_hold and not wanted.is_hold)


def _revoke_what_came_since(state: Store, name: str, at: datetime) -> None:
    """Revoke what a removed user was given while the removal was not known to the giver."""
    revocation = Revocation(at.replace(microsecond=0), RevocationReason.CESSATION_OF_OPERATION)
    for certificate in state.certificates.of_user(name):
        if still_counts(certificate.revocation):
            state.certificates.revoke(certificate.sha256, revocation)
    for pin in state.pins.of_user(name):
        if still_counts(pin.revocation):
            state.pins.revoke(pin.spki_sha256, revocation)
