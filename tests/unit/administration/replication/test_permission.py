"""Which changes a node may make: judged by tables and message alone."""

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from support.certificates import now
from telnetsd.administration.replication.message import ChangeBody, ChangeKind, SharedFile
from telnetsd.administration.replication.permission import REQUESTS_MAX, ROWS_MAX, find_objection
from telnetsd.administration.replication.shared_files import is_shared
from telnetsd.events.reason import RevocationReason
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation
from telnetsd.state.fleet import EVERY_CAPABILITY, Capability, FleetNode
from telnetsd.state.records import EnrolmentRequest, IssuedCertificate, RequestKind, RequestStatus
from telnetsd.state.rows import RowChange, RowValue
from telnetsd.state.sqlite.store import SqliteStore

NOW = now()
AT = "2026-12-01T00:00:00+00:00"
HOLD: dict[str, RowValue] = {"revoked_at": AT, "revocation_reason": "certificateHold"}
GIVER = FleetNode(name="hq-1", life=1, capabilities=EVERY_CAPABILITY, certificate=b"", engine_key="U", added_at=NOW)
EDGE = FleetNode(name="edge", life=1, capabilities=(Capability.AUDIT,), certificate=b"", engine_key="U", added_at=NOW)


def row(op: str, table: str, key: dict[str, RowValue] | None = None, **values: RowValue) -> RowChange:
    return RowChange(op, table, key or {"sha256": "c"}, values)  # type: ignore[arg-type]


def hold(table: str = "certificates", name: str = "sha256", value: str = "c", **changes: RowValue) -> RowChange:
    return RowChange("set", table, {name: value}, {**HOLD, **changes})


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with alice, whose certificate `c` counts, and whose certificate `gone` was revoked."""
    with closing(SqliteStore(tmp_path / "state.db")) as opened:
        with opened.transaction():
            opened.users.add(User("alice", ("user",)), NOW, is_mapped=False)
            for number, sha256 in enumerate(("c", "gone")):
                record = IssuedCertificate(
                    sha256=sha256,
                    user_name="alice",
                    issuer_sha256="i",
                    spki_sha256=f"key-{sha256}",
                    serial_number=str(number),
                    public_key="EC 256",
                    not_before=NOW,
                    not_after=NOW + timedelta(days=1),
                )
                opened.certificates.add(record, None)
            opened.certificates.revoke("gone", Revocation(NOW, RevocationReason.KEY_COMPROMISE))
            opened.pins.add("pin", "alice", NOW)
            for status in RequestStatus:
                request = EnrolmentRequest(
                    id=status.value,
                    kind=RequestKind.CSR,
                    name="carol",
                    subject="",
                    public_key="",
                    spki_sha256="k",
                    source="",
                    requested_at=NOW,
                    expires_at=NOW + timedelta(days=1),
                    status=status,
                )
                opened.requests.add(request, b"", "code")
        yield opened


def objection(state: SqliteStore, node: FleetNode, kind: ChangeKind, *rows: RowChange, path: str = "") -> str:
    body = ChangeBody(
        fleet="acme",
        id="1",
        node=node.name,
        kind=kind,
        by="",
        at=AT,
        previous="",
        rows=list(rows),
        files=[SharedFile(path, b"")] if path else [],
    )
    return find_objection(body, node, state)


def test_a_node_with_the_capability_makes_every_change_and_one_that_was_revoked_none(state: SqliteStore) -> None:
    change = row("put", "users", {"name": "eve"}, added_at=AT, is_mapped=0)
    assert objection(state, GIVER, ChangeKind.GIVE, change, path="certs/crl/x.pem") == ""
    revoked = dataclasses.replace(GIVER, revoked_at=NOW)
    for kind in ChangeKind:
        assert objection(state, revoked, kind) == "the node hq-1 was revoked"
    assert "lacks the capability give" in objection(state, EDGE, ChangeKind.GIVE, change)


TAKING = [
    hold(),
    hold("pins", "spki_sha256", "pin"),
    row("set", "certificates", revoked_at=AT, revocation_reason="keyCompromise"),
    row("set", "certificates", revocation_reason="keyCompromise"),
    row("set", "fleet_nodes", {"name": "edge"}, revoked_at=AT),
    row("set", "requests", {"id": "pending"}, status="denied"),
    row("cut", "users", {"name": "alice"}),
    row("cut", "user_roles", {"user_name": "alice", "role": "user"}),
    row("put", "removed_users", {"name": "alice"}),
    row("cut", "requests", {"id": "pending"}),
    row("cut", "fleet_invitations", {"node": "x"}),
]
GIVING = [
    row("put", "users", {"name": "eve"}, added_at=AT, is_mapped=0),
    row("put", "user_roles", {"user_name": "alice", "role": "operator"}),
    row("set", "users", {"name": "alice"}, is_mapped=1),
    row("set", "certificates", revoked_at=None, revocation_reason=None),
    row("set", "certificates", revoked_at=AT, revocation_reason="no such reason"),
    row("set", "certificates", revoked_at="tomorrow", revocation_reason="keyCompromise"),
    row("set", "certificates", revoked_at="2026-12-01T00:00:00", revocation_reason="keyCompromise"),
    row("set", "certificates", revoked_at="1900-01-01T00:00:00+00:00", revocation_reason="keyCompromise"),
    row("set", "certificates", revoked_at=7, revocation_reason="keyCompromise"),
    row("set", "certificates", revoked_at=AT, revocation_reason=b"keyCompromise"),
    row("set", "certificates", revoked_at=AT, revocation_reason="keyCompromise", user_name="eve"),
    row("set", "certificates", user_name="eve"),
    row("set", "fleet_nodes", {"name": "edge"}, revoked_at=None),
    row("set", "fleet_nodes", {"name": "edge"}, capabilities="give"),
    row("set", "requests", {"id": "pending"}, status="approved"),
    row("cut", "removed_users", {"name": "alice"}),
    row("cut", "certificates"),
    row("cut", "fleet_nodes", {"name": "hq-1"}),
    row("put", "pins", {"spki_sha256": "x"}, user_name="eve", added_at=AT),
]


@pytest.mark.parametrize("change", TAKING, ids=repr)
def test_what_takes_access_away_may_be_taken(state: SqliteStore, change: RowChange) -> None:
    assert objection(state, GIVER, ChangeKind.TAKE, change) == ""


@pytest.mark.parametrize("change", GIVING, ids=repr)
def test_what_gives_access_or_is_no_revocation_may_not_pass_as_taking(state: SqliteStore, change: RowChange) -> None:
    assert objection(state, GIVER, ChangeKind.TAKE, TAKING[0], change) != ""
    assert objection(state, EDGE, ChangeKind.TAKE, change) != ""


@pytest.mark.parametrize("change", TAKING[2:], ids=repr)
def test_a_node_without_the_capability_may_do_nothing_but_put_on_hold(state: SqliteStore, change: RowChange) -> None:
    assert objection(state, EDGE, ChangeKind.TAKE, *TAKING[:2]) == ""
    assert "may only put on hold" in objection(state, EDGE, ChangeKind.TAKE, change)


def test_a_hold_of_such_a_node_never_replaces_a_revocation(state: SqliteStore) -> None:
    assert objection(state, EDGE, ChangeKind.TAKE, hold(value="gone")) == "it replaces a revocation"
    with state.transaction():
        state.pins.revoke("pin", Revocation(NOW, RevocationReason.KEY_COMPROMISE))
    assert objection(state, EDGE, ChangeKind.TAKE, hold("pins", "spki_sha256", "pin")) == "it replaces a revocation"


def request_row(**changes: RowValue) -> RowChange:
    values: dict[str, RowValue] = {
        "kind": "csr",
        "name": "carol",
        "status": "pending",
        "subject": "CN=carol",
        "public_key": "EC 256",
        "spki_sha256": "k",
        "source": "192.0.2.7",
        "requested_at": AT,
        "expires_at": AT,
        "user_name": None,
        "certificate_sha256": None,
        "replaces_sha256": None,
        "code_sha256": "h",
        "code_failures": 0,
        "content": b"csr",
    }
    return row("put", "requests", {"id": "new"}, **{**values, **changes})


@pytest.mark.parametrize(
    "change",
    [
        request_row(),
        request_row(kind="renewal", name="alice", replaces_sha256="c"),
        row("set", "requests", {"id": "pending"}, code_failures=3),
        row("set", "requests", {"id": "approved"}, status="collected"),
        row("cut", "requests", {"id": "pending"}),
    ],
    ids=repr,
)
def test_a_request_may_be_made_counted_collected_and_forgotten(state: SqliteStore, change: RowChange) -> None:
    assert objection(state, EDGE, ChangeKind.REQUEST, change) == ""


@pytest.mark.parametrize(
    "change",
    [
        request_row(status="approved"),
        request_row(user_name="alice"),
        request_row(certificate_sha256="c"),
        request_row(kind="something else"),
        request_row(name="Not A Name"),
        request_row(requested_at="now"),
        request_row(expires_at=None),
        request_row(subject="\x1b[2J"),
        request_row(subject=b"CN=carol"),
        request_row(source="x" * 2000),
        request_row(content="text"),
        request_row(content=bytes(17_000)),
        request_row(expires_at="2099-12-01T00:00:00+00:00"),
        request_row(kind="renewal"),
        request_row(kind="renewal", replaces_sha256="none"),
        request_row(kind="renewal", replaces_sha256="c"),
        request_row(replaces_sha256="c"),
        row("put", "requests", {"id": "pending"}, status="pending"),
        row("set", "requests", {"id": "pending"}, status="approved"),
        row("set", "requests", {"id": "pending"}, status="collected"),
        row("set", "requests", {"id": "pending"}, content=b"another key"),
        row("set", "requests", {"id": "nothing"}, status="collected"),
        row("put", "users", {"name": "eve"}, added_at=AT, is_mapped=0),
        hold(),
    ],
    ids=repr,
)
def test_a_request_decides_nothing_about_itself(state: SqliteStore, change: RowChange) -> None:
    assert objection(state, EDGE, ChangeKind.REQUEST, change) != ""


def test_what_such_a_node_sends_is_bounded(state: SqliteStore) -> None:
    assert objection(state, EDGE, ChangeKind.TAKE, *[hold()] * ROWS_MAX) == ""
    assert "256 are accepted" in objection(state, EDGE, ChangeKind.TAKE, *[hold()] * (ROWS_MAX + 1))
    assert "256 are accepted" in objection(state, EDGE, ChangeKind.REQUEST, *[request_row()] * (ROWS_MAX + 1))
    assert "may only put on hold" in objection(
        state, EDGE, ChangeKind.TAKE, hold(revoked_at="2026-12-02T00:00:00+00:00")
    )
    with state.transaction():
        (example,) = [one for one in state.replication.everything() if one.key == {"id": "pending"}]
        copies = [RowChange("put", "requests", {"id": f"x{n}"}, example.values) for n in range(REQUESTS_MAX - 5)]
        state.replication.apply(copies)
    assert objection(state, EDGE, ChangeKind.REQUEST, request_row()) == ""
    assert objection(state, EDGE, ChangeKind.REQUEST, *[request_row()] * 2) == "more than 2,000 requests"


def test_only_a_change_that_may_be_anything_has_files(state: SqliteStore) -> None:
    for kind in (ChangeKind.TAKE, ChangeKind.REQUEST):
        assert "has files" in objection(state, GIVER, kind, path="certs/crl/x.pem")
    assert "which nodes do not share" in objection(state, GIVER, ChangeKind.GIVE, path="certs/server.pem")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("certs/ca.pem", True),
        ("certs/issuing.pem", True),
        ("certs/server-ca.pem", True),
        ("certs/trust/partner.pem", True),
        ("certs/intermediates/a.pem", True),
        ("certs/crl/telnetsd-0123.pem", True),
        ("certs/previous/0123.pem", True),
        ("certs/previous/0123.key", False),
        ("certs/ca.key", False),
        ("certs/server.pem", False),
        ("certs/fleet/ca.pem", False),
        ("certs/audit.pem", False),
        ("certs/users/bob.pem", False),
        ("certs/trust/../ca.key", False),
        ("certs/trust/./x.pem", False),
        ("certs//trust/x.pem", False),
        ("/certs/trust/x.pem", False),
        ("certs/trust/.hidden", False),
        ("certs/trust/deep/x.pem", False),
        ("certs/trust", False),
        ("certs/trust/a\nb.pem", False),
        (f"certs/trust/{'x' * 300}.pem", False),
        ("telnetsd.toml", False),
        ("", False),
    ],
)
def test_nodes_share_certificates_and_crls_of_cas_and_nothing_else(path: str, expected: bool) -> None:
    assert is_shared(path) is expected
