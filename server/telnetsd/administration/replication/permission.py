"""Which changes a node may make: every node judges each message by the same rows, and comes to the same result.

Only what the tables and the message hold decides: never a clock, a file or a setting, which differ between nodes.
"""

from collections.abc import Callable
from typing import Final

from telnetsd.administration.replication.message import ChangeBody, ChangeKind
from telnetsd.administration.replication.shared_files import is_shared
from telnetsd.events.reason import RevocationReason
from telnetsd.state.fleet import Capability, FleetNode
from telnetsd.state.records import RequestStatus, to_time
from telnetsd.state.rows import RowChange, RowValue
from telnetsd.state.store import Store

REQUESTS_MAX: Final = 10_000
"""How many requests may wait in a fleet, whatever the settings of a node say."""
_REVOCATION: Final = {"revoked_at", "revocation_reason"}
_REQUEST_BY_APPLICANT: Final = {"code_failures", "status"}


def find_objection(body: ChangeBody, node: FleetNode, state: Store | None) -> str:
    """Return why a node may not make a change; empty if it may.

    Args:
        body: The change, whose signature is valid.
        node: The node that signed it.
        state: The shared tables before the change; None: only the form of the change is judged.
    """
    if node.revoked_at is not None:
        return f"the node {node.name} was revoked"
    may_give = Capability.GIVE in node.capabilities
    if body.kind is ChangeKind.GIVE:
        return _objection_to_giving(body, may_give=may_give)
    if body.files:
        return f"a change of the kind {body.kind} has files"
    check = _objection_to_request if body.kind is ChangeKind.REQUEST else _objection_to_taking
    return next(filter(None, (check(row, state, may_give=may_give) for row in body.rows)), "")


def _objection_to_giving(body: ChangeBody, *, may_give: bool) -> str:
    if not may_give:
        return f"the node {body.node} may not make this change: it lacks the capability {Capability.GIVE}"
    foreign = [one.path for one in body.files if not is_shared(one.path)]
    return f"it has the file {foreign[0]!a}, which nodes do not share" if foreign else ""


def _objection_to_taking(row: RowChange, state: Store | None, *, may_give: bool) -> str:
    if may_give:
        check = _TAKEN.get((row.op, row.table))
        return "" if check is not None and check(row) else f"{row.op} {row.table} takes nothing away"
    if not _is_hold(row):
        return f"a node without the capability {Capability.GIVE} may only put on hold, not {row.op} {row.table}"
    return "it replaces a revocation" if state is not None and _is_revoked(row, state) else ""


def _is_revocation(row: RowChange) -> bool:
    reason = row.values.get("revocation_reason", RevocationReason.UNSPECIFIED.value)
    is_at_a_time = "revoked_at" not in row.values or _is_time(row.values["revoked_at"])
    return set(row.values) <= _REVOCATION and is_at_a_time and reason in set(RevocationReason)


def _is_time(value: RowValue) -> bool:
    try:
        return isinstance(value, str) and to_time(value).tzinfo is not None
    except ValueError:
        return False


def _is_hold(row: RowChange) -> bool:
    is_of_access = row.op == "set" and row.table in {"certificates", "pins"}
    is_hold = row.values.get("revocation_reason") == RevocationReason.CERTIFICATE_HOLD.value
    return is_of_access and is_hold and set(row.values) == _REVOCATION and _is_revocation(row)


def _is_revoked(row: RowChange, state: Store) -> bool:
    if row.table == "pins":
        pin = state.pins.find(str(row.key.get("spki_sha256")))
        return pin is not None and pin.revocation is not None
    certificate = state.certificates.find(str(row.key.get("sha256")))
    return certificate is not None and certificate.revocation is not None


def _is_denial(row: RowChange) -> bool:
    return row.values == {"status": RequestStatus.DENIED.value}


_TAKEN: Final[dict[tuple[str, str], Callable[[RowChange], bool]]] = {
    ("set", "certificates"): _is_revocation,
    ("set", "pins"): _is_revocation,
    ("set", "fleet_nodes"): lambda row: set(row.values) == {"revoked_at"} and _is_time(row.values["revoked_at"]),
    ("set", "requests"): _is_denial,
    ("cut", "users"): lambda _: True,
    ("cut", "user_roles"): lambda _: True,
    ("cut", "requests"): lambda _: True,
    ("cut", "fleet_invitations"): lambda _: True,
    ("put", "removed_users"): lambda _: True,
}
"""The changes of rows that take access away, by what happens to a row of which table."""


def _objection_to_request(row: RowChange, state: Store | None, *, may_give: bool) -> str:
    if row.table != "requests":
        return f"a request changes {row.table}"
    if may_give or row.op == "cut" or state is None:
        return ""
    found = state.requests.find(str(row.key.get("id")))
    if row.op == "put":
        is_undecided = row.values.get("status") == RequestStatus.PENDING.value and not any(
            row.values.get(column) for column in ("user_name", "certificate_sha256")
        )
        if state.requests.count_pending() >= REQUESTS_MAX:
            return f"{REQUESTS_MAX:,} requests wait already"
        return "" if found is None and is_undecided else "a request replaces another one, or decides about itself"
    is_collected = row.values.get("status", RequestStatus.COLLECTED.value) == RequestStatus.COLLECTED.value
    is_decided = found is not None and found.status is not RequestStatus.PENDING
    if set(row.values) <= _REQUEST_BY_APPLICANT and is_collected and (is_decided or "status" not in row.values):
        return ""
    return "a request decides about itself"
