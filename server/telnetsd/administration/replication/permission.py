"""Which changes a node may make: every node judges each message by the same rows, and comes to the same result.

Only what the tables and the message hold decides: never a clock, a file or a setting, which differ between nodes.
"""

from collections.abc import Callable
from typing import Final

from telnetsd.administration.replication.message import ChangeBody, ChangeKind
from telnetsd.administration.replication.shared_files import is_shared
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.reason import RevocationReason
from telnetsd.identity.outcome import is_user_name
from telnetsd.state.fleet import Capability, FleetNode
from telnetsd.state.records import EnrolmentRequest, RequestKind, RequestStatus, to_time
from telnetsd.state.rows import RowChange, RowValue
from telnetsd.state.store import Store

REQUESTS_MAX: Final = 10_000
"""How many requests may wait in a fleet, whatever the settings of a node say."""
CONTENT_MAX_BYTES: Final = 65_536
"""The longest certification request, or certificate, of a request."""
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
    if not _is_time(body.at):
        return "its time cannot be read"
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


def _is_time(value: RowValue | None) -> bool:
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


def _is_undecided(row: RowChange) -> bool:
    decided = (row.values.get("user_name"), row.values.get("certificate_sha256"))
    return row.values.get("status") == RequestStatus.PENDING.value and decided == (None, None)


def _is_sound_request(row: RowChange) -> bool:
    """Tell whether a request has values that every node can read, and that an operator can look at."""
    values = {**row.values, **row.key}
    content, name = values.pop("content", None), values.get("name")
    texts = [value for value in values.values() if value is not None and not isinstance(value, int)]
    return (
        values.get("kind") in set(RequestKind)
        and isinstance(name, str)
        and is_user_name(name)
        and _is_time(values.get("requested_at"))
        and _is_time(values.get("expires_at"))
        and all(isinstance(text, str) and text.isprintable() and len(text) <= TEXT_MAX_CHARS for text in texts)
        and isinstance(content, bytes)
        and len(content) <= CONTENT_MAX_BYTES
    )


def _objection_to_request(row: RowChange, state: Store | None, *, may_give: bool) -> str:
    if row.table != "requests":
        return f"a request changes {row.table}"
    if may_give or row.op == "cut" or state is None:
        return ""
    found = state.requests.find(str(row.key.get("id")))
    return _objection_to_new(row, found, state) if row.op == "put" else _objection_to_changed(row, found)


def _objection_to_new(row: RowChange, found: EnrolmentRequest | None, state: Store) -> str:
    if state.requests.count_pending() >= REQUESTS_MAX:
        return f"{REQUESTS_MAX:,} requests wait already"
    if not _is_sound_request(row):
        return "a request has a value that no request has"
    return "" if found is None and _is_undecided(row) else "a request replaces another one, or decides about itself"


def _objection_to_changed(row: RowChange, found: EnrolmentRequest | None) -> str:
    is_collected = row.values.get("status", RequestStatus.COLLECTED.value) == RequestStatus.COLLECTED.value
    is_decided = found is not None and found.status is not RequestStatus.PENDING
    if set(row.values) <= _REQUEST_BY_APPLICANT and is_collected and (is_decided or "status" not in row.values):
        return ""
    return "a request decides about itself"
