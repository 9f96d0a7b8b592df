"""Which changes a node may make: every node judges each message by the same rows, and comes to the same result.

Only what the tables and the message hold decides: never a clock, a file or a setting, which differ between nodes.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from telnetsd.administration.replication.message import ChangeBody, ChangeKind, is_canonical_time
from telnetsd.administration.replication.shared_files import is_shared
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.reason import RevocationReason
from telnetsd.identity.outcome import is_user_name
from telnetsd.state.fleet import Capability, FleetNode
from telnetsd.state.records import EnrolmentRequest, RequestKind, RequestStatus, to_time
from telnetsd.state.rows import RowChange
from telnetsd.state.store import Store

REQUESTS_MAX: Final = 2_000
"""How many requests there may be in a fleet, whatever the settings of a node say."""
ROWS_MAX: Final = 256
"""How many rows a change of a node without the capability to give may have."""
REQUEST_LIFE: Final = timedelta(days=400)
"""After how long a request has expired at the latest."""
CONTENT_MAX_BYTES: Final = 16_384
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
    if not is_canonical_time(body.at):
        return "its time cannot be read"
    may_give = Capability.GIVE in node.capabilities
    if body.kind is ChangeKind.GIVE:
        return _objection_to_giving(body, may_give=may_give)
    return _objection_to_size(body, may_give=may_give) or _objection_to_rows(body, state, may_give=may_give)


def _objection_to_size(body: ChangeBody, *, may_give: bool) -> str:
    if body.files:
        return f"a change of the kind {body.kind} has files"
    if not may_give and len(body.rows) > ROWS_MAX:
        return f"it has {len(body.rows):,} rows; from a node without {Capability.GIVE}, {ROWS_MAX} are accepted"
    return ""


def _objection_to_rows(body: ChangeBody, state: Store | None, *, may_give: bool) -> str:
    if body.kind is ChangeKind.REQUEST:
        return _objection_to_requests(body, state, may_give=may_give)
    return next(filter(None, (_objection_to_taking(row, body, state, may_give=may_give) for row in body.rows)), "")


def _objection_to_giving(body: ChangeBody, *, may_give: bool) -> str:
    if not may_give:
        return f"the node {body.node} may not make this change: it lacks the capability {Capability.GIVE}"
    foreign = [one.path for one in body.files if not is_shared(one.path)]
    return f"it has the file {foreign[0]!a}, which nodes do not share" if foreign else ""


def _objection_to_taking(row: RowChange, body: ChangeBody, state: Store | None, *, may_give: bool) -> str:
    if may_give:
        check = _TAKEN.get((row.op, row.table))
        return "" if check is not None and check(row) else f"{row.op} {row.table} takes nothing away"
    if not _is_hold(row) or row.values["revoked_at"] != body.at:
        return f"a node without the capability {Capability.GIVE} may only put on hold, not {row.op} {row.table}"
    return "it replaces a revocation" if state is not None and _is_revoked(row, state) else ""


def _is_revocation(row: RowChange) -> bool:
    reason = row.values.get("revocation_reason", RevocationReason.UNSPECIFIED.value)
    is_at_a_time = "revoked_at" not in row.values or is_canonical_time(row.values["revoked_at"])
    return set(row.values) <= _REVOCATION and is_at_a_time and reason in set(RevocationReason)


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
    ("set", "fleet_nodes"): lambda row: row.values.keys() == {"revoked_at"} and _is_revocation(row),
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


def _is_sound_request(row: RowChange, body: ChangeBody) -> bool:
    """Tell whether a request has values that every node can read, and that an operator can look at."""
    values = {**row.values, **row.key}
    content, name = values.pop("content", None), values.get("name")
    texts = [value for value in values.values() if value is not None and not isinstance(value, int)]
    return (
        values.get("kind") in set(RequestKind)
        and isinstance(name, str)
        and is_user_name(name)
        and is_canonical_time(values.get("requested_at"))
        and is_canonical_time(values.get("expires_at"))
        and to_time(str(values["expires_at"])) <= to_time(body.at) + REQUEST_LIFE
        and all(isinstance(text, str) and text.isprintable() and len(text) <= TEXT_MAX_CHARS for text in texts)
        and isinstance(content, bytes)
        and len(content) <= CONTENT_MAX_BYTES
    )


def _objection_to_requests(body: ChangeBody, state: Store | None, *, may_give: bool) -> str:
    foreign = [row.table for row in body.rows if row.table != "requests"]
    if foreign:
        return f"a request changes {foreign[0]}"
    if may_give or state is None:
        return ""
    if state.requests.count() + sum(row.op == "put" for row in body.rows) > REQUESTS_MAX:
        return f"more than {REQUESTS_MAX:,} requests"
    return next(filter(None, (_objection_to_request(row, body, state) for row in body.rows)), "")


def _objection_to_request(row: RowChange, body: ChangeBody, state: Store) -> str:
    found = state.requests.find(str(row.key.get("id")))
    match row.op:
        case "cut":
            return ""
        case "put":
            is_new = found is None and _is_undecided(row)
            if is_new and _is_sound_request(row, body) and _is_of_its_kind(row, state):
                return ""
            return "it is no new request, or has a value that none has"
        case "set":
            return _objection_to_changed(row, found)


def _is_of_its_kind(row: RowChange, state: Store) -> bool:
    """Tell whether a renewal, and nothing else, names a certificate: one of that user."""
    replaced = row.values.get("replaces_sha256")
    if row.values.get("kind") != RequestKind.RENEWAL.value:
        return replaced is None
    certificate = state.certificates.find(str(replaced))
    return certificate is not None and certificate.user_name == row.values.get("name")


def _objection_to_changed(row: RowChange, found: EnrolmentRequest | None) -> str:
    is_collected = row.values.get("status", RequestStatus.COLLECTED.value) == RequestStatus.COLLECTED.value
    is_decided = found is not None and found.status is not RequestStatus.PENDING
    if set(row.values) <= _REQUEST_BY_APPLICANT and is_collected and (is_decided or "status" not in row.values):
        return ""
    return "a request decides about itself"
